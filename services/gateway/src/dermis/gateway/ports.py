"""The gateway's interfaces to the outside, other than the object store."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dermis.gateway.hub import Hub
from dermis.shared.batches import BatchJob
from dermis.shared.jobs import AssessImageJob, AssessJob
from dermis.shared.webhooks import DeliverJob


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLoad:
    """Cases that wait, and for how many seconds the oldest does; and those of one line alone."""

    depth: int = 0
    age: float = 0.0
    line: int = 0
    line_age: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Whether a call is one too many, how many are left, and after how many seconds there are more."""

    refused: bool
    left: int
    reset_s: int


class Rates(Protocol):
    """Counts calls; never fails, whatever happens to what it counts with."""

    async def hit(self, caller: str, *, per_minute: int) -> Rate:
        """Count a call of `caller` unless it is one too many."""
        ...

    async def wait(self, caller: str, *, per_minute: int) -> int:
        """Return after how many seconds `caller` may call again, 0 for now; nothing is counted."""
        ...

    async def close(self) -> None: ...


class Broker(Protocol):
    """Queue and wake-ups; a hint only: what it loses, the sweep brings back.

    No call takes much longer than a second.
    """

    async def send(self, job: AssessJob) -> bool:
        """Send a job; False, and no error, if that didn't work."""
        ...

    async def send_batch(self, jobs: Sequence[BatchJob]) -> None:
        """Send the steps of a batch; no error if that doesn't work, as the sweep sends those that are missing."""
        ...

    async def send_deliveries(self, jobs: Sequence[DeliverJob]) -> None:
        """Send word of deliveries to webhooks; no error if that doesn't work, as the sweep does so later."""
        ...

    async def delivers_webhooks(self) -> bool | None:
        """Return whether a worker that delivers webhooks shows itself; None if the broker can't be asked."""
        ...

    async def ask(self, job: AssessImageJob, *, seconds: float) -> bytes | None:
        """Have a worker judge an image and return its reply, or None if none came in time.

        UNAVAILABLE if it can't be asked.
        """
        ...

    async def announce(self, case_id: str, fact: str) -> None:
        """Tell all gateways of a new fact; no error if that doesn't work."""
        ...

    async def load(self, line: str = "") -> QueueLoad | None:
        """Return what waits in the queues of cases, and in one line, or None if the broker doesn't answer."""
        ...

    async def feed(self, hub: Hub) -> None:
        """Bring news of cases to `hub` until cancelled."""
        ...

    async def close(self) -> None: ...
