"""What dermis itself sends into a benchmark: the case model's branches, trained by its own recipe on the training cases of a fold."""

from dataclasses import replace

import numpy as np
from keras.utils import clear_session, set_random_seed
from sklearn.model_selection import GroupShuffleSplit

from dermis.shared.case import MAX_IMAGES
from dermis.trainer.benchmark import Contender, Task
from dermis.trainer.core.measures import Floats, Ints
from dermis.trainer.fit import Cases, Progress, Trained, fit, logits_of
from dermis.trainer.inputs import Dataset, features, targets
from dermis.trainer.model import Head, build_head, soft_loss
from dermis.trainer.recipe import Config, Stage

ANSWERS = "dermis, answers alone"
VALIDATION = 0.2
"""Share of a fold's training cases, in whole groups, that choose the penalty; then all of them are learned from."""
PENALTIES = (0.002, 0.006, 0.02)
RECIPE = Config(name="benchmark-answers", stages=(Stage(epochs=40, learning_rate=1e-2),), batch=64, patience=None, head=Head())


class NoImages:
    """Every case is shown without its images."""

    def load(self, places: Ints, rng: np.random.Generator | None) -> tuple[Floats, "np.ndarray[tuple[int, int], np.dtype[np.bool_]]"]:
        return np.zeros((len(places), MAX_IMAGES, 1, 1, 1), np.float32), np.zeros((len(places), MAX_IMAGES), bool)


def answers_alone(task: Task, training: Dataset, tested: Dataset) -> Floats:
    """The answers branch of the case model, of the penalty that does best on cases kept aside, then fitted on all training cases."""
    penalty = PENALTIES[0] if len(PENALTIES) == 1 else _chosen(task, training)
    logits = _fitted(task, training, tested, penalty).astype(np.float64)
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def _chosen(task: Task, training: Dataset) -> float:
    learn, watch = _parted(training)
    target = targets(watch.samples, task.conditions)[0].astype(np.float32)
    losses = {penalty: float(np.mean(soft_loss()(target, _fitted(task, learn, watch, penalty)))) for penalty in PENALTIES}
    return min(losses, key=lambda penalty: losses[penalty])


def _fitted(task: Task, training: Dataset, asked: Dataset, penalty: float) -> Floats:
    """Return the logits [N,K] of `asked` by a branch that learned from `training`."""
    config = replace(RECIPE, schema=task.schema, head=replace(RECIPE.head, l2=penalty))
    clear_session()
    set_random_seed(config.seed)
    head = build_head((1, 1, 1), columns=len(task.schema.columns), conditions=len(task.conditions), head=config.head)
    trained = Trained(None, head)
    fit(trained, _cases(task, training), None, config=config, stage=config.stages[0], progress=Progress(), quiet=True)
    return np.asarray(logits_of(trained, _cases(task, asked), batch=256))


def _parted(training: Dataset) -> tuple[Dataset, Dataset]:
    groups = [sample.group for sample in training.samples]
    learn, watch = next(GroupShuffleSplit(1, test_size=VALIDATION, random_state=0).split(groups, groups=groups))
    return tuple(training.take(training.samples[place].id for place in places) for places in (learn, watch))  # type: ignore[return-value]


def _cases(task: Task, part: Dataset) -> Cases:
    return Cases(
        source=NoImages(),
        features=features(part.samples, task.schema),
        target=targets(part.samples, task.conditions)[0],
        weight=np.ones(len(part), np.float32),
        ids=tuple(sample.id for sample in part.samples),
    )


DERMIS: dict[str, Contender] = {ANSWERS: answers_alone}
