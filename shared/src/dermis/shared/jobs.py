"""What travels through the queue: ids, never images; under 1 KB."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from dermis.shared.images.color_profile import ColorProfile

CASES_QUEUE = "cases"
CASES_QUEUES = (CASES_QUEUE, "cases.2", "cases.4", "cases.8", "cases.16")
"""Where cases wait: the first of an owner, the 2nd and 3rd, the 4th to 7th, and so on.

Workers take from them in turn.
"""
ASSESS = "case.assess"
SCRATCH_QUEUE = "scratch"
ASSESS_IMAGE = "image.assess"
SHARDS_QUEUE = "shards"
IMAGES_SHARD = "images.shard"
REPLY_SECONDS = 60
SENT_AT = "sent_at"
"""Header of a message: Unix time at which it was sent. Beside it the trace's headers (W3C Trace Context)."""


class AssessJob(BaseModel):
    """Payload of `case.assess`; the producer and the worker share only this model."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    case_id: str
    owner: str
    attempt: int = 1
    line: str = ""
    """Whose turn the case takes, where that is not its owner's."""

    @property
    def turn_of(self) -> str:
        return self.line or self.owner


class AssessImageJob(BaseModel):
    """Payload of `image.assess`: the image at `scratch_key(scratch_id)`, without metadata, is to be judged at once.

    `color` is its profile as numbers; one that has none stands whole at `scratch_key(profile_id)`.

    The answer is a `QualityReport` as JSON, put with LPUSH to `reply_key(scratch_id)`, a list that expires after
    `REPLY_SECONDS`. Nobody waits for a job that came too late: a scratch object that is gone means nothing to do.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    scratch_id: str
    content_type: str
    orientation: Annotated[int, Field(ge=1, le=8)] = 1
    line: str = ""
    color: ColorProfile | None = None
    profile_id: str | None = None
    livemode: bool = True


class ShardJob(BaseModel):
    """Payload of `images.shard`: shard number `shard` of a profile of images is to be measured.

    The answer is `shard_result_key`, put once: ndjson, a row per image in the order of `ShardList.shard`. A shard that
    has its result means nothing to do; one that can't be measured gets `shard_failed_key` with a sentence that says
    why.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    profile_id: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]
    shard: Annotated[int, Field(ge=0)]


class ShardList(BaseModel):
    """`profiles/<id>/shards.json`: which images are measured, where they are, and by which quality policy.

    `source` is the URL of the store that holds `keys`; `quality_policy` the policy's JSON; `size` the images of a
    shard; `skin_gate` the id of the gate that judges them too, empty for none.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    source: str
    quality_policy: dict[str, Any]
    size: Annotated[int, Field(ge=1)]
    keys: tuple[str, ...]
    skin_gate: str = ""

    @property
    def shards(self) -> int:
        return -(-len(self.keys) // self.size)

    def shard(self, n: int) -> tuple[str, ...]:
        return self.keys[n * self.size : (n + 1) * self.size]


def shard_list_key(profile_id: str) -> str:
    return f"profiles/{profile_id}/shards.json"


def shard_result_key(profile_id: str, shard: int) -> str:
    return f"profiles/{profile_id}/results/{shard}.ndjson"


def shard_failed_key(profile_id: str, shard: int) -> str:
    return f"profiles/{profile_id}/failed/{shard}"


def cases_queue(place: int) -> str:
    """Return the queue of a case that is number `place`, from 1, of those of its owner that wait."""
    return CASES_QUEUES[min(max(place, 1).bit_length(), len(CASES_QUEUES)) - 1]


def scratch_key(scratch_id: str) -> str:
    return f"scratch/{scratch_id}"


def reply_key(scratch_id: str) -> str:
    """Redis list that takes the one answer to a job."""
    return f"dermis:reply:{scratch_id}"


def wakeup_channel(case_id: str) -> str:
    """Redis channel on which a new fact of a case is announced by its name."""
    return f"dermis:case:{case_id}"
