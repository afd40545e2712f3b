"""A batch of cases: what is put into its folder, and what travels for it. Frozen like the facts of a case."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from dermis.shared.case import MAX_IMAGES, AssessedImage, Outcome
from dermis.shared.vocabulary import SelfReport

BATCHES_QUEUE = "batches"
RUN_BATCH = "batch.run"
OPEN_BATCHES = "open-batches/"
MOST_ROWS = 100_000


class BatchModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class BatchJob(BatchModel):
    """Payload of `batch.run`: step number `step` of a batch is to be done.

    The answer is `batch_result_key`, put once: ndjson, a `BatchResult` per row of the step, in order. A step that has
    its result means nothing to do; one that can't be done gets `batch_failed_key` with a sentence that says why.
    """

    batch_id: Annotated[str, Field(pattern=r"^batch_[0-7][0-9a-hjkmnp-tv-z]{25}$")]
    step: Annotated[int, Field(ge=0)]


class BatchRow(BatchModel):
    """One case of a batch: `images` are keys in the batch's source."""

    name: Annotated[str, Field(min_length=1, max_length=400)]
    images: Annotated[tuple[str, ...], Field(min_length=1, max_length=MAX_IMAGES)]
    self_report: SelfReport = SelfReport()


class BatchManifest(BatchModel):
    """`batches/<id>/manifest.json`, put after `rows.ndjson`, so that who finds it finds the rows.

    `size` rows make a step.
    """

    batch_id: str
    owner: str
    created_at: datetime
    source: str
    rows: Annotated[int, Field(ge=1, le=MOST_ROWS)]
    size: Annotated[int, Field(ge=1)] = 8

    @property
    def steps(self) -> int:
        return -(-self.rows // self.size)

    def rows_of(self, step: int) -> range:
        """Return the numbers of a step's rows."""
        return range(step * self.size, min((step + 1) * self.size, self.rows))


class BatchErased(BatchModel):
    """`batches/<id>/erased.json`: a tombstone without anything personal."""

    batch_id: str
    erased_at: datetime


class RowFault(BatchModel):
    """Why a row has no outcome, and what to do about it."""

    reason: str
    detail: str


class BatchResult(BatchModel):
    """What became of a row: `outcome`, or `fault` where its images could not be read from the source."""

    row: int
    name: str
    images: tuple[AssessedImage, ...] = ()
    outcome: Outcome | None = None
    fault: RowFault | None = None


def batch_key(batch_id: str) -> str:
    return f"batches/{batch_id}"


def batch_manifest_key(batch_id: str) -> str:
    return f"{batch_key(batch_id)}/manifest.json"


def batch_rows_key(batch_id: str) -> str:
    return f"{batch_key(batch_id)}/rows.ndjson"


def batch_erased_key(batch_id: str) -> str:
    return f"{batch_key(batch_id)}/erased.json"


def batch_result_key(batch_id: str, step: int) -> str:
    return f"{batch_key(batch_id)}/results/{step}.ndjson"


def batch_failed_key(batch_id: str, step: int) -> str:
    return f"{batch_key(batch_id)}/failed/{step}"


def open_batch_key(batch_id: str) -> str:
    """The marker that the sweep lists."""
    return f"{OPEN_BATCHES}{batch_id}"


def steps_in(keys: Iterable[str]) -> set[int]:
    """Return the steps that the keys of results or failures are of."""
    return {int(name) for key in keys if (name := key.rpartition("/")[2].removesuffix(".ndjson")).isdecimal()}


def as_lines(items: Sequence[BaseModel]) -> bytes:
    """Return one JSON object a line, fields that were not set left out."""
    return b"".join(item.model_dump_json(exclude_defaults=True).encode() + b"\n" for item in items)
