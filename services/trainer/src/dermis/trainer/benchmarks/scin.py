"""`dermis benchmark scin`: models of the SCIN cases under one protocol without a leak, beside what needs no model at all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dermis.data.dataset import open_dataset
from dermis.data.split.groups import read_duplicates
from dermis.data.split.split import as_text, from_text
from dermis.shared.errors import DermisError, Kind
from dermis.trainer.benchmarks import protocol
from dermis.trainer.benchmarks.contenders import BASELINES, PAIRS, REGRESSION, images_at_hand, with_answers, with_images
from dermis.trainer.benchmarks.protocol import Figure, Pooled
from dermis.trainer.benchmarks.task import POLICY, Contender, Task, make_task
from dermis.trainer.metrics import Floats
from dermis.trainer.model.inputs import targets
from dermis.trainer.records.runs import code_version, this_machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a benchmark found; `said`: each contender's probabilities of the pooled cases."""

    task: Task
    pooled: Pooled
    said: Mapping[str, Floats]
    overall: Mapping[str, Mapping[str, Figure]]
    by_tone: Mapping[str, Mapping[str, Figure | None]]
    differences: Mapping[tuple[str, str], Mapping[str, Figure]]


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
    foldable = [sample for sample in labelled.samples if fold_of[sample.id] is not None]
    place = {sample.id: row for row, sample in enumerate(foldable)}
    probabilities = {name: np.full((len(foldable), len(task.conditions)), np.nan) for name in contenders}
    for fold in range(task.split.folds):
        training = labelled.take(sample.id for sample in labelled.samples if fold_of[sample.id] != fold)
        tested = labelled.take(sample.id for sample in foldable if fold_of[sample.id] == fold)
        if not len(tested):
            raise DermisError(Kind.INVALID, "BENCHMARK", f"fold {fold} holds no labelled case: ask for fewer folds")
        rows = [place[sample.id] for sample in tested.samples]
        for name, contender in contenders.items():
            step(name, fold)
            probabilities[name][rows] = contender(task, training, tested)
    target, labels = targets(foldable, task.conditions)
    pooled = Pooled(
        target=target,
        labels=labels,
        fold=np.array([fold_of[sample.id] for sample in foldable]),
        groups=tuple(sample.group for sample in foldable),
        slices={name: [sample.slices[name] for sample in foldable] for name in foldable[0].slices},
    )
    weights = protocol.draw(pooled)
    base = next(iter(contenders))
    pairs = [(name, REGRESSION) for name in contenders if name not in (base, REGRESSION) and REGRESSION in contenders]
    pairs += [pair for pair in versus if set(pair) <= set(contenders)]
    return Result(
        task=task,
        pooled=pooled,
        said=probabilities,
        overall={name: protocol.overall(table, pooled, weights) for name, table in probabilities.items()},
        by_tone={name: protocol.by_tone(table, pooled, weights) for name, table in probabilities.items()},
        differences={
            pair: protocol.difference(probabilities[pair[0]], probabilities[pair[1]], pooled, weights) for pair in pairs
        },
    )


def as_tables(result: Result) -> dict[str, list[dict[str, str]]]:
    """Return what the benchmark shows: all cases, by tone, and each model against the regression."""
    names = list(next(iter(result.overall.values())))
    return {
        "overall": [
            {"model": model, **{f"{name} (n = {figures[name].n:,})": _shown(figures[name]) for name in names}}
            for model, figures in result.overall.items()
        ],
        "by tone": [
            {
                "group": group,
                "n": str(_n(result, group)),
                **{model: _shown(result.by_tone[model][group]) for model in result.by_tone},
            }
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
    low_high = (
        f" ({figure.interval[0]:{form}} to {figure.interval[1]:{form}})"
        if figure.interval
        else " (too few for an interval)"
    )
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


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkReport:
    result: Result

    @property
    def text(self) -> str:
        """The tables, for a terminal."""
        lines = []
        for title, rows in as_tables(self.result).items():
            for row in rows:
                first, *rest = row.items()
                lines.append(f"{title}: {first[1]}")
                lines += [f"  {name:<40}{value}" for name, value in rest]
        return "\n".join(lines)

    @property
    def figures(self) -> dict[str, Any]:
        result = self.result
        return {
            "data": result.task.whole.digest,
            "split": result.task.split.digest,
            "conditions": [condition.name for condition in result.task.conditions],
            "cases": len(result.pooled.groups),
            "overall": {
                model: {name: asdict(figure) for name, figure in figures_of.items()}
                for model, figures_of in result.overall.items()
            },
            "by_tone": {
                model: {name: asdict(figure) if figure else None for name, figure in figures_of.items()}
                for model, figures_of in result.by_tone.items()
            },
            "differences": {
                f"{one} - {other}": {name: asdict(figure) for name, figure in figures_of.items()}
                for (one, other), figures_of in result.differences.items()
            },
        }

    def page(self, command: str) -> str:
        return as_page(self.result, command=command, hardware=this_machine(), code=code_version())


def run_scin(
    source: str,
    split: Path | None,
    *,
    duplicates: Path | None = None,
    folds: int,
    seed: int,
    cache: Path,
    images: bool = True,
    say: Callable[[str], None],
) -> BenchmarkReport:
    """Run it; a fold file that is not there yet is written, so that others can be held to the same folds.

    Contenders that see images take part if the source has some; `images=False` leaves them out.
    """
    groups = read_duplicates(duplicates.read_bytes()) if duplicates else None
    fold_file = from_text(split.read_bytes()) if split and split.exists() else None
    task = make_task(open_dataset(source, policy=POLICY, duplicates=groups), fold_file, seed=seed, folds=folds)
    if split and fold_file is None:
        split.write_text(as_text(task.split), encoding="utf-8")
    contenders: dict[str, Contender] = {**BASELINES, **with_answers()}
    labelled = task.whole.labelled()
    if not images:
        say("skipped, as asked: contenders that see images")
    elif not images_at_hand(labelled):
        say(
            f"skipped: contenders that see images, as {source} has the tables and none of their images; `dermis data fetch` gets them"
        )
    else:
        seeing, embedded = with_images(labelled, cache)
        contenders |= seeing
        say(f"{embedded.found:,} of {embedded.images:,} images are at hand")
    say(f"{len(labelled):,} labelled cases of {len(task.whole):,}, {task.split.folds} folds: {', '.join(contenders)}")
    return BenchmarkReport(
        result=run(
            task,
            contenders,
            versus=PAIRS,
            step=lambda name, fold: say(f"fold {fold + 1} of {task.split.folds}: {name}"),
        )
    )
