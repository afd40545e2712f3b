"""Reads and puts the facts of a case, and closes it."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TypeVar

from pydantic import ValidationError

from dermis.shared.case import (
    Assessed,
    CaseState,
    Erased,
    Fact,
    FactName,
    Failed,
    OpenCase,
    Outcome,
    Received,
    fact_key,
    failed_key,
    fold,
    open_key,
)
from dermis.shared.closing import close_attempt
from dermis.shared.erasing import clear
from dermis.shared.errors import DermisError, Kind
from dermis.shared.jobs import AssessJob
from dermis.shared.ports import BlobConflict, BlobNotFound
from dermis.shared.telemetry import log
from dermis.worker.ports import Ports

F = TypeVar("F", bound=Fact)


class FactBroken(DermisError):
    """A fact of the case is there and can't be read."""


def now() -> datetime:
    return datetime.now(UTC)


def marker(ports: Ports, job: AssessJob) -> OpenCase | None:
    """Return the marker of an open case, or None if it is not open."""
    return get(ports, open_key(job.case_id), OpenCase)


def open_seconds(ports: Ports, job: AssessJob) -> float:
    """Return for how long a case is open, by the store's clock: this machine's or the gateway's may be far off."""
    try:
        return (ports.store.clock() - ports.store.written_at(open_key(job.case_id))).total_seconds()
    except BlobNotFound:  # closed meanwhile
        return 0


def read(ports: Ports, job: AssessJob) -> CaseState:
    """Return the state of a case; `FactBroken` if one of its facts can't be read."""
    submit, owner, case_id = ports.threads.submit, job.owner, job.case_id
    reads = (
        submit(get, ports, fact_key(owner, case_id, "received"), Received),
        submit(get, ports, fact_key(owner, case_id, "assessed"), Assessed),
        submit(get, ports, fact_key(owner, case_id, "outcome"), Outcome),
        submit(get, ports, failed_key(owner, case_id, job.attempt), Failed),
        submit(get, ports, fact_key(owner, case_id, "erased"), Erased),
    )
    return fold(read.result() for read in reads)


def get(ports: Ports, key: str, model: type[F]) -> F | None:
    """Return a fact, or None if it is not there; `FactBroken` if it can't be read."""
    try:
        return model.model_validate_json(ports.store.get(key))
    except BlobNotFound:
        return None
    except ValidationError as error:
        raise FactBroken(Kind.INTERNAL, "FACT_BROKEN", f"a {error.title} in the store can't be read") from None


def put(ports: Ports, job: AssessJob, name: FactName, fact: F) -> F:
    """Put a fact and return the one that stands: of two workers on one case, the first one's counts."""
    key = fact_key(job.owner, job.case_id, name)
    try:
        ports.store.put_once(key, fact.model_dump_json().encode(), reserved=True)
    except BlobConflict:
        return type(fact).model_validate_json(ports.store.get(key))
    ports.announcer.announce(job.case_id, name)
    ports.noted(fact)
    return fact


def put_all(ports: Ports, objects: Mapping[str, bytes]) -> None:
    """Put objects at once; what an earlier attempt, another worker or another version put stands."""

    def put(item: tuple[str, bytes]) -> None:
        with suppress(BlobConflict):
            ports.store.put_once(*item, reserved=True)

    list(ports.threads.map(put, objects.items()))


def put_hint(ports: Ports, key: str) -> None:
    """Put an empty object that the case does not need: where the store can't take it now, it is lost."""
    try:
        ports.store.put_once(key, b"")
    except DermisError as error:
        log.warning("mark not put", reason=error.reason)


def close(ports: Ports, job: AssessJob, state: CaseState) -> CaseState:
    """Remove what a closed case no longer needs; of an erased case, everything that came after its tombstone.

    A failure closes its own attempt: the marker of a later one, which was opened by a replay, stays.
    """
    if state.erased:
        clear(ports.store, owner=job.owner, case_id=job.case_id)
    if state.closed:
        ports.outbox.put(state.erased or state.outcome or state.failed, owner=job.owner)
        if state.erased or state.outcome:
            ports.store.delete(open_key(job.case_id))
        else:
            close_attempt(ports.store, case_id=job.case_id, attempt=job.attempt)
        if not state.erased and get(ports, fact_key(job.owner, job.case_id, "erased"), Erased):
            clear(ports.store, owner=job.owner, case_id=job.case_id)  # who erased it just now counted on the marker
    return state
