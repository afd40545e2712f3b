"""Heads on frozen features: logistic regression in the space of the training cases, alone or averaged."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax
from sklearn.metrics import recall_score
from threadpoolctl import threadpool_limits

from dermis.data.dataset import Dataset
from dermis.trainer.benchmarks.contenders import Conditions
from dermis.trainer.benchmarks.cross_validation import SEED, Contender, Input
from dermis.trainer.benchmarks.features import Block, FrozenFeatures
from dermis.trainer.metrics import Floats
from dermis.trainer.model.feature_schema import every_answer
from dermis.trainer.model.inputs import features, targets
from dermis.trainer.training.logistic_regression import fit_logistic_regression

PENALTIES = (3e-4, 1e-4, 3e-5)
"""Strengths of L2 on weights of features that are standardised and share one unit of variance within a block."""
_KEPT_SPACES = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Blocks of features side by side and the `penalty` of the head on them.

    `answers`: the spread of the answers' block beside them, which is 1 for the images' blocks together; 0: no answers.
    `heads`: as many heads of resampled groups of cases, their logits averaged; 0: one head of all.
    """

    blocks: tuple[Block, ...]
    penalty: float
    answers: float = 0.0
    heads: int = 0

    def __str__(self) -> str:
        parts = [" | ".join(map(str, self.blocks)), f"penalty {self.penalty:g}"]
        parts += [f"answers x {self.answers:g}"] if self.answers else []
        return "; ".join([*parts, f"{self.heads} heads"] if self.heads else parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSpace:
    """Training rows [N,R] and tested rows [M,R] along the R directions in which the training cases differ."""

    training: Floats
    tested: Floats


class Heads:
    """Fits recipes on a data set's frozen features; what cases look like in a recipe's features is kept for a while."""

    def __init__(self, features_of: FrozenFeatures, conditions: Conditions) -> None:
        self._features, self._conditions = features_of, conditions
        self._spaces: OrderedDict[object, RowSpace] = OrderedDict()
        self._logits: dict[object, Floats] = {}

    def logits(self, recipe: Recipe, training: Dataset, tested: Dataset) -> Floats:
        """Return logits [M,K] of the tested cases; they are kept, as several contenders may ask for them."""
        key = recipe, *(tuple(sample.id for sample in part.samples) for part in (training, tested))
        if key not in self._logits:
            self._logits[key] = self._fit(recipe, training, tested)
        return self._logits[key]

    def _fit(self, recipe: Recipe, training: Dataset, tested: Dataset) -> Floats:
        space = self._space(recipe, training, tested)
        target, _ = targets(training.samples, self._conditions)
        weightings = resampled([sample.group for sample in training.samples], recipe.heads)
        logits: Floats = np.mean([fit_head(space, target, weights, recipe.penalty) for weights in weightings], axis=0)
        return logits

    def _space(self, recipe: Recipe, training: Dataset, tested: Dataset) -> RowSpace:
        ids = (tuple(sample.id for sample in part.samples) for part in (training, tested))
        key = recipe.blocks, recipe.answers, *ids
        if key not in self._spaces:
            with threadpool_limits(1):
                self._spaces[key] = row_space(self._rows(recipe, training), self._rows(recipe, tested))
            while len(self._spaces) > _KEPT_SPACES:
                self._spaces.popitem(last=False)
        return self._spaces[key]

    def _rows(self, recipe: Recipe, part: Dataset) -> list[tuple[Floats, float]]:
        """Return blocks of features [N,C], each with its spread."""
        rows = self._features.rows(recipe.blocks, part)
        blocks = [(block, 1 / np.sqrt(len(rows))) for block in rows]
        if recipe.answers:
            blocks.append((np.asarray(features(part.samples, every_answer()), float), recipe.answers))
        return blocks


def row_space(training: Sequence[tuple[Floats, float]], tested: Sequence[tuple[Floats, float]]) -> RowSpace:
    """Return the cases along the principal directions of standardised blocks [N,C] and [M,C], each of its spread."""
    left, right = [], []
    for (block, spread), (other, _) in zip(training, tested, strict=True):
        mean, unit = block.mean(0), np.maximum(block.std(0), 1e-3) * np.sqrt(block.shape[1]) / spread
        left.append(np.asarray((block - mean) / unit, np.float32))
        right.append(np.asarray((other - mean) / unit, np.float32))
    rows, others = np.hstack(left), np.hstack(right)
    variances, directions = np.linalg.eigh(np.asarray(rows @ rows.T, np.float64))
    kept = variances > variances[-1] * 1e-4  # what is left out, every penalty shrinks to nothing
    lengths = np.sqrt(variances[kept])
    return RowSpace(training=directions[:, kept] * lengths, tested=(others @ rows.T) @ directions[:, kept] / lengths)


def resampled(groups: Sequence[str], heads: int) -> list[Floats]:
    """Return weights [N] for each head: those of a bootstrap over groups of connected cases; of one head all are 1."""
    names, place = np.unique(np.asarray(groups, str), return_inverse=True)
    rng = np.random.default_rng(SEED)
    counts = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), heads)
    return [np.asarray(count[place], float) for count in counts] if heads else [np.ones(len(place))]


def fit_head(space: RowSpace, target: Floats, weights: Floats, penalty: float) -> Floats:
    """Return logits [M,K] of the tested cases by multinomial logistic regression, L2 on all but the bias.

    The search is in the unit of each direction's curvature, so that it needs few steps.
    """
    rows = space.training
    unit = 1 / np.sqrt((rows**2).sum(0) / (4 * len(rows)) + penalty)
    start = np.zeros((rows.shape[1] + 1, target.shape[1]))
    start[-1] = np.log(np.average(target, axis=0, weights=weights) + 1e-6)
    fitted, _ = fit_logistic_regression(
        rows * unit,
        target,
        weights * (len(weights) / weights.sum()),
        l2=penalty / 2 * unit[:, None] ** 2,
        start=start,
        options={"maxiter": 200, "ftol": 1e-7},
    )
    return np.asarray((space.tested * unit) @ fitted[:-1] + fitted[-1])


def frozen_head(
    name: str, heads: Heads, conditions: Conditions, recipes: Sequence[Recipe], *, adjusted: bool = False
) -> Contender:
    """Return the best of recipes, by inner folds, as a contender.

    `adjusted`: logits less the logarithm of the conditions' shares in training (logit adjustment, Menon et al. 2021),
    chosen by balanced accuracy instead of the log loss: for the best balanced accuracy, not for calibrated
    probabilities.
    """
    sees: tuple[Input, ...] = ("images", "answers") if any(recipe.answers for recipe in recipes) else ("images",)

    def fit(recipe: Recipe, training: Dataset, tested: Dataset) -> Floats:
        logits = heads.logits(recipe, training, tested)
        if adjusted:
            logits = logits - np.log(targets(training.samples, conditions)[0].mean(0) + 1e-6)
        return np.asarray(softmax(logits, axis=1))

    def unbalanced(recipe: Recipe, training: Dataset, checked: Dataset) -> float:
        labels = targets(checked.samples, conditions)[1]
        first = fit(recipe, training, checked).argmax(1)
        return 1 - float(recall_score(labels, first, labels=np.unique(labels), average="macro"))

    loss: Callable[[Recipe, Dataset, Dataset], float] | None = unbalanced if adjusted else None
    return Contender(name=name, choices=tuple(recipes), fit=fit, loss=loss, sees=sees, settings=f"adjusted {adjusted}")
