"""How many connections there may be, in all and of one address, and which gives way where there are too many."""

import asyncio
import resource
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from dermis.shared.telemetry import log

_LOG_EVERY_S = 1.0
_GRACE_S = 1.0
_BURST = 512
_MOST_UNREAD = 64
_SPARE_DESCRIPTORS = 256 + _BURST


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """`most` connections, `most_per_address` of them from one address (0: no limit).

    A request's head is due in `head_seconds`.
    """

    most: int
    most_per_address: int
    head_seconds: float


class HttpRefusal(Exception):
    """Ends a connection with a status and a sentence."""

    def __init__(self, status: int, reason: str, detail: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.detail = detail


class Guest(Protocol):
    """A connection as it is counted here."""

    address: str

    def has_unread(self) -> bool:
        """Return whether a request's first bytes have come and were not read yet."""
        ...

    def end(self) -> None:
        """Close the connection, as it has to give way."""
        ...


class Crowd:
    """Connections that share a bound: those of one address, or all.

    `waiting` are those that may give way, each with the time since which it waits, the longest first.
    """

    def __init__(self, most: int, too_many: str) -> None:
        self.most = most
        self.too_many = too_many
        self.members: set[Guest] = set()
        self.waiting: dict[Guest, float] = {}
        self.is_watched = False

    @property
    def excess(self) -> int:
        return max(0, len(self.members) - self.most) if self.most else 0

    @property
    def is_busy(self) -> bool:
        """Whether as many as may be here have a request in work."""
        return bool(self.most) and len(self.members) - len(self.waiting) > self.most

    def surplus(self, now: float) -> list[Guest]:
        """Return which have to give way now, the longest waiting first.

        One that came a moment ago may be about to send its request, so it stays for `_GRACE_S`, unless more than
        `_BURST` too many are here. One whose request has come and was not read yet stays in any case.
        """
        excess, leaving = self.excess, list[Guest]()
        for connection, since in islice(self.waiting.items(), excess and excess + _MOST_UNREAD):
            too_many = excess - len(leaving)
            if not too_many or (now - since < _GRACE_S and too_many <= _BURST):
                break
            if not connection.has_unread():
                leaving.append(connection)
        return leaving


class Connections:
    """All connections of this process.

    Where there are too many, those that have waited longest for a request give way.
    """

    def __init__(
        self, bounds: Bounds, count: Callable[[str], None], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.bounds = bounds
        self._count = count
        self._clock = clock
        self._all = Crowd(bounds.most, f"there are more than {bounds.most} connections")
        self._per_address: dict[str, Crowd] = {}
        self._unlogged: Counter[str] = Counter()
        self._logged_at = -_LOG_EVERY_S

    def add(self, connection: Guest) -> None:
        """Take a connection in; HttpRefusal if there are too many and none of them may give way."""
        most = self.bounds.most_per_address
        if connection.address not in self._per_address:
            self._per_address[connection.address] = Crowd(most, f"one address holds more than {most} connections")
        crowds = self._crowds(connection)
        for crowd in crowds:
            crowd.members.add(connection)
        for crowd in crowds:
            self._make_room(crowd)
        for crowd in crowds:
            if crowd.is_busy:
                raise _busy(crowd)
        if self._all.excess > _BURST:  # as each takes a descriptor
            raise _busy(self._all)

    def remove(self, connection: Guest) -> None:
        if connection not in self._all.members:
            return  # it gave way
        self.not_waiting(connection)
        for crowd in self._crowds(connection):
            crowd.members.remove(connection)
        if not self._per_address[connection.address].members:
            del self._per_address[connection.address]

    def waits(self, connection: Guest) -> None:
        """Note that a connection has no request in work, or a stream that can go on elsewhere: it may give way."""
        for crowd in self._crowds(connection):
            crowd.waiting.setdefault(connection, self._clock())

    def not_waiting(self, connection: Guest) -> None:
        for crowd in self._crowds(connection):
            crowd.waiting.pop(connection, None)

    def begins(self, connection: Guest) -> None:
        """Note that a request comes into work; HttpRefusal if as many are as may be."""
        self.not_waiting(connection)
        for crowd in self._crowds(connection):
            if crowd.is_busy:
                raise _busy(crowd)

    def note(self, reason: str) -> None:
        """Count what was refused, and log it once a second at most."""
        self._count(reason)
        self._unlogged[reason] += 1
        if self._clock() - self._logged_at >= _LOG_EVERY_S:
            log.warning("connections refused", **dict(self._unlogged))
            self._unlogged.clear()
            self._logged_at = self._clock()

    def _crowds(self, connection: Guest) -> tuple[Crowd, Crowd]:
        return self._per_address[connection.address], self._all

    def _make_room(self, crowd: Crowd) -> None:
        for connection in crowd.surplus(self._clock()):
            self.note("CONNECTION_GAVE_WAY")
            self.remove(connection)
            connection.end()
        if crowd.excess and crowd.waiting and not crowd.is_watched:
            crowd.is_watched = True
            asyncio.get_running_loop().call_later(_GRACE_S, self._look_again, crowd)

    def _look_again(self, crowd: Crowd) -> None:
        crowd.is_watched = False
        self._make_room(crowd)


def _busy(crowd: Crowd) -> HttpRefusal:
    return HttpRefusal(503, "CONNECTIONS_BUSY", f"{crowd.too_many}, all of them in use; come again")


def most_connections(wanted: int) -> int:
    """Raise this process's limit of descriptors as far as it goes.

    Return how many of `wanted` connections it then has room for.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = wanted + _SPARE_DESCRIPTORS if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    most = max(1, min(wanted, limit - _SPARE_DESCRIPTORS))
    if most < wanted:
        log.warning("fewer connections than set", most=most, wanted=wanted, descriptors=limit)
    return most
