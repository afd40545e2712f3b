"""Who competes: floors, simple baselines, a linear probe, and the case model's branches trained by their own recipe on a fold's training cases."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
from keras.utils import clear_session, set_random_seed
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, GroupShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from dermis.data.dataset import Dataset, conditions_of
from dermis.metadata.core.encode import encode
from dermis.shared.case import MAX_IMAGES
from dermis.shared.vocabulary import SelfReport
from dermis.trainer.benchmarks.cross_validation import EVERYTHING, Contender, Modality
from dermis.trainer.benchmarks.task import Task
from dermis.trainer.config import Config, Stage
from dermis.trainer.metrics import Floats, Ints
from dermis.trainer.model.head import Head, build_head
from dermis.trainer.model.inputs import features, targets
from dermis.trainer.training.batches import Cases
from dermis.trainer.training.feature_cache import embed, gather
from dermis.trainer.training.loop import TrainedPart, TrainState, devices, predict_logits
from dermis.trainer.training.losses import cross_entropy
from dermis.trainer.training.sources import CachedViews
from dermis.trainer.training.train import fit_stage, new_backbone

ANSWERS, IMAGES, BOTH = "dermis, answers alone", "dermis, images alone", "dermis, images and answers"
PROBES = 20
VALIDATION = 0.2
"""Share of a fold's training cases, in whole groups, that choose the penalty; then all of them are learned from."""
PENALTIES = (0.002, 0.006, 0.02)
RECIPE = Config(
    name="benchmark-answers", stages=(Stage(epochs=40, learning_rate=1e-2),), batch=64, patience=None, head=Head()
)
IMAGES_RECIPE = Config(
    name="benchmark-images",
    stages=(Stage(epochs=40, learning_rate=3e-3),),
    batch=64,
    patience=None,
    head=Head(pooling="images"),
)
"""EfficientNet-Lite0 as published, frozen; each image once, as it is."""


class NoImages:
    """Cases without their images."""

    def load(
        self, places: Ints, rng: np.random.Generator | None
    ) -> tuple[Floats, "np.ndarray[tuple[int, int], np.dtype[np.bool_]]"]:
        return np.zeros((len(places), MAX_IMAGES, 1, 1, 1), np.float32), np.zeros((len(places), MAX_IMAGES), bool)


class Embedded:
    """The embeddings of a data set's images by a frozen backbone, once for all folds; `readable` of `images` are at hand."""

    def __init__(self, dataset: Dataset, config: Config, cache: Path, *, quiet: bool) -> None:
        backbone = new_backbone(config)
        self._cache, self._places = embed(dataset, backbone, cache, pooled=True, quiet=quiet)
        self._row = {sample.id: row for row, sample in enumerate(dataset.samples)}
        self.shape = (1, 1, backbone.output.shape[-1])
        self.images = sum(len(sample.images[:MAX_IMAGES]) for sample in dataset.samples)
        self.readable = int((self._places >= 0).sum())

    def of(self, part: Dataset) -> CachedViews:
        return CachedViews(self._cache, self._places[[self._row[sample.id] for sample in part.samples]], ("plain",))


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseModel:
    """The case model, of the penalty that does best on cases kept aside, then fitted on all training cases of the fold."""

    task: Task
    recipe: Config
    embedded: Embedded | None = None
    sees: tuple[Modality, ...] = EVERYTHING

    def contender(self, name: str) -> Contender:
        settings = f"{self.recipe} {PENALTIES} {VALIDATION} {self.task.schema}"
        return Contender(name=name, fit=self.fit, sees=self.sees, settings=settings)

    def fit(self, _: None, training: Dataset, tested: Dataset) -> Floats:
        penalty = PENALTIES[0] if len(PENALTIES) == 1 else self._chosen(training)
        logits = self._fitted(training, tested, penalty).astype(np.float64)
        powers = np.exp(logits - logits.max(1, keepdims=True))
        return np.asarray(powers / powers.sum(1, keepdims=True))

    def _chosen(self, training: Dataset) -> float:
        learn, watch = _parted(training)
        target = targets(watch.samples, self.task.conditions)[0].astype(np.float32)
        losses = {
            penalty: float(np.mean(cross_entropy()(target, self._fitted(learn, watch, penalty))))
            for penalty in PENALTIES
        }
        return min(losses, key=lambda penalty: losses[penalty])

    def _fitted(self, training: Dataset, asked: Dataset, penalty: float) -> Floats:
        """Return the logits [N,K] of `asked` by a model that learned from `training`."""
        config = replace(self.recipe, schema=self.task.schema, head=replace(self.recipe.head, l2=penalty))
        clear_session()
        set_random_seed(config.seed)
        shape = self.embedded.shape if self.embedded else (1, 1, 1)
        with devices().scope():
            head = build_head(
                shape, columns=len(self.task.schema.columns), conditions=len(self.task.conditions), head=config.head
            )
        part = TrainedPart(None, head)
        fit_stage(part, self._cases(training), None, config=config, stage=config.stages[0], state=TrainState())
        return np.asarray(predict_logits(part, self._cases(asked), batch=256))

    def _cases(self, part: Dataset) -> Cases:
        answered = features(part.samples, self.task.schema)
        return Cases(
            source=self.embedded.of(part) if self.embedded else NoImages(),
            features=answered
            if "answers" in self.sees
            else np.tile(encode(self.task.schema, SelfReport()), (len(part), 1)).astype(answered.dtype),
            target=targets(part.samples, self.task.conditions)[0],
            weight=np.ones(len(part), np.float32),
            ids=tuple(sample.id for sample in part.samples),
        )


def _parted(training: Dataset) -> tuple[Dataset, Dataset]:
    groups = [sample.group for sample in training.samples]
    learn, watch = next(GroupShuffleSplit(1, test_size=VALIDATION, random_state=0).split(groups, groups=groups))
    return tuple(training.take(training.samples[place].id for place in places) for places in (learn, watch))  # type: ignore[return-value]


def images_at_hand(dataset: Dataset) -> bool:
    """Tell whether the source holds images at all, by some of all cases."""
    keys = [key for sample in dataset.samples for key in sample.images]
    return any(dataset.read(key) is not None for key in keys[:: max(1, len(keys) // PROBES)])


def with_answers(task: Task) -> list[Contender]:
    return [CaseModel(task=task, recipe=RECIPE, sees=("answers",)).contender(ANSWERS)]


def with_images(task: Task, cache: Path, *, quiet: bool = False) -> tuple[list[Contender], Embedded]:
    """Return the contenders that see images, and what they see; the backbone runs here, once an image."""
    embedded = Embedded(task.whole.labelled(), IMAGES_RECIPE, cache, quiet=quiet)
    return [
        CaseModel(task=task, recipe=IMAGES_RECIPE, embedded=embedded, sees=("images",)).contender(IMAGES),
        CaseModel(task=task, recipe=IMAGES_RECIPE, embedded=embedded).contender(BOTH),
    ], embedded


PAIRS = ((BOTH, ANSWERS), (BOTH, IMAGES), (IMAGES, ANSWERS))
"""Which of them are compared, where both take part."""
STRENGTHS = (0.01, 0.03, 0.1, 0.3, 1.0)
"""Inverse strengths of L2 that the logistic regression chooses from, in each fold by its training cases alone."""
INNER_FOLDS = 3
PRIOR, REGRESSION = "constant prior", "logistic regression, one-hot answers"


def constant_prior(task: Task) -> Contender:
    """Return the best constant list, the floor of every top-k: the mean of the training cases' reference differentials."""

    def fit(_: None, training: Dataset, tested: Dataset) -> Floats:
        target, _labels = targets(training.samples, task.conditions)
        return np.tile(target.mean(0), (len(tested), 1))

    return Contender(name=PRIOR, fit=fit, sees=())


def logistic_regression(task: Task) -> Contender:
    """Return multinomial logistic regression on one-hot answers, absent ones included, against the reference differential.

    A case stands once for each condition that it names, with that weight.
    """

    def fit(_: None, training: Dataset, tested: Dataset) -> Floats:
        answers, (target, _labels) = features(training.samples, task.schema), targets(training.samples, task.conditions)
        groups = np.array([sample.group for sample in training.samples])
        losses = {strength: inner_loss(answers, target, groups, strength) for strength in STRENGTHS}
        best = min(losses, key=lambda strength: losses[strength])
        return fit_regression(answers, target, best)(features(tested.samples, task.schema))

    settings = f"{STRENGTHS} {INNER_FOLDS} {task.schema}"
    return Contender(name=REGRESSION, fit=fit, sees=("answers",), settings=settings)


def baselines(task: Task) -> list[Contender]:
    return [constant_prior(task), logistic_regression(task)]


def inner_loss(answers: Floats, target: Floats, groups: Ints, strength: float) -> float:
    folds = GroupKFold(INNER_FOLDS).split(answers, groups=groups)
    lost = [
        -(
            target[checked]
            * np.log(np.maximum(fit_regression(answers[kept], target[kept], strength)(answers[checked]), 1e-9))
        ).sum()
        for kept, checked in folds
    ]
    return float(np.sum(lost))


def fit_regression(answers: Floats, target: Floats, strength: float) -> Callable[[Floats], Floats]:
    rows, columns = np.nonzero(target)
    model = LogisticRegression(C=strength, max_iter=2000).fit(
        answers[rows], columns, sample_weight=target[rows, columns]
    )

    def predict(asked: Floats) -> Floats:
        probabilities = np.zeros((len(asked), target.shape[1]))
        probabilities[:, model.classes_] = model.predict_proba(asked)
        return probabilities

    return predict


PROBE_C = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)


def probe(dataset: Dataset, backbone: keras.Model, work: Path) -> Contender:
    """Return the usual linear probe: logistic regression on the last layer's standardised means, at the size it was published for."""
    cache, places = embed(dataset, backbone, work / "embeddings", pooled=True, quiet=True)
    maps, _ = gather(cache, places[..., 0])
    rows = dict(zip((sample.id for sample in dataset.samples), maps[:, 0, 0, 0], strict=True))
    conditions = conditions_of(dataset.samples)

    def fit(choice: float, training: Dataset, tested: Dataset) -> Floats:
        fitted = make_pipeline(StandardScaler(), LogisticRegression(C=choice, max_iter=500))
        with threadpool_limits(1):
            fitted.fit(np.stack([rows[s.id] for s in training.samples]), targets(training.samples, conditions)[1])
            probabilities = fitted.predict_proba(np.stack([rows[s.id] for s in tested.samples]))
        whole = np.zeros((len(tested), len(conditions)))
        whole[:, fitted[-1].classes_] = probabilities
        return whole

    return Contender(name="linear probe", choices=PROBE_C, fit=fit, sees=("images",))
