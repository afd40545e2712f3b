"""Ends a process at once when it is asked to, wherever it stands.

Python handles a signal in its main thread, between two steps of its own: not while TensorFlow, OpenVINO or a store holds that thread. And an
exit in the midst of an epoch waits for tf.data's threads, which wait for an interpreter that is gone. So a thread of its own listens, says
what there is to say, and ends the process without an interpreter's exit. What this loses a kill loses too, and a run goes on after a kill.
"""

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGTERM, signal.SIGINT)
SAY_S = 10.0
"""As long as a store may take to note the stop."""


class Stop:
    """`say`: given the signal's name, notes the stop wherever that has to be known and returns a line for whoever asked."""

    def __init__(self) -> None:
        self.say: Callable[[str], str] = lambda name: f"stopped by {name} before a run was begun"


@contextmanager
def ended_by_signals() -> Iterator[Stop]:
    """Within, SIGTERM and SIGINT end the process with 128 + the signal's number: 143 and 130."""
    stop = Stop()
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


def _listen(ours: socket.socket, stop: Stop) -> None:
    while got := ours.recv(1):
        if got[0] in SIGNALS:
            _end(stop, signal.Signals(got[0]))


def _end(stop: Stop, number: signal.Signals) -> None:
    """Say it, in a thread that a store or a full pipe may hold no longer than `SAY_S`, and end."""
    told = threading.Thread(target=lambda: _print(stop.say(number.name)), daemon=True)
    told.start()
    told.join(SAY_S)
    if told.is_alive():
        _print(f"stopped by {number.name}; this could not be noted within {SAY_S:g} s")
    os._exit(128 + number)


def _print(line: str) -> None:
    os.write(sys.stderr.fileno(), f"{line}\n".encode())  # print would wait for whoever holds the stream
