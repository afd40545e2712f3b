"""A model bundle's manifest and feature schema, and the pointer to the current one. Frozen like the facts of a case."""

import hashlib
import json
from typing import Annotated, Literal

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

FitzpatrickGroup = Literal["FST_I_II", "FST_III_IV", "FST_V_VI"]


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


class OutlierRule(ManifestModel):
    """Abstain if the outlier score of a case's embedding exceeds `threshold`.

    `file` of the bundle says how it is taken.

    `false_alarms`: the share of cases like those of training that it is made to cost, by `calibrated_on` cases.
    """

    file: str = OUTLIERS_FILE
    threshold: Annotated[float, Field(gt=0)]
    false_alarms: Annotated[float, Field(gt=0, lt=1)]
    calibrated_on: int


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
    max_images: Literal[3] = 3
    conditions: Annotated[tuple[Condition, ...], Field(min_length=2)]
    feature_schema: str
    embedding_size: int
    cam_size: tuple[int, int]
    calibration: Calibration = Calibration()
    prediction_sets: PredictionSets
    abstention: AbstentionRule
    outliers: OutlierRule | None = None
    lineage: dict[str, str] = {}
    files: dict[str, str]
    """Path in the bundle -> SHA-256 of its bytes, the manifest itself apart."""

    @property
    def key(self) -> str:
        return bundle_key(self.name, self.version)


class VersionRef(ManifestModel):
    name: str
    version: int


class Current(ManifestModel):
    """`models/current.json`: the one mutable object of the store."""

    current: VersionRef
    previous: VersionRef | None = None


def bundle_key(name: str, version: int) -> str:
    return f"models/{name}/{version}"
