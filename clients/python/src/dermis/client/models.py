"""What the gateway answers of models: their versions and what was promoted."""

from datetime import datetime

from dermis.client.answers import Condition, Interval, ResponseModel


class ModelSummary(ResponseModel):
    """A version of a model; cases are answered with the `current` one.

    `coverage`: share of cases whose set is made to hold the condition.
    """

    name: str
    version: int
    purpose: str
    current: bool
    conditions: list[Condition]
    image_size: int
    coverage: float
    evaluation: str


class ModelList(ResponseModel):
    models: list[ModelSummary]


class ComparedGroup(ResponseModel):
    """How a version did beside another one, on the same `n` cases of a group (`overall`, or SCALE=GROUP)."""

    name: str
    n: int
    independent: int
    current: float | None
    candidate: float | None
    gain: float | None
    interval: Interval | None
    verdict: str


class Waived(ResponseModel):
    """A group with too few cases to judge that someone let pass, and why."""

    group: str
    reason: str


class Promotion(ResponseModel):
    """A change of the current model that was asked for; `action` PROMOTED, ROLLED_BACK or REFUSED (with `reasons`)."""

    id: str
    at: datetime
    action: str
    model: str
    over: str | None
    data: str | None
    compared_with: str | None
    measure: str
    overall: ComparedGroup | None
    tones: list[ComparedGroup]
    waivers: list[Waived]
    lower_purpose: bool
    reasons: list[str]


class PromotionList(ResponseModel):
    promotions: list[Promotion]
    next_cursor: str | None
