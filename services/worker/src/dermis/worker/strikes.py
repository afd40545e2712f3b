"""The marks that workers leave which were lost at the images of a case."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from dermis.shared.case import (
    case_key,
)
from dermis.shared.errors import DermisError, Kind
from dermis.shared.jobs import AssessJob
from dermis.shared.ports import BlobConflict
from dermis.worker.ports import Ports

WORKER_LOST = "WORKER_LOST"


@contextmanager
def at_risk(ports: Ports, job: AssessJob) -> Iterator[None]:
    """Keep a mark while the images of a case are looked at, so that it outlives Redis and this process.

    It stands before decoding begins, whoever sent the job: a resend of the sweep is not marked as a redelivery.
    A mark that stays says that the worker was lost there: the images may be the cause. WORKER_LOST if that was so too often.
    """
    n, key = 0, ""
    while not key:
        n += 1
        with suppress(
            BlobConflict
        ):  # somebody else's, who was lost; a mark of our own that could not be removed is taken again
            ports.store.put_once(
                place := f"{case_key(job.owner, job.case_id)}/redelivered/{job.attempt}-{n}",
                ports.mark,
                reserved=True,
            )
            key = place
    if n > ports.max_redeliveries + 1:
        raise DermisError(
            Kind.INTERNAL, WORKER_LOST, "the worker was lost each time that it looked at the images of this case"
        )
    try:
        yield
    finally:
        with suppress(DermisError):
            ports.store.delete(key)
