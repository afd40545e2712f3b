"""The evaluation report of a model version, `evaluation.json`: it gates promotion, and API, pages and card show it.

`docs/explanation/evaluation.md` says what each figure means. New fields get a default, so that older reports are read;
what a newer report has beside these fields is kept as it is.
"""

import math
from functools import cached_property
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, model_validator

from dermis.shared.errors import DermisError, Kind
from dermis.shared.ports import BlobStore

FORMAT = "dermis.evaluation/1"
Interval = tuple[float, float] | None
"""95 %, low and high; None where too few groups of connected cases give one."""


class ReportModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)


class Figure(ReportModel):
    """A measured `value`, None where the cases give none, its interval, and the best constant list's value."""

    value: float | None
    interval: Interval
    floor: float | None = None


_FIGURES = TypeAdapter(dict[str, Figure])


class Figures(ReportModel):
    """A row that has each figure F flat: `F`, `F_interval` and, where a constant list scores too, `F_floor`."""

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """The figures by name."""
        flat = self.model_extra or {}
        rows = {
            name: {"value": value, "interval": flat[f"{name}_interval"], "floor": flat.get(f"{name}_floor")}
            for name, value in flat.items()
            if f"{name}_interval" in flat
        }
        return _FIGURES.validate_python(rows)

    @model_validator(mode="after")
    def _numbers(self) -> "Figures":
        _ = self.figures
        return self


class Slice(Figures):
    """
    The figures of `n` cases, in `groups` of connected ones, of one value of a cut; `answered_n` of them were answered.
    """

    value: str
    n: int
    groups: int | None = None
    answered_n: int | None = None


class Floors(ReportModel):
    """What constant lists score: the list by the training cases' prior, and the best one for these very cases."""

    top_1: float
    top_1_soft: float | None = None
    top_1_best_constant: float | None = None
    top_1_soft_best_constant: float | None = None
    top_3: float
    top_3_soft: float | None = None
    top_3_best_constant: float | None = None
    top_3_soft_best_constant: float | None = None
    top_5: float | None = None
    top_5_soft: float | None = None
    top_5_best_constant: float | None = None
    top_5_soft_best_constant: float | None = None
    meaning: str

    def of(self, measure: str) -> float | None:
        """Return the floor of a measure, None if it has none."""
        value = getattr(self, measure, None) if measure in type(self).model_fields else None
        return value if isinstance(value, float) else None


class PerfectModel(ReportModel):
    """
    What a perfect model shows at this n: of calibration errors mean and 95th percentile, of coverage the middle 95 %.
    """

    expected_calibration_error: tuple[float, float]
    expected_calibration_error_soft: Interval = None
    set_coverage: Interval
    meaning: str = ""

    def of(self, measure: str) -> Interval:
        """Return the two numbers of a measure, None if it has none."""
        value = getattr(self, measure, None) if measure in type(self).model_fields else None
        return value if isinstance(value, tuple) else None


class GroupCoverage(ReportModel):
    """The coverage of one self-reported Fitzpatrick group; nothing is `claimed` for a `pooled` one."""

    value: str
    n: int
    threshold: float | None
    calibrated_on: int | None
    claimed: float | None
    pooled: bool
    set_coverage_soft: float | None
    set_coverage_soft_interval: Interval
    set_coverage: float | None
    set_coverage_interval: Interval
    set_size: float | None
    perfect_model_at_this_n: Interval


class Gap(ReportModel):
    """The largest difference between values of a cut; `by_chance`: mean and 95th percentile if they were alike."""

    slice: str
    measure: str
    n: int
    lowest: str
    lowest_value: float
    highest: str
    highest_value: float
    difference: float
    difference_interval: Interval
    by_chance: tuple[float, float]
    left_out: tuple[str, ...]


class ReliabilityBin(ReportModel):
    """The share of right first conditions among the cases whose confidence lies between `low` and `high`."""

    low: float
    high: float
    n: int
    confidence: float
    right: float
    interval: Interval
    right_soft: float


class RiskPoint(ReportModel):
    """The risk when the most confident share `answered` is answered."""

    answered: float
    n: int | None = None
    risk: float
    interval: Interval


class Confusion(ReportModel):
    """How often each condition (row) was answered by each (column); `rows` says what a row is."""

    conditions: tuple[str, ...]
    rows: str
    n: tuple[tuple[int, ...], ...]


class GraderAgreement(ReportModel):
    """How one grader's first condition agrees with the other graders', over the `n` cases that have several."""

    n: int
    groups: int | None = None
    top_1: float | None = None
    top_1_interval: Interval = None
    soft: float | None = None
    soft_interval: Interval = None
    any: float | None = None
    any_interval: Interval = None


class MalignantRow(ReportModel):
    """The cases whose reference is a malignant `condition`, of `n`, in `groups` of connected ones.

    `held`: the share whose set holds a malignant condition or that got no answer; `benign_first`: whose first condition
    is benign; `missed_per_100`: of a hundred such cases, those answered by a set without any malignant condition.
    """

    condition: str
    n: int
    groups: int
    held: float
    held_interval: Interval = None
    in_set: float
    in_set_interval: Interval = None
    benign_first: float
    benign_first_interval: Interval = None
    missed_per_100: float
    missed_per_100_interval: Interval = None


class GroupedAnswersRow(ReportModel):
    """Answers of one kind (over groups, flat sets, the prior's) to `n` cases, all or one `value` of a `slice`.

    `coverage`: the weight of the reference differential under the answer; `answered`: the share that is no abstention;
    `leaves`: how many conditions an answer holds, an abstention all; `levels`: the share answered at each level.
    """

    answers: str
    slice: str = ""
    value: str = ""
    n: int
    groups: int
    coverage: Figure
    answered: Figure
    leaves: Figure
    levels: dict[str, float]


class SeenInTraining(ReportModel):
    """
    How many `of` the cases were in training and calibration; None where only the data set is known to be the same.
    """

    cases: int | None
    calibrated: int | None = None
    of: int
    how: str


class AnsweredByType(ReportModel):
    """
    The share answered of the `n` cases whose Fitzpatrick type is known: where people tell it, and where nobody does.
    """

    n: int
    with_type: Figure
    without_type: Figure


class ConditionRow(ReportModel):
    """A condition's `n` cases, in `groups` of connected ones, against all others.

    `sensitivity`: the share that has it first; AUROC and average precision are of its probability.
    """

    condition: str
    n: int
    groups: int
    sensitivity: Figure
    auroc: Figure
    average_precision: Figure


class RankingCurve(ReportModel):
    """Curves of one condition against the rest, or of all (`macro`: the mean over conditions); `n` cases have it.

    `roc`: (share of false alarms, sensitivity); `precision_recall`: (recall, precision). At most 50 points each.
    """

    of: str
    n: int
    roc: tuple[tuple[float, float], ...]
    precision_recall: tuple[tuple[float, float], ...]


class Mistake(ReportModel):
    """A `case` of the evaluation data whose answer no grader named: its `first` condition, beside the `reference`.

    `probability` is of the first condition, `of_reference` of the reference's. Never a client's case.
    """

    case: str
    reference: str
    first: str
    probability: float
    of_reference: float


class CohortDrop(ReportModel):
    """The `cases` that leave a cohort for one `reason`, and their `images`; images that go alone are of 0 cases."""

    reason: str
    cases: int
    images: int


class CohortStep(ReportModel):
    """What a step leaves of the cohort, and what it leaves out; `images` is None where nobody counted them."""

    name: str
    cases: int
    images: int | None
    dropped: tuple[CohortDrop, ...] = ()


class LearnedEpoch(ReportModel):
    """What one epoch of training came to: its number from 1, its stage from 1, and losses and accuracies by name."""

    epoch: int
    stage: int
    metrics: dict[str, float]


class EvaluationReport(ReportModel):
    """
    How a model was measured: figures with n, interval, floor and what a perfect model shows, overall and by `slices`.
    """

    format: Literal["dermis.evaluation/1"]
    model: str = ""
    purpose: str
    data: str
    data_digest: str = ""
    n: int
    groups: int | None = None
    unlabelled: int = 0
    answered_n: int | None = None
    folds: int = 1
    interval: str
    metrics: dict[str, float | None]
    mean_set_size: float | None
    intervals: dict[str, Interval]
    overall: dict[str, Figure] = {}
    calibrated_on: int | None = None
    prior: dict[str, float] = {}
    floors: Floors
    shown: dict[str, Figures]
    perfect_model_at_this_n: PerfectModel
    coverage: tuple[GroupCoverage, ...] = ()
    slices: dict[str, tuple[Slice, ...]]
    gaps: tuple[Gap, ...] = ()
    reliability: tuple[ReliabilityBin, ...] = ()
    risk_coverage: dict[str, tuple[RiskPoint, ...]] = {}
    confusion: Confusion | None = None
    human_agreement: GraderAgreement = GraderAgreement(n=0)
    seen_in_training: SeenInTraining | None = None
    malignant: tuple[MalignantRow, ...] = ()
    answered_by_type: AnsweredByType | None = None
    benign_with_malignant: Figure | None = None
    """The share of benign cases whose set holds a malignant condition."""
    grouped_answers: tuple[GroupedAnswersRow, ...] = ()
    n_min: int = 72
    """Cases under which a group counts as not measured (the promotion gate's fewest)."""
    by_condition: tuple[ConditionRow, ...] = ()
    curves: tuple[RankingCurve, ...] = ()
    """The mean of all conditions, then each condition of at least `n_min` cases."""
    mistakes: tuple[Mistake, ...] | None = None
    """The most confident first; None of a report that did not look for them."""
    cohort: tuple[CohortStep, ...] = ()
    """From the tables to the cases that were answered."""
    learning: tuple[LearnedEpoch, ...] = ()
    """The epochs of the training that the model comes from; none where its bundle does not tell them."""

    @model_validator(mode="before")
    @classmethod
    def _finite_numbers(cls, value: Any) -> Any:
        return _finite(value)

    def figure(self, name: str) -> Figure | None:
        """Return an overall figure with its floor, None if the report has none of that name."""
        if name in self.overall:
            value, interval = self.overall[name].value, self.overall[name].interval
        elif name in self.metrics:
            value, interval = self.metrics[name], self.intervals.get(name)
        else:
            return None
        return Figure(value=value, interval=interval, floor=self.floors.of(name))


def read_report(store: BlobStore, key: str) -> EvaluationReport:
    """Return the report that lies at a key; `BlobNotFound` without one, INVALID if it can't be read as one."""
    try:
        return EvaluationReport.model_validate_json(store.get(key))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = "/".join(map(str, first["loc"])) or "the file"
        detail = f"{key} is no evaluation report that can be read: {place}: {first['msg']}; evaluate the version again"
        raise DermisError(Kind.INVALID, "EVALUATION_BROKEN", detail) from error


def _finite(value: Any) -> Any:
    """Return a JSON value with None for NaN and infinities, for which JSON has no words."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {key: _finite(each) for key, each in value.items()}
        case list() | tuple():
            return [_finite(each) for each in value]
        case _:
            return value
