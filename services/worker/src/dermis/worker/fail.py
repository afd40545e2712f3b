"""Ends an attempt that can never succeed."""

from contextlib import suppress

from dermis.shared.case import CaseState, Failed, RedFlag, failed_key, fold
from dermis.shared.closing import close_attempt
from dermis.shared.jobs import AssessJob
from dermis.shared.ports import BlobConflict
from dermis.worker.core.red_flags import red_flags
from dermis.worker.facts import FactBroken, close, now, read
from dermis.worker.ports import Ports


def fail(ports: Ports, job: AssessJob, *, reason: str, detail: str) -> CaseState:
    """End this attempt and close the case, unless it has its outcome already."""
    try:
        state = read(ports, job)
    except FactBroken:  # there is nothing to go on with, at no later time either; its retention ends it
        _put_failed(ports, job, (), reason=reason, detail=detail)
        close_attempt(ports.store, case_id=job.case_id, attempt=job.attempt)
        return fold(())
    if state.received is not None and not state.closed:
        of_case = ports.for_case(state.received)
        _put_failed(of_case, job, red_flags(state.received.self_report), reason=reason, detail=detail)
    return close(ports, job, read(ports, job))


def _put_failed(ports: Ports, job: AssessJob, flags: tuple[RedFlag, ...], *, reason: str, detail: str) -> None:
    fact = Failed(
        case_id=job.case_id, attempt=job.attempt, failed_at=now(), reason=reason, detail=detail, red_flags=flags
    )
    with suppress(BlobConflict):
        if ports.store.put_once(
            failed_key(job.owner, job.case_id, job.attempt), fact.model_dump_json().encode(), reserved=True
        ):
            ports.noted(fact)
    ports.announcer.announce(job.case_id, "failed")
