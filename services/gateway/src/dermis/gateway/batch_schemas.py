"""Batches as the HTTP API takes and shows them."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class BatchSource(BaseModel):
    """Where a batch's images are, and which: those below `prefix`, a case each, or the rows of a CSV file `csv`."""

    model_config = ConfigDict(extra="forbid")

    url: Annotated[str, Field(max_length=500)] = Field(description="a store that the operator lets batches read")
    prefix: Annotated[str, Field(max_length=400)] = Field("", description="a case for each image whose key starts so")
    csv: Annotated[str, Field(max_length=400)] | None = Field(
        None, description="key of a CSV file in the same store, in place of `prefix`"
    )


class Batch(BaseModel):
    """
    A batch and how far it is: `rows_done` grows in steps of `step`, `failed` names steps that can't be done and why.
    """

    id: str
    status: Literal["RUNNING", "FINISHED"]
    created_at: datetime
    rows: int
    rows_done: int
    step: int
    failed: dict[int, str]
    results: str = Field(description="where the results are, as far as they go")


class BatchSummary(BaseModel):
    id: str
    created_at: datetime
    rows: int


class BatchList(BaseModel):
    batches: list[BatchSummary]
    next_cursor: str | None
