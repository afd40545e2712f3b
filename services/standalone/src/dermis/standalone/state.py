"""The state folder: held by one `dermis up` at a time, whose addresses stand in it."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ValidationError

from dermis.shared.errors import DermisError, Kind
from dermis.shared.ports import BlobStore
from dermis.shared.stores import open_store
from dermis.standalone.settings import StandaloneSettings


class Running(BaseModel):
    """Where the parts of a running `dermis up` are to be found, and the variables that they were started with.

    `sources`: for each variable that was given, "option" or "environment"; `dermis up` chose the others itself.
    """

    pid: int
    url: str
    broker_url: str
    variables: dict[str, str] = {}
    sources: dict[str, str] = {}
    lan_url: str = ""


def make_folder(folder: Path) -> None:
    """Make the state folder, or one in it, for its owner alone: images of people are kept below.

    INVALID if it never can be made, UNAVAILABLE if it can't now.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as fault:
        raise _unusable(folder, fault) from fault


def open_store_of(settings: StandaloneSettings) -> BlobStore:
    """Open the store to write to; where it is in the state folder, that is made first."""
    if settings.store_url.startswith(f"{settings.state.as_uri()}/"):
        make_folder(settings.state)
    return open_store(settings.store_url)


@contextmanager
def hold(state: Path, running: Running) -> Iterator[None]:
    """Hold `state` while the context lasts; CONFLICT if another process does."""
    make_folder(state)
    try:
        file = os.fdopen(os.open(state / "up.json", os.O_RDWR | os.O_CREAT, 0o600), "r+")
    except OSError as fault:
        raise _unusable(state, fault) from fault
    with file:
        if not _lock(file.fileno(), tries=5):
            raise DermisError(
                Kind.CONFLICT,
                "STATE_IN_USE",
                f"another dermis uses {state}; stop it, or name another folder with --state",
            )
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


def _unusable(folder: Path, fault: OSError) -> DermisError:
    lasts = isinstance(fault, FileExistsError | NotADirectoryError | PermissionError)
    kind = Kind.INVALID if lasts else Kind.UNAVAILABLE
    return DermisError(kind, "STATE", f"state folder {folder}: {fault.strerror}; name another one with --state")


def _lock(descriptor: int, *, tries: int = 1) -> bool:
    for n in range(tries):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.1 if n + 1 < tries else 0)  # somebody may just be looking
        else:
            return True
    return False
