"""A step of a batch: its images read from their source, each row assessed as a case is, and the results put once."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import lru_cache, partial

from pydantic import ValidationError

from dermis.shared.batches import (
    BatchJob,
    BatchManifest,
    BatchResult,
    BatchRow,
    RowFault,
    as_lines,
    batch_erased_key,
    batch_failed_key,
    batch_key,
    batch_manifest_key,
    batch_result_key,
    batch_rows_key,
)
from dermis.shared.errors import DermisError, Kind
from dermis.shared.images.header import Reason
from dermis.shared.ports import BlobConflict, BlobNotFound, BlobStore, has
from dermis.worker.judge import TOO_COSTLY
from dermis.worker.pipeline import Pipeline
from dermis.worker.ports import AtRisk, Exceeded
from dermis.worker.row_by_row import RowByRow


class Batches:
    """Use-cases of a process; the last batch's rows are kept, as its steps come one after the other."""

    def __init__(
        self,
        pipeline: Pipeline,
        open_source: Callable[[str], BlobStore],
        *,
        give_up_after: timedelta = timedelta(days=1),
    ) -> None:
        self._pipeline = pipeline
        self._store = pipeline.store
        self._give_up_after = give_up_after
        self._opened = lru_cache(maxsize=1)(lambda batch_id: self._open(batch_id, open_source))

    def run(self, job: BatchJob, *, row_by_row: bool = False) -> int:
        """Do a step and return how many rows it has.

        0 if its result, or why there is none, stands already or the batch is erased.

        `row_by_row`: a worker was lost in this step; a row that takes further workers with it gets a fault. Of two
        workers on one step the first one's result stands. `DermisError` if the store, the source, metadata or serving
        can't be used.
        """
        key = batch_result_key(job.batch_id, job.step)
        careful = RowByRow(strikes=self._pipeline.strikes, prefix=f"{batch_key(job.batch_id)}/rows")
        if has(self._store, batch_erased_key(job.batch_id)):
            careful.clear()
            return 0
        if has(self._store, key) or has(self._store, batch_failed_key(job.batch_id, job.step)):
            return 0
        try:
            manifest, rows, source = self._opened(job.batch_id)
        except BlobNotFound:
            return 0  # erased, or never wholly submitted
        numbers = manifest.rows_of(job.step)

        def do(n: int, at_risk: AtRisk) -> bytes:
            costly, waits = partial(self._keep_costly, careful, n, rows[n]), partial(self._waits, job.batch_id)
            return as_lines([self._result(n, rows[n], source, waits=waits, exceeded=costly, at_risk=at_risk)])

        noted = row_by_row or careful.noted()
        try:
            data = b"".join(careful.run(numbers, do, lambda n: as_lines([_lost(n, rows[n])]), careful=noted))
        except BaseException:
            if has(self._store, batch_erased_key(job.batch_id)):
                careful.clear(*numbers)
            raise
        with suppress(BlobConflict):
            self._store.put_once(key, data, reserved=True)
        if noted:
            careful.clear(*numbers)
        self._delete_if_erased(job, key)
        return len(numbers)

    def length(self, job: BatchJob) -> int:
        """Return how many rows a step has; 0 if the batch is erased."""
        try:
            return len(self._opened(job.batch_id)[0].rows_of(job.step))
        except BlobNotFound:
            return 0

    def fail(self, job: BatchJob, detail: str) -> None:
        """Note why a step can't be done, for who waits for it."""
        key = batch_failed_key(job.batch_id, job.step)
        with suppress(BlobConflict):
            self._store.put_once(key, detail.encode(), reserved=True)
        self._delete_if_erased(job, key)

    def count_redelivery(self, job: BatchJob) -> int:
        """Note that a step was delivered again; return how often it was."""
        n = 1
        while not self._store.put_once(key := f"{batch_key(job.batch_id)}/redelivered/{job.step}-{n}", b"{}"):
            n += 1
        self._delete_if_erased(job, key)
        return n

    def forgive_redelivery(self, job: BatchJob, n: int) -> None:
        """Take the note with number `n` back: the worker was not lost."""
        self._store.delete(f"{batch_key(job.batch_id)}/redelivered/{job.step}-{n}")

    def _delete_if_erased(self, job: BatchJob, key: str) -> None:
        """Take back what was put, if the batch was erased meanwhile: nothing of it may stay."""
        if has(self._store, batch_erased_key(job.batch_id)):
            self._store.delete(key)

    def _keep_costly(self, careful: RowByRow, n: int, row: BatchRow) -> None:
        fault = RowFault(reason=Reason.COST, detail=f"{_names(row)}: {TOO_COSTLY}")
        careful.keep(n, as_lines([BatchResult(row=n, name=row.name, fault=fault)]))

    def _waits(self, batch_id: str) -> bool:
        """Return whether what is away is still waited for.

        By the store's clock, as this machine's or the gateway's may be far off.
        """
        return self._store.clock() - self._store.written_at(batch_manifest_key(batch_id)) < self._give_up_after

    def _result(
        self,
        n: int,
        row: BatchRow,
        source: BlobStore,
        *,
        waits: Callable[[], bool],
        exceeded: Exceeded,
        at_risk: AtRisk,
    ) -> BatchResult:
        """Return what became of a row.

        An image that can't be read is its own row's fault, a source that is away is waited for if `waits`.
        """
        try:
            images = [source.get(key) for key in row.images]
        except BlobNotFound as error:
            fault = RowFault(
                reason="IMAGE_MISSING", detail=f"{error.key!r} is not in the source; put it there or correct the row"
            )
            return BatchResult(row=n, name=row.name, fault=fault)
        except DermisError as error:
            if error.retryable and error.reason != "BLOB_UNREADABLE" and waits():
                raise
            detail = f"{error.detail}; let the worker read the row's images, and send the row again"
            return BatchResult(row=n, name=row.name, fault=RowFault(reason="IMAGE_UNREADABLE", detail=detail))
        outcome, assessed = self._pipeline.assess_row(
            row.name, images, row.self_report, exceeded=exceeded, at_risk=at_risk
        )
        return BatchResult(row=n, name=row.name, images=assessed, outcome=outcome)

    def _open(
        self, batch_id: str, open_source: Callable[[str], BlobStore]
    ) -> tuple[BatchManifest, Sequence[BatchRow], BlobStore]:
        key = batch_manifest_key(batch_id)
        try:
            manifest = BatchManifest.model_validate_json(self._store.get(key))
            rows = [
                BatchRow.model_validate_json(line) for line in self._store.get(batch_rows_key(batch_id)).splitlines()
            ]
        except ValidationError as error:
            raise DermisError(
                Kind.INVALID, "BATCH", f"{key}: {error.errors()[0]['loc']}: {error.errors()[0]['msg']}"
            ) from error
        return manifest, rows, open_source(manifest.source)


def _lost(n: int, row: BatchRow) -> BatchResult:
    detail = (
        f"the worker was lost each time that it read {_names(row)}: save it as an ordinary (baseline) JPEG, or "
        "leave the row out"
    )
    return BatchResult(row=n, name=row.name, fault=RowFault(reason="WORKER_LOST", detail=detail))


def _names(row: BatchRow) -> str:
    return ", ".join(map(repr, row.images))
