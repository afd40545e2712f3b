"""Watches the sweep's own clock.

It knows what was trusted last, what is in doubt, and the confirmation that ends a doubt.

`sweep/clock/<id>`: the reading that was trusted last, one object; `sweep/doubt.json` and `sweep/confirmed` as their
names say.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from dermis.shared.errors import DermisError
from dermis.shared.ids import new_id
from dermis.shared.ports import BlobConflict, BlobNotFound, BlobStore, has
from dermis.shared.telemetry import log
from dermis.sweep import metrics
from dermis.sweep.core.clock import Doubt, Reading, doubt_about

READINGS = "sweep/clock/"
DOUBT_KEY = "sweep/doubt.json"
CONFIRMED_KEY = "sweep/confirmed"
_NOTED_EVERY = timedelta(hours=1)
_BOOT_ID, _UPTIME = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/uptime")


def uptime() -> tuple[str, float]:
    """Return which start of the machine this is and how many seconds it is old.

    Where the system tells of no start, the process' own counts.
    """
    try:
        return _BOOT_ID.read_text().strip(), float(_UPTIME.read_text().split()[0])
    except (OSError, ValueError):
        return f"process {id(_UPTIME)}", time.monotonic()


class Clock:
    """Reads the clocks at each look and remembers in the store what was trusted."""

    def __init__(self, store: BlobStore, *, up: Callable[[], tuple[str, float]] = uptime) -> None:
        self._store = store
        self._up = up

    def look(self, now: datetime) -> tuple[datetime, Doubt | None]:
        """Return the time by the store, and what is in doubt about `now`.

        A doubt stays until the clock agrees again or it is confirmed.
        """
        boot, seconds = self._up()
        reading = Reading(at=now, store_at=self._store.clock(), boot=boot, uptime_s=seconds)
        trusted = self._trusted()
        standing = read_doubt(self._store)
        doubt = doubt_about(reading, trusted)
        if standing and has(self._store, CONFIRMED_KEY):
            self._settle(reading, "the clock is confirmed")
            return reading.store_at, None
        if standing and standing.until_confirmed:
            doubt = standing
        metrics.in_doubt.set(doubt is not None)
        if doubt:
            if standing != doubt:
                log.error(
                    "clock in doubt: nothing is erased by its time until it agrees, or `dermis sweep confirm`",
                    why=doubt.why,
                )
                self._replace_doubt(doubt)
        elif standing:
            self._settle(reading, "the clock agrees again")
        elif trusted is None or reading.at - trusted.at >= _NOTED_EVERY or trusted.boot != boot:
            self._trust(reading)
        return reading.store_at, doubt

    def _settle(self, reading: Reading, why: str) -> None:
        log.warning("cases are erased by their time again", why=why)
        self._trust(reading)
        self._store.delete(DOUBT_KEY)
        self._store.delete(CONFIRMED_KEY)
        metrics.in_doubt.set(0)

    def _trust(self, reading: Reading) -> None:
        old = list(self._store.list(READINGS))
        self._store.put_once(f"{READINGS}{new_id('reading')}", reading.model_dump_json().encode(), reserved=True)
        for key in old:
            with _unreadable_left_alone():
                self._store.delete(key)

    def _trusted(self) -> Reading | None:
        for key in self._store.list(READINGS):
            with suppress(BlobNotFound, ValidationError), _unreadable_left_alone():
                return Reading.model_validate_json(self._store.get(key))
        return None

    def _replace_doubt(self, doubt: Doubt) -> None:
        self._store.delete(CONFIRMED_KEY)  # of another doubt
        self._store.delete(DOUBT_KEY)
        with suppress(BlobConflict):
            self._store.put_once(DOUBT_KEY, doubt.model_dump_json().encode(), reserved=True)


def read_doubt(store: BlobStore) -> Doubt | None:
    try:
        with suppress(ValidationError), _unreadable_left_alone():
            return Doubt.model_validate_json(store.get(DOUBT_KEY))
    except BlobNotFound:
        return None
    return Doubt(why=f"{DOUBT_KEY} can't be read", until_confirmed=True)


@contextmanager
def _unreadable_left_alone() -> Iterator[None]:
    """Go on where one object can't be read; any other fault is of the whole store."""
    try:
        yield
    except DermisError as error:
        if error.reason != "BLOB_UNREADABLE":
            raise


def confirm(store: BlobStore) -> None:
    """Say that the sweep's clock is right, whatever was in doubt."""
    store.put_once(CONFIRMED_KEY, b"", reserved=True)
