"""The worker's interfaces to the outside."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, Self

import numpy as np
import numpy.typing as npt

from dermis.shared.case import Fact, Received
from dermis.shared.evaluation import EvaluationReport
from dermis.shared.manifest import FeatureSchema, Manifest
from dermis.shared.ports import BlobStore
from dermis.shared.releases import ReleaseAnswer
from dermis.shared.vocabulary import MonkSkinTone, SelfReport
from dermis.shared.webhook_store import Outbox
from dermis.worker.core.answer_shares import AnswerWeights
from dermis.worker.core.outliers import Outliers
from dermis.worker.core.quality import Policy
from dermis.worker.core.skin import Gate
from dermis.worker.core.texture import Textures
from dermis.worker.strikes import Strikes

_CALLS_AT_ONCE = 8
Exceeded = Callable[[], object]
"""Called where an image takes more processor time to decode than it may; the process ends then."""
Role = Literal["current", "canary", "shadow"]
AtRisk = Callable[[], AbstractContextManager[None]]
"""Entered while images are looked at, which may take the process along."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Versions that are not current and may be asked, as serving has them ready.

    `canary` answers `percent` of the cases, by the record `promotion`; `shadow` answers beside the current version.
    """

    canary: Manifest | None = None
    percent: int = 0
    promotion: str = ""
    shadow: Manifest | None = None


class Models(Protocol):
    def pinned(self) -> Manifest:
        """Return the manifest of the model that a case taken up now is to be answered with; UNAVAILABLE if none is."""
        ...

    def candidates(self) -> Candidates:
        """Return the versions beside it; UNAVAILABLE as `pinned`."""
        ...

    def outliers(self, manifest: Manifest) -> Outliers | None:
        """Return what tells this version's outliers; None if its bundle has no such rule."""
        ...

    def textures(self, manifest: Manifest) -> Textures | None:
        """Return what tells images of unusual texture; None if this version's bundle has no such rule."""
        ...

    def bundle_answer_weights(self, manifest: Manifest) -> AnswerWeights | None:
        """Return how this version's answers_logits follow from its features; None if its bundle does not say."""
        ...

    def feature_schema(self, manifest: Manifest) -> FeatureSchema:
        """Return this version's feature schema."""
        ...

    def evaluation(self, manifest: Manifest) -> EvaluationReport | None:
        """Return this version's evaluation report; None if its bundle has none that can be read."""
        ...


class Features(Protocol):
    def encode(self, schema_id: str, report: SelfReport) -> npt.NDArray[np.float32]:
        """Return float32[F] by the feature schema with this content id."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """One case as the model takes it: `images` uint8[3, S, S, 3], `image_mask` bool[3], `features` float32[F]."""

    images: npt.NDArray[np.uint8]
    image_mask: npt.NDArray[np.bool_]
    features: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """What the model says of one case: `probabilities` float32[K], uncalibrated.

    `cam` float32[3, h, w, K], each position's share of each condition's logit; `answers_logits` float32[K]; `embedding`
    float32[E], None unless it is used.
    """

    probabilities: npt.NDArray[np.float32]
    cam: npt.NDArray[np.float32]
    answers_logits: npt.NDArray[np.float32]
    embedding: npt.NDArray[np.float32] | None = None


class Classifier(Protocol):
    def predict(self, manifest: Manifest, inputs: Inputs) -> Outputs:
        """Return the outputs of exactly this version of the model.

        The embedding is among them where the manifest has a rule on outliers.
        """
        ...

    def answer_weights(self, manifest: Manifest, columns: int) -> AnswerWeights | None:
        """Return how this version's answers_logits follow from a feature vector of so many columns.

        None as long as it would take too long to find out.
        """
        ...


class Announcer(Protocol):
    def announce(self, case_id: str, fact: str) -> None:
        """Wake whoever waits for a fact of this case; a hint that may be lost."""
        ...

    def reply(self, scratch_id: str, report: bytes) -> None:
        """Answer whoever waits for this image's quality report; a hint that may be lost."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """All that a use-case of a worker takes from outside."""

    store: BlobStore
    models: Models
    features: Features
    classifier: Classifier
    announcer: Announcer
    policy: Policy
    strikes: Strikes
    outbox: Outbox
    """Tells the webhooks of the case's owner."""
    gate: Gate | None = None
    """Refuses what is no photo of skin; None where it is switched off."""
    noted: Callable[[Fact], None] = lambda _: None
    """Told of each fact that this worker was the first to put."""
    noted_test: Callable[[Fact], None] = lambda _: None
    """Told of those of test cases in its place."""
    guard: Callable[[Exceeded], AbstractContextManager[None]] = lambda _: nullcontext()
    """Limits the processor time of what runs under it."""
    max_redeliveries: int = 2
    candidate_classifier: Classifier | None = None
    """Asks versions that are not current, with a deadline of its own; None: none is asked."""
    idle: Callable[[], bool] = lambda: True
    """Whether no case waits for a worker."""
    answered: Callable[[Manifest, Role, ReleaseAnswer, MonkSkinTone | None], None] = lambda *_: None
    """Told what a version made of a case, and the tone that its person stated."""
    compared: Callable[[Manifest, bool, MonkSkinTone | None], None] = lambda *_: None
    """Told whether a shadow agreed with the current version."""
    answer_unmeasured: bool = False
    """Answer people of a skin type for which the model was not measured, with a warning."""
    threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(_CALLS_AT_ONCE, thread_name_prefix="store")
    )
    """For calls of the store that don't wait for each other."""

    def for_case(self, received: Received) -> Self:
        """Return these ports, with which a test case's facts are counted apart."""
        return self if received.livemode else replace(self, noted=self.noted_test)
