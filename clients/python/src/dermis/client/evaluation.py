"""The evaluation report of a model version, as the gateway answers it."""

from pydantic import ConfigDict, Field

from dermis.client.answers import Interval, ResponseModel


class Figure(ResponseModel):
    """A measured value, its interval and the best constant list's value; each None where there is none."""

    value: float | None
    interval: Interval | None
    floor: float | None = None


class Figures(ResponseModel):
    """A row that has each figure F flat: `F`, `F_interval` and, where a constant list scores too, `F_floor`."""

    model_config = ConfigDict(extra="allow")

    def figure(self, name: str) -> Figure | None:
        """Return a figure of the row, such as `top_3`; None if it has none of that name."""
        flat = self.model_extra or {}
        if name not in flat:
            return None
        return Figure(value=flat[name], interval=flat.get(f"{name}_interval"), floor=flat.get(f"{name}_floor"))


class Slice(Figures):
    """The figures of `n` cases, in `groups` of connected ones, of one value of a cut.

    `answered_n` of them were answered.
    """

    value: str
    n: int
    groups: int | None = None
    answered_n: int | None = None


class Floors(ResponseModel):
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


class PerfectModel(ResponseModel):
    """What a perfect model shows at this n.

    Of calibration errors mean and 95th percentile, of coverage the middle 95 %.
    """

    expected_calibration_error: Interval
    expected_calibration_error_soft: Interval | None = None
    set_coverage: Interval | None
    meaning: str = ""


class GroupCoverage(ResponseModel):
    """The coverage of one self-reported Fitzpatrick group; nothing is `claimed` for a `pooled` one."""

    value: str
    n: int
    threshold: float | None
    calibrated_on: int | None
    claimed: float | None
    pooled: bool
    set_coverage_soft: float | None
    set_coverage_soft_interval: Interval | None
    set_coverage: float | None
    set_coverage_interval: Interval | None
    set_size: float | None
    perfect_model_at_this_n: Interval | None


class Gap(ResponseModel):
    """The largest difference between values of a cut; `by_chance`: mean and 95th percentile if they were alike."""

    slice: str
    measure: str
    n: int
    lowest: str
    lowest_value: float
    highest: str
    highest_value: float
    difference: float
    difference_interval: Interval | None
    by_chance: Interval
    left_out: list[str]


class ReliabilityBin(ResponseModel):
    """The share of right first conditions among the cases whose confidence lies between `low` and `high`."""

    low: float
    high: float
    n: int
    confidence: float
    right: float
    interval: Interval | None
    right_soft: float


class RiskPoint(ResponseModel):
    """The risk when the most confident share `answered` is answered."""

    answered: float
    n: int | None = None
    risk: float
    interval: Interval | None


class Confusion(ResponseModel):
    """How often each condition (row) was answered by each (column); `rows` says what a row is."""

    conditions: list[str]
    rows: str
    n: list[list[int]]


class GraderAgreement(ResponseModel):
    """How one grader's first condition agrees with the other graders', over the `n` cases that have several."""

    n: int
    groups: int | None = None
    top_1: float | None = None
    top_1_interval: Interval | None = None
    soft: float | None = None
    soft_interval: Interval | None = None
    any: float | None = None
    any_interval: Interval | None = None


class MalignantRow(ResponseModel):
    """The cases whose reference is a malignant `condition`, of `n`, in `groups` of connected ones.

    `held`: the share whose set holds a malignant condition or that got no answer; `benign_first`: whose first condition
    is benign; `missed_per_100`: of a hundred such cases, those answered by a set without any malignant condition.
    """

    condition: str
    n: int
    groups: int
    held: float
    held_interval: Interval | None = None
    in_set: float
    in_set_interval: Interval | None = None
    benign_first: float
    benign_first_interval: Interval | None = None
    missed_per_100: float
    missed_per_100_interval: Interval | None = None


class SeenInTraining(ResponseModel):
    """How many `of` the cases were in training and calibration.

    None where only the data set is known to be the same.
    """

    cases: int | None
    calibrated: int | None = None
    of: int
    how: str


class GroupedAnswersRow(ResponseModel):
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


class AnsweredByType(ResponseModel):
    """The share answered of the `n` cases whose Fitzpatrick type is known: where people tell it, where nobody does."""

    n: int
    with_type: Figure
    without_type: Figure


class ConditionRow(ResponseModel):
    """A condition's `n` cases, in `groups` of connected ones, against all others.

    `sensitivity`: the share that has it first; AUROC and average precision are of its probability.
    """

    condition: str
    n: int
    groups: int
    sensitivity: Figure
    auroc: Figure
    average_precision: Figure


class RankingCurve(ResponseModel):
    """Curves of one condition against the rest, or of all (`macro`: the mean over conditions); `n` cases have it.

    `roc`: (share of false alarms, sensitivity); `precision_recall`: (recall, precision). At most 50 points each.
    """

    of: str
    n: int
    roc: list[tuple[float, float]]
    precision_recall: list[tuple[float, float]]


class Mistake(ResponseModel):
    """A `case` of the evaluation data whose answer no grader named: its `first` condition, beside the `reference`.

    `probability` is of the first condition, `of_reference` of the reference's. Never a client's case.
    """

    case: str
    reference: str
    first: str
    probability: float
    of_reference: float


class CohortDrop(ResponseModel):
    """The `cases` that leave a cohort for one `reason`, and their `images`; images that go alone are of 0 cases."""

    reason: str
    cases: int
    images: int


class CohortStep(ResponseModel):
    """What a step leaves of the cohort, and what it leaves out; `images` is None where nobody counted them."""

    name: str
    cases: int
    images: int | None
    dropped: list[CohortDrop] = Field(default_factory=list)


class LearnedEpoch(ResponseModel):
    """What one epoch of training came to: its number from 1, its stage from 1, and losses and accuracies by name."""

    epoch: int
    stage: int
    metrics: dict[str, float]


class EvaluationReport(ResponseModel):
    """How a model was measured, overall and by `slices`.

    Figures come with n, interval, floor and what a perfect model shows.
    """

    format: str
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
    intervals: dict[str, Interval | None]
    overall: dict[str, Figure] = Field(default_factory=dict)
    calibrated_on: int | None = None
    prior: dict[str, float] = Field(default_factory=dict)
    floors: Floors
    shown: dict[str, Figures]
    perfect_model_at_this_n: PerfectModel
    coverage: list[GroupCoverage] = Field(default_factory=list)
    slices: dict[str, list[Slice]]
    gaps: list[Gap] = Field(default_factory=list)
    reliability: list[ReliabilityBin] = Field(default_factory=list)
    risk_coverage: dict[str, list[RiskPoint]] = Field(default_factory=dict)
    confusion: Confusion | None = None
    human_agreement: GraderAgreement = GraderAgreement(n=0)
    seen_in_training: SeenInTraining | None = None
    malignant: tuple[MalignantRow, ...] = ()
    answered_by_type: AnsweredByType | None = None
    benign_with_malignant: Figure | None = None
    grouped_answers: list[GroupedAnswersRow] = Field(default_factory=list)
    n_min: int = 72
    by_condition: list[ConditionRow] = Field(default_factory=list)
    curves: list[RankingCurve] = Field(default_factory=list)
    mistakes: list[Mistake] | None = None
    cohort: list[CohortStep] = Field(default_factory=list)
    learning: list[LearnedEpoch] = Field(default_factory=list)


class Evaluation(ResponseModel):
    """A version's evaluation report."""

    model: str
    report: EvaluationReport
