"""`promotions/`: what was asked of the pointer to the current model, and why it was done or not."""

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from typing import Literal

from dermis.shared.audit import Act, Audit
from dermis.shared.case import Fact
from dermis.shared.manifest import VersionRef
from dermis.shared.ports import BlobStore

PROMOTIONS = "promotions/"


class PromotionAction(StrEnum):
    PROMOTED = "PROMOTED"
    ROLLED_BACK = "ROLLED_BACK"
    REFUSED = "REFUSED"
    SHADOW_STARTED = "SHADOW_STARTED"
    SHADOW_ENDED = "SHADOW_ENDED"
    CANARY_STARTED = "CANARY_STARTED"
    CANARY_ENDED = "CANARY_ENDED"


class GateVerdict(StrEnum):
    PASSED = "PASSED"
    REFUSED = "REFUSED"
    INSUFFICIENT = "INSUFFICIENT"


class Waiver(Fact):
    """A person's statement that a group which is too small to judge may be passed over.

    Written SCALE=GROUP, or a scale that the data don't know.
    """

    group: str
    reason: str


class ComparisonRecord(Fact):
    """The comparison of one group (the gate's `Compared`), as it is recorded."""

    name: str
    n: int
    independent: int
    current: float | None
    candidate: float | None
    gain: float | None
    interval: tuple[float, float] | None
    detectable: float | None
    verdict: GateVerdict


class RateRecord(Fact):
    """How often a canary, and the current version on as large a share of the cases, failed or abstained.

    `interval`: of the canary's share less the current version's, 95 %; `bound`: the lower end that ends a canary.
    """

    name: Literal["FAILED", "ABSTAINED"]
    canary: int
    canary_n: int
    current: int
    current_n: int
    interval: tuple[float, float]
    bound: float


class PromotionFact(Fact):
    """`promotions/<id>.json`: what was asked of the pointer, and why it was done or not.

    `over`: what was current. `compared_with`: that, or the best constant list; on the data set whose digest is `data`,
    or on FEEDBACK. It is put before the pointer moves; models/current.json says what is current. `percent`: of a
    canary. `by`: a part of dermis, where no person asked.
    """

    id: str
    at: datetime
    action: PromotionAction
    ref: VersionRef
    over: VersionRef | None
    data: str | None = None
    compared_with: str | None = None
    measure: str = ""
    most_loss: float | None = None
    n_min: int | None = None
    overall: ComparisonRecord | None = None
    tones: tuple[ComparisonRecord, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    lower_purpose: bool = False
    reasons: tuple[str, ...] = ()
    percent: int | None = None
    rates: tuple[RateRecord, ...] = ()
    by: str = "operator"


def promotions(store: BlobStore) -> Iterator[PromotionFact]:
    """Yield every record, the oldest first."""
    return (PromotionFact.model_validate_json(store.get(key)) for key in store.list(PROMOTIONS))


def put_promotion(store: BlobStore, record: PromotionFact, *, part: str) -> None:
    """Put a record, and note it in the audit of `part`."""
    store.put_once(f"{PROMOTIONS}{record.id}.json", record.model_dump_json().encode())
    audit = Audit(store, part)
    audit.note(Act.PROMOTE, by=record.by, promotion=record.id, done=record.action.value)
    audit.flush()
