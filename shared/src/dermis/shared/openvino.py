"""The one OpenVINO core of a process."""

from functools import cache

import openvino


@cache
def core() -> openvino.Core:
    """Return the process' core, which is kept until the process ends; needs the extra `serving`, `worker` or `data`.

    Each core's CPU plugin gives the thread that loads it a stack for signals, and puts back the one before when it is
    dropped. Of two cores, the one that is dropped last puts back the stack of the first, which is freed by then: the
    thread's next signal ends the process (SIGSEGV). Source: `SigAltStackSetup` in OpenVINO's intel_cpu plugin.
    """
    return openvino.Core()
