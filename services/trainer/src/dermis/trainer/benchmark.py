"""`dermis benchmark scin`: models of the SCIN cases under one protocol without a leak, beside what needs no model at all."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from dermis.shared.errors import DermisError, Kind
from dermis.shared.manifest import Condition, FeatureSchema
from dermis.trainer.core import protocol
from dermis.trainer.core.measures import Floats, Ints
from dermis.trainer.core.protocol import Figure, Pooled
from dermis.trainer.core.samples import Sample
from dermis.trainer.data.core.split import Split
from dermis.trainer.inputs import Dataset, conditions_of, features, targets
from dermis.trainer.schema import every_answer

POLICY = "scin-all"
CONDITIONS = 10
OTHER = "Any other condition"
STRENGTHS = (0.01, 0.03, 0.1, 0.3, 1.0)
"""Inverse strengths of L2 that the logistic regression chooses from, in each fold by its training cases alone."""
INNER_FOLDS = 3
PRIOR, REGRESSION = "constant prior", "logistic regression, one-hot answers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """All cases, each condition beyond the ten most frequent ones put together in the last place, and their folds."""

    whole: Dataset
    conditions: tuple[Condition, ...]
    split: Split
    schema: FeatureSchema


Contender = Callable[[Task, Dataset, Dataset], Floats]
"""(task, training cases, held out cases) -> probabilities [held out, K + 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a benchmark found; `said`: each contender's probabilities of the pooled cases."""

    task: Task
    pooled: Pooled
    said: Mapping[str, Floats]
    overall: Mapping[str, Mapping[str, Figure]]
    by_tone: Mapping[str, Mapping[str, Figure | None]]
    differences: Mapping[tuple[str, str], Mapping[str, Figure]]


def make_task(dataset: Dataset, split: Split | None = None, *, seed: int = 0, folds: int = 5, schema: FeatureSchema | None = None) -> Task:
    """Return the task of a data set under `POLICY`; without a split it is split here. INVALID if conditions are too few or the split leaks.

    The ten conditions are those that are most often the top one, of all labelled cases: which they are is part of the protocol.
    """
    tops = Counter(sample.top for sample in dataset.samples if sample.top)
    ten = sorted(name for name, _ in sorted(tops.items(), key=lambda item: (-item[1], item[0]))[:CONDITIONS])
    if len(ten) < 2:
        detail = f"{dataset.name} has {len(ten)} conditions among its labelled cases: take more cases"
        raise DermisError(Kind.INVALID, "BENCHMARK", detail)
    samples = tuple(_merged(sample, set(ten)) for sample in dataset.samples)
    conditions = conditions_of([replace(samples[0], target=dict.fromkeys(ten, 1.0))])
    whole = replace(dataset, samples=samples)
    made = split or whole.split(seed=seed, folds=folds)
    whole.fold(made, 0)  # audits it
    return Task(whole=whole, conditions=(*conditions, Condition(id="OTHER", name=OTHER)), split=made, schema=schema or every_answer())


def _merged(sample: Sample, ten: set[str]) -> Sample:
    target: dict[str, float] = {}
    for name, weight in sample.target.items():
        place = name if name in ten else OTHER
        target[place] = target.get(place, 0.0) + weight
    return replace(sample, target=target, top=sample.top if sample.top in ten or sample.top is None else OTHER)


def run(
    task: Task,
    contenders: Mapping[str, Contender],
    *,
    versus: Sequence[tuple[str, str]] = (),
    step: Callable[[str, int], None] = lambda name, fold: None,
) -> Result:
    """Let each contender learn from all folds but one and answer that one, for each fold.

    Each is compared with the regression, and the pairs of `versus` with each other where both take part.
    """
    fold_of = {case.case_id: case.fold for case in task.split.cases}
    labelled = task.whole.labelled()
    held = [sample for sample in labelled.samples if fold_of[sample.id] is not None]
    place = {sample.id: row for row, sample in enumerate(held)}
    said = {name: np.full((len(held), len(task.conditions)), np.nan) for name in contenders}
    for fold in range(task.split.folds):
        training = labelled.take(sample.id for sample in labelled.samples if fold_of[sample.id] != fold)
        tested = labelled.take(sample.id for sample in held if fold_of[sample.id] == fold)
        if not len(tested):
            raise DermisError(Kind.INVALID, "BENCHMARK", f"fold {fold} holds no labelled case: ask for fewer folds")
        rows = [place[sample.id] for sample in tested.samples]
        for name, contender in contenders.items():
            step(name, fold)
            said[name][rows] = contender(task, training, tested)
    target, labels = targets(held, task.conditions)
    pooled = Pooled(
        target=target,
        labels=labels,
        fold=np.array([fold_of[sample.id] for sample in held]),
        groups=tuple(sample.group for sample in held),
        slices={name: [sample.slices[name] for sample in held] for name in held[0].slices},
    )
    weights = protocol.draw(pooled)
    base = next(iter(contenders))
    pairs = [(name, REGRESSION) for name in contenders if name not in (base, REGRESSION) and REGRESSION in contenders]
    pairs += [pair for pair in versus if set(pair) <= set(contenders)]
    return Result(
        task=task,
        pooled=pooled,
        said=said,
        overall={name: protocol.overall(table, pooled, weights) for name, table in said.items()},
        by_tone={name: protocol.by_tone(table, pooled, weights) for name, table in said.items()},
        differences={pair: protocol.difference(said[pair[0]], said[pair[1]], pooled, weights) for pair in pairs},
    )


def constant_prior(task: Task, training: Dataset, tested: Dataset) -> Floats:
    """Say of every case what the training cases are on average: the best constant list, and the floor of every top-k."""
    target, _ = targets(training.samples, task.conditions)
    return np.tile(target.mean(0), (len(tested), 1))


def logistic_regression(task: Task, training: Dataset, tested: Dataset) -> Floats:
    """Multinomial logistic regression on one-hot answers, absent ones included, against the reference differential.

    A case stands once for each condition that it names, with that weight.
    """
    answers, (target, _) = features(training.samples, task.schema), targets(training.samples, task.conditions)
    groups = np.array([sample.group for sample in training.samples])
    losses = {strength: _inner_loss(answers, target, groups, strength) for strength in STRENGTHS}
    best = min(losses, key=lambda strength: losses[strength])
    return _fit(answers, target, best)(features(tested.samples, task.schema))


def _inner_loss(answers: Floats, target: Floats, groups: Ints, strength: float) -> float:
    folds = GroupKFold(INNER_FOLDS).split(answers, groups=groups)
    lost = [
        -(target[held] * np.log(np.maximum(_fit(answers[kept], target[kept], strength)(answers[held]), 1e-9))).sum() for kept, held in folds
    ]
    return float(np.sum(lost))


def _fit(answers: Floats, target: Floats, strength: float) -> Callable[[Floats], Floats]:
    rows, columns = np.nonzero(target)
    model = LogisticRegression(C=strength, max_iter=2000).fit(answers[rows], columns, sample_weight=target[rows, columns])

    def say(asked: Floats) -> Floats:
        table = np.zeros((len(asked), target.shape[1]))
        table[:, model.classes_] = model.predict_proba(asked)
        return table

    return say


BASELINES: Mapping[str, Contender] = {PRIOR: constant_prior, REGRESSION: logistic_regression}


def as_tables(result: Result) -> dict[str, list[dict[str, str]]]:
    """Return what the benchmark shows: all cases, by tone, and each model against the regression."""
    names = list(next(iter(result.overall.values())))
    return {
        "overall": [
            {"model": model, **{f"{name} (n = {figures[name].n:,})": _shown(figures[name]) for name in names}}
            for model, figures in result.overall.items()
        ],
        "by tone": [
            {"group": group, "n": str(_n(result, group)), **{model: _shown(result.by_tone[model][group]) for model in result.by_tone}}
            for group in protocol.TONES
        ],
        "differences": [
            {"models": f"{one} - {other}", **{name: _shown(figure, signed=True) for name, figure in figures.items()}}
            for (one, other), figures in result.differences.items()
        ],
    }


def _n(result: Result, group: str) -> int:
    figure = next(iter(result.by_tone.values()))[group]
    return figure.n if figure else 0


def _shown(figure: Figure | None, *, signed: bool = False) -> str:
    if figure is None:
        return "-"
    form = "+.3f" if signed else ".3f"
    low_high = f" ({figure.interval[0]:{form}} to {figure.interval[1]:{form}})" if figure.interval else " (too few for an interval)"
    return f"{figure.value:{form}}{low_high}"


def as_page(result: Result, *, command: str, hardware: str, code: str) -> str:
    """Return docs/reference/benchmark-scin.md: Markdown, from one run of the command."""
    task, tables = result.task, as_tables(result)
    ten = ", ".join(condition.name for condition in task.conditions[:-1])
    pinned = sum(case.fold is None for case in task.split.cases)
    return f"""# Benchmark: SCIN

Written by the command, from one run of it; [how it is done](../explanation/benchmark-scin.md).

    {command}

- Data: {len(task.split.cases):,} cases, {len(task.whole.labelled()):,} labelled; samples sha256:{task.whole.digest}
- Label policy: {task.split.policy}
- Folds: {task.split.folds}, seed {task.split.seed}, fold file sha256:{task.split.digest}; {len(result.pooled.groups):,} labelled cases held out once, {len(set(result.pooled.groups)):,} groups of connected cases; {pinned} cases train in every fold
- Conditions: {ten}
- Code: {code}
- Hardware: {hardware}

## All cases

95 % intervals by a bootstrap over groups of connected cases. The constant prior is the floor: the same list for everybody.

{_markdown(tables["overall"])}

{_against(tables["differences"])}## By skin tone: soft top-3

Each scale stands for itself.

{_markdown(tables["by tone"])}
"""


def _against(rows: Sequence[Mapping[str, str]]) -> str:
    return f"Differences, paired on the same cases and the same draws:\n\n{_markdown(rows)}\n\n" if rows else ""


def _markdown(rows: Sequence[Mapping[str, str]]) -> str:
    head = list(rows[0])
    lines = [head, ["---"] * len(head), *(list(row.values()) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
