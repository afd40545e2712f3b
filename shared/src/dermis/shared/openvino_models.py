"""Networks compiled by OpenVINO for the CPU."""

import functools
from pathlib import Path

import openvino


def compile_network(folder: Path | str, **properties: str) -> openvino.CompiledModel:
    """Return the SavedModel in `folder` compiled at float32; RuntimeError where OpenVINO can't read it.

    Without the precision hint a CPU that has bfloat16 would use it: slower on such CPUs, and 2 % off.
    """
    return _core().compile_model(folder, "CPU", {"INFERENCE_PRECISION_HINT": "f32", **properties})


@functools.cache
def _core() -> openvino.Core:
    """Return the one core of this process, which is never dropped.

    OpenVINO's CPU plugin gives the thread that loads it an alternate signal stack, and frees it with the last network
    of its core. Dropped by another thread, that stack stays registered: the next signal, which Python handles on the
    alternate stack, would be written to freed memory and end the process by SIGSEGV.
    """
    return openvino.Core()
