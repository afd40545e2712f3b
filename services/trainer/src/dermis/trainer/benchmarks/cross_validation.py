"""Cross-validation of contenders on one set of folds: a fold that is done is kept on disk, and not done again."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dermis.data.dataset import Dataset, conditions_of
from dermis.data.split.split import Split
from dermis.shared.errors import DermisError, Kind
from dermis.shared.manifest import Condition
from dermis.shared.vocabulary import SelfReport
from dermis.trainer.metrics import Floats, Ints, Judged
from dermis.trainer.model.inputs import targets
from dermis.trainer.records.runs import code_version

FOLDS, INNER_FOLDS, SEED = 5, 3, 0
Input = Literal["images", "answers"]
EVERYTHING: tuple[Input, ...] = ("images", "answers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A model of a benchmark.

    `fit(choice, training, tested)` learns from training cases and returns the probabilities [N,K] of the tested ones.
    Of more than one of `choices` inner folds of the training cases choose; `loss`: the log loss of a choice alone,
    where that costs less. `sees`: what it gets of each case, in training too. `settings`: what else its figures depend
    on; a fold that is kept counts for these alone.
    """

    name: str
    fit: Callable[[Any, Dataset, Dataset], Floats]
    choices: tuple[Any, ...] = (None,)
    loss: Callable[[Any, Dataset, Dataset], float] | None = None
    sees: tuple[Input, ...] = EVERYTHING
    settings: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """N cases, each held out once: `predictions` [N,K] by contender, of each case by a model that never saw its `fold`.

    Cases that train in every fold, being all that some condition has, are not among them.
    """

    dataset: Dataset
    conditions: tuple[Condition, ...]
    split: Split
    fold: Ints
    predictions: Mapping[str, Floats]

    @property
    def groups(self) -> list[str]:
        return [sample.group for sample in self.dataset.samples]

    def judged(self, probabilities: Floats) -> Judged:
        target, labels = targets(self.dataset.samples, self.conditions)
        return Judged.undecided(probabilities, labels=labels, target=target, fold=self.fold)


def cross_validate(
    dataset: Dataset,
    contenders: Sequence[Contender],
    work: Path,
    *,
    split: Split | None = None,
    conditions: tuple[Condition, ...] | None = None,
    say: Callable[[str], None] = print,
) -> HeldOut:
    """Return what each contender predicts of labelled cases that it did not see; without a split, five folds are made.

    A choice is made by the mean log loss over inner folds of an outer fold's training cases, then fitted on all of
    these. INVALID if the split leaks or a fold has no labelled case.
    """
    conditions = conditions or conditions_of(dataset.samples)
    split = split or dataset.split(seed=SEED, folds=FOLDS)
    fold_of = {case.case_id: case.fold for case in split.cases if case.fold is not None}
    held_out = dataset.labelled().take(fold_of)
    row_of = {sample.id: row for row, sample in enumerate(held_out.samples)}
    predictions = {contender.name: np.full((len(held_out), len(conditions)), np.nan) for contender in contenders}
    for fold in range(split.folds):
        training, tested = (part.labelled() for part in dataset.fold(split, fold))
        if not len(tested):
            raise DermisError(Kind.INVALID, "BENCHMARK", f"fold {fold} holds no labelled case: ask for fewer folds")
        for contender in contenders:
            settings = (contender.choices, contender.sees, contender.settings, conditions)
            record = resumable(
                fold_file(work, contender.name, dataset, split, fold, settings),
                partial(_fold, contender, training, tested, conditions, fold),
            )
            predictions[contender.name][[row_of[case_id] for case_id in record["ids"]]] = record["predictions"]
            say(f"fold {fold + 1} of {split.folds}, {contender.name}{_choice(record)}")
    fold_of_row = np.array([fold_of[sample.id] for sample in held_out.samples])
    return HeldOut(dataset=held_out, conditions=conditions, split=split, fold=fold_of_row, predictions=predictions)


def fold_file(work: Path, name: str, dataset: Dataset, split: Split, fold: int, settings: Sequence[object]) -> Path:
    """Return where a fold is kept: its name says by which settings, cases, folds and code it was done."""
    parts = (*settings, dataset.digest, split.digest, code_version())
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()
    return work / f"{name}-{digest[:24]}-{fold}.json"


def resumable(path: Path, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the record in a file; where there is none it is computed, and put there whole or not at all."""
    if path.exists():
        return dict(json.loads(path.read_text(encoding="utf-8")))
    record = compute()
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(f".{os.getpid()}.half")
    half.write_text(json.dumps(record), encoding="utf-8")
    half.replace(path)
    return record


def _fold(
    contender: Contender, training: Dataset, tested: Dataset, conditions: tuple[Condition, ...], fold: int
) -> dict[str, Any]:
    losses = _inner_losses(contender, training, conditions, fold) if len(contender.choices) > 1 else [0.0]
    choice = contender.choices[int(np.argmin(losses))]
    return {
        "choice": str(choice),
        "inner_log_loss": losses,
        "ids": [sample.id for sample in tested.samples],
        "predictions": contender.fit(choice, *_visible(contender, training, tested)).tolist(),
    }


def _inner_losses(contender: Contender, training: Dataset, conditions: tuple[Condition, ...], fold: int) -> list[float]:
    inner = training.split(seed=SEED + 1 + fold, folds=INNER_FOLDS)
    losses = np.zeros(len(contender.choices))
    for part in range(INNER_FOLDS):
        fitting, checked = _visible(contender, *training.fold(inner, part))
        losses += [_loss(contender, choice, fitting, checked, conditions) for choice in contender.choices]
    return [float(loss) for loss in losses / INNER_FOLDS]


def _loss(
    contender: Contender, choice: object, fitting: Dataset, checked: Dataset, conditions: tuple[Condition, ...]
) -> float:
    if contender.loss:
        return contender.loss(choice, fitting, checked)
    target, _ = targets(checked.samples, conditions)
    probabilities = contender.fit(choice, fitting, checked)
    return -float((target * np.log(np.maximum(probabilities, 1e-12))).sum(1).mean())


def _visible(contender: Contender, *parts: Dataset) -> list[Dataset]:
    """Return the cases without what the contender does not see."""
    hidden: dict[str, Any] = {} if "images" in contender.sees else {"images": ()}
    hidden |= {} if "answers" in contender.sees else {"report": SelfReport()}
    return [replace(part, samples=tuple(replace(sample, **hidden) for sample in part.samples)) for part in parts]


def _choice(record: Mapping[str, Any]) -> str:
    if len(record["inner_log_loss"]) == 1:
        return ""
    return f": {record['choice']}, by inner folds {np.round(record['inner_log_loss'], 4).tolist()}"
