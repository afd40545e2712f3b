"""Cross-validation of contenders on one set of folds: each fold is kept on disk, so that a run goes on where it was stopped."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dermis.data.dataset import Dataset, conditions_of
from dermis.data.split.split import Split
from dermis.shared.errors import DermisError, Kind
from dermis.shared.manifest import Condition
from dermis.trainer.metrics import Floats, Ints, Judged
from dermis.trainer.model.inputs import targets
from dermis.trainer.records.runs import code_version

FOLDS_OUTER, FOLDS_INNER, SEED = 5, 3, 0
Modality = Literal["images", "answers"]
EVERYTHING: tuple[Modality, ...] = ("images", "answers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A model of a benchmark.

    `fit(choice, training, tested)` learns from training cases and returns the probabilities [N,K] of the tested ones. Of more than one of
    `choices` inner folds of the training cases choose; `loss`: the log loss of a choice alone, where it is had for less. `sees`: what of a
    case it is given. `settings`: what else its figures depend on; a kept fold counts for these alone.
    """

    name: str
    fit: Callable[[Any, Dataset, Dataset], Floats]
    choices: tuple[Any, ...] = (None,)
    loss: Callable[[Any, Dataset, Dataset], float] | None = None
    sees: tuple[Modality, ...] = EVERYTHING
    settings: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """N cases, each held out once: `predictions` [N,K] by contender, of each case by a model that never saw its `fold` [N].

    Cases that train in every fold, being all that some condition has, are not among them.
    """

    dataset: Dataset
    conditions: tuple[Condition, ...]
    fold: Ints
    predictions: Mapping[str, Floats]

    @property
    def groups(self) -> list[str]:
        return [sample.group for sample in self.dataset.samples]

    def judged(self, name: str) -> Judged:
        target, labels = targets(self.dataset.samples, self.conditions)
        return Judged.undecided(self.predictions[name], labels=labels, target=target, fold=self.fold)


def cross_validate(
    dataset: Dataset,
    contenders: Sequence[Contender],
    work: Path,
    *,
    split: Split | None = None,
    conditions: tuple[Condition, ...] | None = None,
    say: Callable[[str], None] = print,
) -> HeldOut:
    """Return what each contender predicts of labelled cases that it did not see; without a split, five folds are made here.

    A choice is made by the mean log loss over inner folds of an outer fold's training cases, then fitted on all of these. INVALID if the
    split leaks or a fold has no labelled case.
    """
    conditions = conditions or conditions_of(dataset.samples)
    split = split or dataset.split(seed=SEED, folds=FOLDS_OUTER)
    fold_of = {case.case_id: case.fold for case in split.cases if case.fold is not None}
    held_out = dataset.labelled().take(fold_of)
    row_of = {sample.id: row for row, sample in enumerate(held_out.samples)}
    predictions = {contender.name: np.full((len(held_out), len(conditions)), np.nan) for contender in contenders}
    digests = {contender.name: _digest(contender, dataset, split, conditions) for contender in contenders}
    for fold in range(split.folds):
        training, tested = (part.labelled() for part in dataset.fold(split, fold))
        if not len(tested):
            raise DermisError(Kind.INVALID, "BENCHMARK", f"fold {fold} holds no labelled case: ask for fewer folds")
        for contender in contenders:
            path = work / f"{contender.name}-{digests[contender.name]}-{fold}.json"
            record = _kept(path) or _keep(path, _fold(contender, training, tested, conditions, fold))
            predictions[contender.name][[row_of[case_id] for case_id in record["ids"]]] = record["predictions"]
            say(f"fold {fold + 1} of {split.folds}, {contender.name}{_choice(record)}")
    return HeldOut(
        dataset=held_out,
        conditions=conditions,
        fold=np.array([fold_of[sample.id] for sample in held_out.samples]),
        predictions=predictions,
    )


def _fold(
    contender: Contender, training: Dataset, tested: Dataset, conditions: tuple[Condition, ...], fold: int
) -> dict[str, Any]:
    losses = _inner_losses(contender, training, conditions, fold) if len(contender.choices) > 1 else [0.0]
    choice = contender.choices[int(np.argmin(losses))]
    predictions = contender.fit(choice, training, tested)
    return {
        "choice": str(choice),
        "inner_log_loss": losses,
        "ids": [sample.id for sample in tested.samples],
        "predictions": predictions.tolist(),
    }


def _inner_losses(contender: Contender, training: Dataset, conditions: tuple[Condition, ...], fold: int) -> list[float]:
    inner = training.split(seed=SEED + 1 + fold, folds=FOLDS_INNER)
    losses = np.zeros(len(contender.choices))
    for part in range(FOLDS_INNER):
        fitting, checked = training.fold(inner, part)
        for n, choice in enumerate(contender.choices):
            losses[n] += _loss(contender, choice, fitting, checked, conditions) / FOLDS_INNER
    return [float(loss) for loss in losses]


def _loss(
    contender: Contender, choice: object, fitting: Dataset, checked: Dataset, conditions: tuple[Condition, ...]
) -> float:
    if contender.loss:
        return contender.loss(choice, fitting, checked)
    target, _ = targets(checked.samples, conditions)
    probabilities = contender.fit(choice, fitting, checked)
    return -float((target * np.log(np.maximum(probabilities, 1e-12))).sum(1).mean())


def _digest(contender: Contender, dataset: Dataset, split: Split, conditions: tuple[Condition, ...]) -> str:
    """Return what a kept fold is valid for: contender, cases, folds, conditions and the code that trains."""
    parts = (contender.choices, contender.sees, contender.settings, dataset.digest, split.digest, conditions)
    return hashlib.sha256("\0".join([*map(str, parts), code_version()]).encode()).hexdigest()[:24]


def _kept(path: Path) -> dict[str, Any] | None:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def _keep(path: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Put the record there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(f".{os.getpid()}.half")
    half.write_text(json.dumps(record), encoding="utf-8")
    half.replace(path)
    return record


def _choice(record: Mapping[str, Any]) -> str:
    if len(record["inner_log_loss"]) == 1:
        return ""
    return f": {record['choice']}, by inner folds {np.round(record['inner_log_loss'], 4).tolist()}"
