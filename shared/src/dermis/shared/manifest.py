"""A model bundle's manifest and feature schema, and the pointer to the current one. Frozen like the facts of a case."""

import hashlib
import json
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from dermis.shared.vocabulary import SelfReport

AUDIT_ONLY = frozenset({"race_ethnicity"})
MODEL_NAME = "dermis"
CURRENT_KEY = "models/current.json"
SERVER_CONFIG_KEY = "models/models.config"
EVALUATION_FILE = "evaluation.json"
FEATURE_SCHEMA_FILE = "feature_schema.json"
MANIFEST_FILE = "manifest.json"
OUTLIERS_FILE = "outliers.npz"
TEXTURES_FILE = "textures.npz"
ANSWER_WEIGHTS_FILE = "answer_weights.npz"

URGENCY_THRESHOLD = 0.2
"""Of bundles whose trainer chose none: one case in five of such a condition is too many to keep silent about."""

FitzpatrickGroup = Literal["FST_I_II", "FST_III_IV", "FST_V_VI"]
ImageFit = Literal["LETTERBOX", "STRETCH"]
"""How an image becomes the model's square: its aspect kept, zeros around it, or every image stretched to it alike."""


class ManifestModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FeatureField(ManifestModel):
    """A question and how it becomes columns.

    ONE_OF: one column a value, then one that is 1 where the answer is absent. ANY_OF: the same, for several answers.
    Values listed in `absent_values` count as absent (SCIN's AGE_UNKNOWN is no age).
    """

    name: str
    kind: Literal["ONE_OF", "ANY_OF"]
    values: Annotated[tuple[str, ...], Field(min_length=1)]
    absent_values: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _name_is_an_answer(self) -> "FeatureField":
        if self.name not in SelfReport.model_fields:
            raise ValueError(
                f"field {self.name!r} is no answer of a self-report; use one of {sorted(SelfReport.model_fields)}"
            )
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        return (*(f"{self.name}={value}" for value in self.values), f"{self.name}=ABSENT")


class FeatureSchema(ManifestModel):
    """An ordered list of fields; its id is the SHA-256 of its canonical JSON (sorted keys, no spaces)."""

    format: Literal["dermis.feature-schema/1"] = "dermis.feature-schema/1"
    fields: Annotated[tuple[FeatureField, ...], Field(min_length=1)]

    @property
    def id(self) -> str:
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(column for field in self.fields for column in field.columns)

    @property
    def promotable(self) -> bool:
        """False if a field is for audit only: a model that reads race can't be promoted."""
        return not any(field.name in AUDIT_ONLY for field in self.fields)


class Condition(ManifestModel):
    id: str
    name: str


class Calibration(ManifestModel):
    """Temperature scaling (Guo et al. 2017): softmax(log p / temperature)."""

    method: Literal["temperature"] = "temperature"
    temperature: Annotated[float, Field(gt=0)] = 1.0


class PredictionSets(ManifestModel):
    """Conformal sets (Sadinle et al. 2019): every condition with probability >= threshold, at least the most probable.

    `thresholds` by self-reported Fitzpatrick group; where the type is not given, the lowest (largest sets) applies.
    `calibrated_on`: calibration cases of each group. `pooled`: groups with too few of them, whose threshold is that of
    all cases; no coverage is claimed for them.
    """

    coverage: Annotated[float, Field(gt=0, lt=1)]
    thresholds: dict[FitzpatrickGroup, float]
    calibrated_on: dict[FitzpatrickGroup, int] = {}
    pooled: tuple[FitzpatrickGroup, ...] = ()


class SelectiveRisk(ManifestModel):
    """What an abstention rule was chosen to keep, on `calibrated_on` cases (Geifman & El-Yaniv 2017).

    Of the cases answered at most `risk` lack their condition among the first `top`, with probability `confidence` over
    the calibration cases; `answered` is the share of these that were answered.
    """

    top: Annotated[int, Field(ge=1)]
    risk: Annotated[float, Field(gt=0, lt=1)]
    confidence: Annotated[float, Field(gt=0, lt=1)]
    answered: Annotated[float, Field(ge=0, le=1)]
    calibrated_on: int


class AbstentionRule(ManifestModel):
    """Abstain if the most probable condition has less than `min_probability`, or the set more than `max_set_size`.

    `chosen_for`: the selective risk that `min_probability` was chosen to keep; None if it was set by hand.
    """

    min_probability: Annotated[float, Field(ge=0, le=1)]
    max_set_size: Annotated[int, Field(ge=1)]
    chosen_for: SelectiveRisk | None = None


class ConditionGroup(ManifestModel):
    """A condition group; `name` in plain words. It holds `conditions` (ids), or the groups that name it as `parent`."""

    id: str
    name: str
    parent: str | None = None
    conditions: tuple[str, ...] = ()


class GroupedAnswers(ManifestModel):
    """Answers at the level at which the model can be sure: at most `most_entries` conditions or groups.

    The answer is the narrowest of a nested family whose probability exceeds `threshold`; none does: an abstention. In
    new cases it holds `coverage` of the reference differential, by `calibrated_on` cases. A group with more than
    `largest_share` of all conditions is no answer. `taxonomy`: what the groups were taken from.
    """

    coverage: Annotated[float, Field(gt=0, lt=1)]
    threshold: Annotated[float, Field(ge=0, le=1)]
    calibrated_on: int
    groups: Annotated[tuple[ConditionGroup, ...], Field(min_length=1)]
    most_entries: Annotated[int, Field(ge=1)] = 3
    largest_share: Annotated[float, Field(gt=0, le=1)] = 0.25
    taxonomy: str = ""

    @model_validator(mode="after")
    def _is_a_tree(self) -> "GroupedAnswers":
        ids = [group.id for group in self.groups]
        inside = [condition for group in self.groups for condition in group.conditions]
        tops = {group.id for group in self.groups if group.parent is None}
        if twice := {name for names in (ids, inside) for name in names if names.count(name) > 1}:
            raise ValueError(f"{min(twice)!r} stands twice in the groups: give each condition and group one place")
        if lost := {group.parent for group in self.groups if group.parent} - tops:
            raise ValueError(f"{min(lost)!r} is the parent of a group, but no group without a parent has this id")
        return self


class OutlierRule(ManifestModel):
    """Abstain if the outlier score of a case's embedding exceeds `threshold`.

    `file` of the bundle says how it is taken.

    `false_alarms`: the share of cases like those of training that it is made to cost, by `calibrated_on` cases.
    """

    file: str = OUTLIERS_FILE
    threshold: Annotated[float, Field(gt=0)]
    false_alarms: Annotated[float, Field(gt=0, lt=1)]
    calibrated_on: int


class TextureRule(ManifestModel):
    """Abstain if the texture of one of a case's images is less usual than `threshold`; `file` says how that is taken.

    `false_alarms`: the share of cases like those of training that it is made to cost, by `calibrated_on` cases.
    """

    file: str = TEXTURES_FILE
    threshold: Annotated[float, Field(gt=0)]
    false_alarms: Annotated[float, Field(gt=0, lt=1)]
    calibrated_on: int


class MalignantRule(ManifestModel):
    """The most probable malignant one of `conditions` joins the prediction set where all together reach `threshold`.

    Class-conditional conformal (Vovk 2012): `threshold` is the lowest of the labels' own, so that of the cases of each
    label at least `coverage` get a set with a malignant condition. `calibrated_on`: calibration cases by condition id.
    A label without enough cases for a threshold of its own makes it 0: every set then holds a malignant condition.
    """

    conditions: Annotated[tuple[str, ...], Field(min_length=1)]
    threshold: Annotated[float, Field(ge=0, le=1)]
    coverage: Annotated[float, Field(gt=0, lt=1)]
    calibrated_on: dict[str, int]


class Knowledge(ManifestModel):
    """What a model knows, beside its conditions, and what not, in plain words.

    `kind`: what a photo has to show for an answer to mean anything. `unknown`: what it can't tell, of which skin cancer
    is one for most. `measured_on`: independent cases by Fitzpatrick group, by the scale that the data has (`scale`:
    what people said of themselves, what a clinician estimated, or what was painted). `needed`: cases under which a
    group counts as not measured (the promotion gate's fewest). `data`: where the cases are from. `licence`: of weights
    and head.
    """

    kind: str
    unknown: tuple[str, ...] = ()
    data: str = ""
    licence: str = ""
    scale: Literal["self_reported", "estimated", "painted"] = "self_reported"
    measured_on: dict[FitzpatrickGroup, int] = {}
    needed: Annotated[int, Field(ge=1)] = 72

    @property
    def not_measured(self) -> tuple[FitzpatrickGroup, ...]:
        return tuple(group for group in get_args(FitzpatrickGroup) if self.measured_on.get(group, 0) < self.needed)


class Manifest(ManifestModel):
    """`manifest.json`: all that a worker needs to use a bundle.

    The bundle's folder is a SavedModel with one signature, `serving_default`: `images uint8[B,3,S,S,3]`,
    `image_mask bool[B,3]`, `features float32[B,F]` -> `probabilities float32[B,K]`, `embedding float32[B,E]`,
    `cam float32[B,3,h,w,K]`, `answers_logits float32[B,K]`.
    """

    format: Literal["dermis.bundle/1"] = "dermis.bundle/1"
    name: str = MODEL_NAME
    version: Annotated[int, Field(ge=1)]
    purpose: Literal["demo", "research", "release"]
    image_size: Annotated[int, Field(ge=32, le=512)]
    image_fit: ImageFit = "LETTERBOX"
    max_images: Literal[3] = 3
    conditions: Annotated[tuple[Condition, ...], Field(min_length=2)]
    feature_schema: str
    embedding_size: int
    cam_size: tuple[int, int]
    calibration: Calibration = Calibration()
    prediction_sets: PredictionSets
    abstention: AbstentionRule
    outliers: OutlierRule | None = None
    textures: TextureRule | None = None
    malignant: MalignantRule | None = None
    knowledge: Knowledge | None = None
    grouped_answers: GroupedAnswers | None = None
    urgency_threshold: Annotated[float, Field(gt=0, le=1)] = URGENCY_THRESHOLD
    """Probability from which a condition says how soon to have it looked at; below it, it says nothing of that."""
    answer_weights: str | None = None
    """File with the linear map from features to `answers_logits`; None: they are not linear, or the bundle is older."""
    urgency_calibrated_on: int | None = None
    """Cases on which the trainer chose `urgency_threshold`; None: it chose none, and the default stands."""
    lineage: dict[str, str] = {}
    files: dict[str, str]
    """Path in the bundle -> SHA-256 of its bytes, the manifest itself apart."""

    @model_validator(mode="after")
    def _groups_hold_its_conditions(self) -> "Manifest":
        groups = self.grouped_answers.groups if self.grouped_answers else ()
        inside = {condition for group in groups for condition in group.conditions}
        if lost := inside - {condition.id for condition in self.conditions}:
            raise ValueError(f"grouped_answers: {min(lost)!r} is no condition of the model: leave it out of the groups")
        return self

    @property
    def key(self) -> str:
        return bundle_key(self.name, self.version)


class VersionRef(ManifestModel):
    name: str
    version: int


VersionRole = Literal["current", "canary", "shadow", "previous"]


class Canary(ManifestModel):
    """A version that answers `percent` of the cases; `promotion` is the id of the record that began it."""

    ref: VersionRef
    percent: Annotated[int, Field(ge=1, le=50)]
    promotion: str


class Current(ManifestModel):
    """`models/current.json`: the one mutable object of the store.

    `shadow` answers beside `current` and is never shown; `canary` answers a share of the cases in its place.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    current: VersionRef
    previous: VersionRef | None = None
    shadow: VersionRef | None = None
    canary: Canary | None = None

    @property
    def roles(self) -> dict[VersionRef, VersionRole]:
        """Return what each version is that the pointer names; of two roles of one version the first counts."""
        canary = self.canary.ref if self.canary else None
        names: dict[VersionRole, VersionRef | None] = {
            "current": self.current,
            "canary": canary,
            "shadow": self.shadow,
            "previous": self.previous,
        }
        return {ref: role for role, ref in reversed(names.items()) if ref}


def bundle_key(name: str, version: int) -> str:
    return f"models/{name}/{version}"
