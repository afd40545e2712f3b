"""What can be done with batches, over the object store."""

import contextlib
import functools
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from dermis.gateway.batch_schemas import Batch, BatchSource, BatchSummary
from dermis.gateway.convert import answer_problems
from dermis.gateway.core import batch as rows_of
from dermis.gateway.pipeline import now
from dermis.gateway.problems import FieldProblem, FieldsError, fault
from dermis.shared.batches import (
    MOST_ROWS,
    BatchErased,
    BatchJob,
    BatchManifest,
    BatchRow,
    as_lines,
    batch_erased_key,
    batch_failed_key,
    batch_key,
    batch_manifest_key,
    batch_result_key,
    batch_rows_key,
    open_batch_key,
    steps_in,
)
from dermis.shared.erasing import RETAINED_BATCHES, erase_batch
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ids import is_id, new_id
from dermis.shared.ports import BlobNotFound, BlobStore, has
from dermis.shared.stores import is_store_url, open_source
from dermis.shared.stores.keys import checked
from dermis.shared.telemetry import log
from dermis.shared.vocabulary import SelfReport

M = TypeVar("M", bound=BaseModel)
_MOST_FAULTS = 20
_OF_A_CELL = "line {}: a cell is not understood; see the field that the pointer names, and the file"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPipeline:
    """The use-cases; `sources` are the stores that the operator lets batches read."""

    store: BlobStore
    sources: tuple[str, ...]
    max_csv_bytes: int
    open_source: Callable[[str], BlobStore] = open_source
    clock: Callable[[], datetime] = now

    def create(self, source: BatchSource, *, owner: str, csv: bytes | None = None) -> BatchManifest:
        """Store a batch of the rows in `csv`, in the source's CSV file, or of an image each below its prefix.

        PERMISSION if the operator did not name the source, INVALID with every fault of the rows, up to 20 of them.
        """
        self._check(source.url)
        opened = self.open_source(source.url)
        if csv is not None:
            rows = _of_csv(csv)
        elif source.csv is not None:
            rows = _of_csv(_read_source(opened, source.csv, most=self.max_csv_bytes), foreign=True)
        else:
            rows = _of_images(opened, source.prefix)
        batch_id = new_id("batch")
        manifest = BatchManifest(
            batch_id=batch_id, owner=owner, created_at=self.clock(), source=source.url, rows=len(rows)
        )
        parts = {
            open_batch_key(batch_id): b"{}",
            f"{RETAINED_BATCHES}{batch_id}": b"{}",
            batch_rows_key(batch_id): as_lines(rows),
            batch_manifest_key(batch_id): manifest.model_dump_json().encode(),
        }
        for _ in range(2):  # again, as the sweep may have taken it for lost if this took very long
            for key, data in parts.items():
                if not has(self.store, key):
                    self.store.put_once(key, data)
        return manifest

    def jobs(self, manifest: BatchManifest) -> list[BatchJob]:
        return [BatchJob(batch_id=manifest.batch_id, step=step) for step in range(manifest.steps)]

    def show(self, batch_id: str, *, owner: str) -> Batch:
        """Return a batch and how far it is; NOT_FOUND if there is none or it was erased."""
        manifest = self._manifest(batch_id, owner)
        done = steps_in(self.store.list(f"{batch_key(batch_id)}/results/"))
        failed = steps_in(self.store.list(f"{batch_key(batch_id)}/failed/")) - done
        return Batch(
            id=batch_id,
            status="FINISHED" if len(done | failed) == manifest.steps else "RUNNING",
            created_at=manifest.created_at,
            rows=manifest.rows,
            rows_done=sum(len(manifest.rows_of(step)) for step in done),
            step=manifest.size,
            failed={step: self.store.get(batch_failed_key(batch_id, step)).decode() for step in sorted(failed)},
            results=f"/v1/batches/{batch_id}/results",
        )

    def results(self, batch_id: str, *, owner: str) -> Iterator[bytes]:
        """Return the results as far as they go, in order, a step's ndjson at a time; NOT_FOUND as for a batch."""
        self._manifest(batch_id, owner)
        done = sorted(steps_in(self.store.list(f"{batch_key(batch_id)}/results/")))
        return self._read(batch_id, done)

    def page(self, *, owner: str, after: str, size: int) -> list[BatchSummary]:
        """Return up to `size` of an owner's batches with ids above `after`, in order."""
        keys = self.store.list("batches/", after=f"batches/{after}/~" if after else "")
        ids = (batch_id for batch_id, _ in itertools.groupby(key.split("/")[1] for key in keys))
        manifests = map(self._manifest_in_list, ids)
        own = (each for each in manifests if each and each.owner == owner)
        return [
            BatchSummary(id=each.batch_id, created_at=each.created_at, rows=each.rows)
            for each in itertools.islice(own, size)
        ]

    def erase(self, batch_id: str, *, owner: str) -> None:
        """Leave nothing of a batch but its tombstone; what a running worker adds later, the sweep removes."""
        self._manifest(batch_id, owner)
        erase_batch(self.store, batch_id, at=self.clock())

    def _check(self, url: str) -> None:
        if not is_store_url(url) or not url.isprintable():
            raise fault(
                "BATCH_SOURCE",
                f"url: {url[:100]!r} is no store; use file:///folder or gs://bucket/prefix",
                pointer="/url",
            )
        if not rows_of.may_read(url, self.sources):
            detail = (
                "batches may not read this store; the operator names those they may in DERMIS_GATEWAY_BATCH_SOURCES"
            )
            raise DermisError(Kind.PERMISSION, "BATCH_SOURCE_CLOSED", detail, pointer="/url")

    def _read(self, batch_id: str, steps: Sequence[int]) -> Iterator[bytes]:
        for step in steps:
            with contextlib.suppress(BlobNotFound):  # erased meanwhile
                yield self.store.get(batch_result_key(batch_id, step))

    def _manifest_in_list(self, batch_id: str) -> BatchManifest | None:
        try:
            return self._get(batch_manifest_key(batch_id), BatchManifest)
        except DermisError as error:
            if error.reason != "BATCH_BROKEN":
                raise
            return None  # it hurts nobody's list

    def _manifest(self, batch_id: str, owner: str) -> BatchManifest:
        manifest = self._get(batch_manifest_key(batch_id), BatchManifest) if is_id("batch", batch_id) else None
        if manifest is None or manifest.owner != owner or self._get(batch_erased_key(batch_id), BatchErased):
            raise DermisError(Kind.NOT_FOUND, "BATCH_NOT_FOUND", f"there is no batch {batch_id[:64]!r}")
        return manifest

    def _get(self, key: str, kind: type[M]) -> M | None:
        try:
            return kind.model_validate_json(self.store.get(key))
        except BlobNotFound:
            return None
        except ValidationError:
            _tell_broken(key)
            detail = "what the store holds of this batch can't be read; whoever runs the server finds in its log what"
            raise DermisError(Kind.INTERNAL, "BATCH_BROKEN", detail) from None


@functools.lru_cache(maxsize=1000)
def _tell_broken(key: str) -> None:
    """Log it once."""
    log.error("batch is broken", key=key)


def to_csv(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Return steps of ndjson as steps of CSV, the header first."""
    yield rows_of.as_csv((), header=True).encode()
    for step in lines:
        yield rows_of.as_csv(map(json.loads, step.splitlines()), header=False).encode()


def _read_source(source: BlobStore, key: str, *, most: int) -> bytes:
    try:
        data = source.get(key, most=most + 1)
    except BlobNotFound:
        raise fault("BATCH_CSV", f"csv: there is no {key!r} in the source; name another", pointer="/csv") from None
    if len(data) > most:
        raise fault("BATCH_CSV", f"csv: {key!r} has more than {most:,} bytes; split the table", pointer="/csv")
    return data


def _of_images(source: BlobStore, prefix: str) -> list[BatchRow]:
    keys = list(itertools.islice(filter(rows_of.is_image, source.list(prefix)), MOST_ROWS + 1))
    if not 1 <= len(keys) <= MOST_ROWS:
        many = f"more than {MOST_ROWS:,} images" if keys else "no image"
        detail = f"prefix: there is {many} below {prefix!r}; name another, or rows in a CSV file"
        raise fault("BATCH_ROWS", detail, pointer="/prefix")
    return [BatchRow(name=key, images=(key,)) for key in keys]


def _of_csv(data: bytes, *, foreign: bool = False) -> list[BatchRow]:
    """Return the rows of a CSV file; of a `foreign` one, which the caller need not have seen, no cell is told."""
    rows, problems = [], []
    for n, (line, cells) in enumerate(rows_of.read_csv(data, most=MOST_ROWS, foreign=foreign), start=1):
        place = f"/csv/{n}"
        try:
            images = tuple(map(checked, rows_of.images_of(cells)))
            report = SelfReport.model_validate(rows_of.answers_of(cells))
            rows.append(
                BatchRow(name=cells.get(rows_of.NAME, "").strip()[:400] or images[0], images=images, self_report=report)
            )
        except ValidationError as error:
            own = answer_problems(error, pointer=place, name=f"line {line}")
            problems += (
                [each.model_copy(update={"detail": _OF_A_CELL.format(line)}) for each in own] if foreign else own
            )
        except DermisError as error:
            detail = _OF_A_CELL.format(line) if foreign else f"line {line}: {error.detail}"
            problems.append(FieldProblem.at(f"{place}/images", error.reason, detail))
        if len(problems) >= _MOST_FAULTS:
            break
    if problems:
        raise FieldsError("BATCH_CSV", problems[:_MOST_FAULTS])
    return rows
