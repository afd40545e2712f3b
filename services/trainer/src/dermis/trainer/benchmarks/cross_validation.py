"""Nested k-fold: contenders of which each chooses by inner folds of the training cases alone, and a table of what they say of the rest."""

import hashlib
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dermis.data.dataset import Dataset, conditions_of
from dermis.shared.evaluation import Figure
from dermis.shared.manifest import Condition
from dermis.trainer import metrics as measures
from dermis.trainer.evaluation.comparison import differences
from dermis.trainer.evaluation.report import with_interval
from dermis.trainer.metrics import Judged
from dermis.trainer.model.inputs import targets

Floats = npt.NDArray[np.float64]
FOLDS_OUTER, FOLDS_INNER, SEED = 5, 3, 0
SHOWN = ("top_1", "top_3", "balanced_accuracy", "macro_auroc", "brier")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A model of a benchmark: `choices` to choose among, `fit` one of them on training cases and say what it thinks of others.

    `loss`: the log loss of that alone, where it is had for less.
    """

    name: str
    choices: tuple[Any, ...]
    fit: Callable[[Any, Dataset, Dataset], Floats]
    loss: Callable[[Any, Dataset, Dataset], float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """The N cases that a fold held out: `said` by each contender, probabilities [N,K], of each case by a model that never saw its `fold` [N].

    Cases that train in every fold, being all that some condition has, are not among them.
    """

    dataset: Dataset
    conditions: tuple[Condition, ...]
    fold: npt.NDArray[np.int64]
    said: Mapping[str, Floats]

    def judged(self, name: str) -> Judged:
        target, labels = targets(self.dataset.samples, self.conditions)
        return Judged.undecided(self.said[name], labels=labels, target=target, fold=self.fold)


def nested(
    dataset: Dataset, contenders: Sequence[Contender], work: Path, *, say: Callable[[str], None] = print
) -> HeldOut:
    """Return what each contender says of cases that it did not see; every case has to be labelled.

    A choice is made by the mean log loss over inner folds of an outer fold's training cases, then fitted on all of these.
    """
    conditions = conditions_of(dataset.samples)
    outer = dataset.split(seed=SEED, folds=FOLDS_OUTER)
    place = {sample.id: n for n, sample in enumerate(dataset.samples)}
    pooled = {contender.name: np.full((len(dataset), len(conditions)), np.nan) for contender in contenders}
    work.mkdir(parents=True, exist_ok=True)
    for fold, contender in itertools.product(range(FOLDS_OUTER), contenders):
        training, tested = dataset.fold(outer, fold)
        among = hashlib.sha256(str(contender.choices).encode()).hexdigest()[:12]
        path = work / f"{contender.name}-{among}-{dataset.digest[:12]}-{outer.digest[:12]}-{fold}.json"
        if not path.exists():
            losses = _inner_losses(contender, training, conditions, fold) if len(contender.choices) > 1 else [0.0]
            chosen = int(np.argmin(losses))
            predicted = contender.fit(contender.choices[chosen], training, tested)
            record = {
                "choice": str(contender.choices[chosen]),
                "inner_log_loss": losses,
                "ids": [s.id for s in tested.samples],
                "said": predicted.tolist(),
            }
            path.write_text(json.dumps(record))
        kept = json.loads(path.read_text())
        pooled[contender.name][[place[name] for name in kept["ids"]]] = kept["said"]
        say(
            f"fold {fold + 1} of {FOLDS_OUTER}, {contender.name}: {kept['choice']}, by inner folds {np.round(kept['inner_log_loss'], 4).tolist()}"
        )
    fold_of = {case.case_id: case.fold for case in outer.cases if case.fold is not None}
    rows = [place[sample.id] for sample in dataset.samples if sample.id in fold_of]
    held_out = dataset.take(fold_of)
    return HeldOut(
        dataset=held_out,
        conditions=conditions,
        fold=np.array([fold_of[sample.id] for sample in held_out.samples]),
        said={name: probabilities[rows] for name, probabilities in pooled.items()},
    )


def _inner_losses(contender: Contender, training: Dataset, conditions: tuple[Condition, ...], fold: int) -> list[float]:
    inner = training.split(seed=SEED + 1 + fold, folds=FOLDS_INNER)
    losses = np.zeros(len(contender.choices))
    for part in range(FOLDS_INNER):
        fitting, checked = training.fold(inner, part)
        target, _ = targets(checked.samples, conditions)
        for n, choice in enumerate(contender.choices):
            if contender.loss:
                losses[n] += contender.loss(choice, fitting, checked) / FOLDS_INNER
                continue
            probabilities = contender.fit(choice, fitting, checked)
            losses[n] -= (target * np.log(np.maximum(probabilities, 1e-12))).sum(1).mean() / FOLDS_INNER
    return [float(loss) for loss in losses]


def table(
    held_out: HeldOut, *, best: str, others: Sequence[str], by: Sequence[str] = ("fitzpatrick_estimated",)
) -> str:
    """Return Markdown: every contender beside the floor with intervals, then `best` less each of `others`, paired, and both by tone."""
    whole, dataset = {name: held_out.judged(name) for name in held_out.said}, held_out.dataset
    groups = [sample.group for sample in dataset.samples]
    weights = measures.draw_weights(groups, np.random.default_rng(0))
    lines = [f"n = {len(dataset)}, {len(set(groups))} groups; 95 % intervals by bootstrap over groups.", ""]
    lines += [f"| | {' | '.join(SHOWN)} |", f"|---|{'---|' * len(SHOWN)}"]
    for name, one in whole.items():
        figures = measures.figures(one, weights)
        lines.append(
            f"| {name} | " + " | ".join(cell(with_interval(figures[metric], groups)) for metric in SHOWN) + " |"
        )
    labels = next(iter(whole.values())).labels
    prior = np.bincount(labels) / len(labels)
    floors = [f"{measures.floor(labels, prior, top=top):.3f}" for top in (1, 3)]
    lines.append(
        f"| floor: the best constant list | {floors[0]} | {floors[1]} | {1 / len(prior):.3f} | 0.500 | {1 - (prior**2).sum():.3f} |"
    )
    for other in others:
        lines += _paired(dataset, whole, best, other, weights, by)
    return "\n".join(lines)


def _paired(
    dataset: Dataset, whole: Mapping[str, Judged], best: str, other: str, weights: measures.Floats, by: Sequence[str]
) -> list[str]:
    groups = [sample.group for sample in dataset.samples]
    paired = differences(whole[best], whole[other], weights, groups)
    lines = [
        "",
        f"{best} less {other}, on the same cases:",
        "",
        "| figure | difference | 95 % interval | excludes 0 |",
        "|---|---|---|---|",
    ]
    for metric in SHOWN:
        row = paired[metric]
        low, high = row.interval or (np.nan, np.nan)
        difference = "not stated" if row.difference is None else f"{row.difference:+.4f}"
        lines.append(
            f"| {metric} | {difference} | {low:+.4f} to {high:+.4f} | {'yes' if low > 0 or high < 0 else 'no'} |"
        )
    for scale in by:
        lines += ["", f"| {scale} | n | {best}: top-1 | top-3 | {other}: top-1 | top-3 |", "|---|---|---|---|---|---|"]
        values = [sample.slices[scale] for sample in dataset.samples]
        for value in sorted(set(values)):
            here = np.array([item == value for item in values])
            own = list(itertools.compress(groups, here))
            cells = []
            for name in (best, other):
                for top in (1, 3):
                    hit = measures.hits(whole[name].probabilities[here], whole[name].labels[here], top=top)
                    cells.append(cell(with_interval(measures.mean(hit, weights[:, here]), own)))
            lines.append(f"| {value} | {here.sum()} | {' | '.join(cells)} |")
    return lines


def cell(figure: Figure) -> str:
    """Return a figure and its interval as a cell of a table."""
    if figure.value is None:
        return "not stated"
    return f"{figure.value:.3f}" + (f" ({figure.interval[0]:.3f}-{figure.interval[1]:.3f})" if figure.interval else "")
