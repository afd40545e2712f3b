"""Ends a process at once when it is asked to, wherever it stands.

Python handles a signal in its main thread, between two steps of its own: not while TensorFlow, OpenVINO or a store
holds that thread. And an exit in the midst of an epoch waits for tf.data's threads, which wait for an interpreter that
is gone. So a thread of its own listens, records the stop, and ends the process without an interpreter's exit. What this
loses is lost by kill -9 too, and a run goes on after that.
"""

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGTERM, signal.SIGINT)
RECORD_S = 10.0
"""The longest that recording the stop in a store may take."""


class Stop:
    """`on_signal`: gets the signal's name, records the stop and returns a line for whoever asked for it.

    `stderr`: where that line goes, also while the process writes its own stderr elsewhere.
    """

    def __init__(self, stderr: int) -> None:
        self.stderr = stderr
        self.on_signal: Callable[[str], str] = lambda name: f"stopped by {name} before a run was begun"


@contextmanager
def ended_by_signals() -> Iterator[Stop]:
    """Within, SIGTERM and SIGINT end the process with 128 + the signal's number: 143 and 130."""
    stop = Stop(os.dup(sys.__stderr__.fileno() if sys.__stderr__ else 2))
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    before = {number: signal.signal(number, lambda *_: None) for number in SIGNALS}
    wakeup = signal.set_wakeup_fd(theirs.fileno())
    thread = threading.Thread(target=_listen, args=(ours, stop), name="stopping", daemon=True)
    thread.start()
    try:
        yield stop
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        theirs.close()
        thread.join()
        ours.close()
        os.close(stop.stderr)


def _listen(ours: socket.socket, stop: Stop) -> None:
    while received := ours.recv(1):
        if received[0] in SIGNALS:
            _end(stop, signal.Signals(received[0]))


def _end(stop: Stop, number: signal.Signals) -> None:
    """Record the stop, in a thread that a store or a full pipe may hold no longer than `RECORD_S`, and end."""
    thread = threading.Thread(target=lambda: _print(stop, stop.on_signal(number.name)), daemon=True)
    thread.start()
    thread.join(RECORD_S)
    if thread.is_alive():
        _print(stop, f"stopped by {number.name}; this could not be noted within {RECORD_S:g} s")
    os._exit(128 + number)


def _print(stop: Stop, line: str) -> None:
    os.write(stop.stderr, f"{line}\n".encode())  # print would wait for whoever holds the stream
