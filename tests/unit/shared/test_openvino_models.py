"""A process lives on through signals after its networks are dropped."""

import subprocess
import sys

from dermis.standalone.demo import BUNDLE

DROPPED_BY_ANOTHER_THREAD = """
import signal, sys, threading
from dermis.shared.openvino_models import compile_network

signals = []
signal.signal(signal.SIGUSR1, lambda number, frame: signals.append(number))
networks = [compile_network(sys.argv[1])]
thread = threading.Thread(target=networks.clear)
thread.start()
thread.join()
signal.raise_signal(signal.SIGUSR1)
print(len(signals))
"""


def test_a_signal_after_another_thread_dropped_the_network_ends_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", DROPPED_BY_ANOTHER_THREAD, str(BUNDLE)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
