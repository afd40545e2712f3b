"""The state folder: held by one `dermis up` at a time, whose addresses stand in it."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ValidationError

from dermis.shared.errors import DermisError, Kind


class Running(BaseModel):
    """Where the parts of a running `dermis up` are to be found."""

    pid: int
    url: str
    broker_url: str


@contextmanager
def hold(state: Path, running: Running) -> Iterator[None]:
    """Hold `state` while the context lasts; CONFLICT if another process does."""
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)  # images of people are kept below
        file = os.fdopen(os.open(state / "up.json", os.O_RDWR | os.O_CREAT, 0o600), "r+")
    except OSError as fault:
        raise DermisError(Kind.UNAVAILABLE, "STATE", f"state folder {state}: {fault.strerror}; name another one with --state") from fault
    with file:
        if not _lock(file.fileno(), tries=5):
            raise DermisError(Kind.CONFLICT, "STATE_IN_USE", f"another dermis uses {state}; stop it, or name another folder with --state")
        file.truncate()
        file.write(running.model_dump_json())
        file.flush()
        yield


def find_running(state: Path) -> Running | None:
    """Return where the parts are that use `state`, or None if none do."""
    try:
        with (state / "up.json").open() as file:
            return None if _lock(file.fileno()) else Running.model_validate_json(file.read())
    except (OSError, ValidationError):
        return None


def _lock(descriptor: int, *, tries: int = 1) -> bool:
    for n in range(tries):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.1 if n + 1 < tries else 0)  # somebody may just be looking
        else:
            return True
    return False
