"""`dermis benchmark scin`: models of the SCIN cases under one protocol without a leak, beside what needs no model at all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dermis.data.dataset import open_dataset
from dermis.data.report.markdown import markdown_table
from dermis.data.split.groups import read_duplicates
from dermis.data.split.split import as_text, from_text
from dermis.trainer.benchmarks import protocol
from dermis.trainer.benchmarks.contenders import PAIRS, REGRESSION, baselines, images_at_hand, with_answers, with_images
from dermis.trainer.benchmarks.cross_validation import Contender, HeldOut, cross_validate
from dermis.trainer.benchmarks.protocol import Estimate, Pooled
from dermis.trainer.benchmarks.task import POLICY, Task, make_task
from dermis.trainer.model.inputs import targets
from dermis.trainer.records.runs import code_version, this_machine


@dataclass(frozen=True, slots=True, kw_only=True)
class ScinResult:
    """The predictions of the cases that were held out, and every figure of them by contender."""

    task: Task
    held_out: HeldOut
    overall: Mapping[str, Mapping[str, Estimate]]
    by_tone: Mapping[str, Mapping[str, Estimate | None]]
    differences: Mapping[tuple[str, str], Mapping[str, Estimate]]


def run(
    task: Task,
    contenders: Sequence[Contender],
    work: Path,
    *,
    versus: Sequence[tuple[str, str]] = (),
    say: Callable[[str], None] = lambda text: None,
) -> ScinResult:
    """Cross-validate the contenders on the task's folds, the floor first; folds are kept in `work`.

    Each is compared with the regression, and the pairs of `versus` with each other where both take part.
    """
    held_out = cross_validate(task.whole, contenders, work, split=task.split, conditions=task.conditions, say=say)
    pooled, (base, *names) = pooled_of(held_out), [contender.name for contender in contenders]
    weights = protocol.draw(pooled)
    pairs = [(name, REGRESSION) for name in names if name != REGRESSION and REGRESSION in (base, *names)]
    pairs += [pair for pair in versus if set(pair) <= {base, *names}]
    predictions = held_out.predictions
    return ScinResult(
        task=task,
        held_out=held_out,
        overall={name: protocol.overall(own, pooled, weights) for name, own in predictions.items()},
        by_tone={name: protocol.by_tone(own, pooled, weights) for name, own in predictions.items()},
        differences={
            (one, other): protocol.difference(predictions[one], predictions[other], pooled, weights)
            for one, other in pairs
        },
    )


def pooled_of(held_out: HeldOut) -> Pooled:
    samples = held_out.dataset.samples
    target, labels = targets(samples, held_out.conditions)
    return Pooled(
        target=target,
        labels=labels,
        fold=held_out.fold,
        groups=tuple(held_out.groups),
        slices={name: [sample.slices[name] for sample in samples] for name in samples[0].slices},
    )


def as_tables(result: ScinResult) -> dict[str, list[dict[str, str]]]:
    """Return the rows of each table: all cases, by tone, and each model against the regression."""
    names = list(next(iter(result.overall.values())))
    return {
        "overall": [
            {"model": model, **{f"{name} (n = {figures[name].n:,})": _cell(figures[name]) for name in names}}
            for model, figures in result.overall.items()
        ],
        "by tone": [
            {
                "group": group,
                "n": str(_n(result, group)),
                **{model: _cell(result.by_tone[model][group]) for model in result.by_tone},
            }
            for group in protocol.TONES
        ],
        "differences": [
            {"models": f"{one} - {other}", **{name: _cell(figure, signed=True) for name, figure in figures.items()}}
            for (one, other), figures in result.differences.items()
        ],
    }


def _n(result: ScinResult, group: str) -> int:
    figure = next(iter(result.by_tone.values()))[group]
    return figure.n if figure else 0


def _cell(figure: Estimate | None, *, signed: bool = False) -> str:
    if figure is None:
        return "-"
    form = "+.3f" if signed else ".3f"
    low_high = (
        f" ({figure.interval[0]:{form}} to {figure.interval[1]:{form}})"
        if figure.interval
        else " (too few for an interval)"
    )
    return f"{figure.value:{form}}{low_high}"


def as_page(result: ScinResult, *, command: str, hardware: str, code: str) -> str:
    """Return docs/reference/benchmark-scin.md: Markdown, from one run of the command."""
    task, tables = result.task, as_tables(result)
    ten = ", ".join(condition.name for condition in task.conditions[:-1])
    pinned = sum(case.fold is None for case in task.split.cases)
    return f"""# Benchmark: SCIN

Written by the command, from one run of it; [how it is done](../explanation/benchmark-scin.md).

    {command}

- Data: {len(task.split.cases):,} cases, {len(task.whole.labelled()):,} labelled; samples sha256:{task.whole.digest}
- Label policy: {task.split.policy}
- Folds: {task.split.folds}, seed {task.split.seed}, fold file sha256:{task.split.digest}; {len(result.held_out.groups):,} labelled cases held out once, {len(set(result.held_out.groups)):,} groups of connected cases; {pinned} cases train in every fold
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
    return markdown_table(list(rows[0]), [list(row.values()) for row in rows])


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkReport:
    result: ScinResult

    @property
    def text(self) -> str:
        """The tables, for a terminal."""
        return "\n\n".join(f"{title}\n\n{_markdown(rows)}" for title, rows in as_tables(self.result).items() if rows)

    @property
    def figures(self) -> dict[str, Any]:
        result = self.result
        return {
            "data": result.task.whole.digest,
            "split": result.task.split.digest,
            "conditions": [condition.name for condition in result.task.conditions],
            "cases": len(result.held_out.groups),
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
    contenders = [*baselines(task), *with_answers(task)]
    labelled = task.whole.labelled()
    if not images:
        say("skipped, as asked: contenders that see images")
    elif not images_at_hand(labelled):
        say(
            f"skipped: contenders that see images, as {source} has the tables and none of their images; `dermis data fetch` gets them"
        )
    else:
        seeing, embedded = with_images(task, cache)
        contenders += seeing
        say(f"{embedded.readable:,} of {embedded.images:,} images are at hand")
    names = ", ".join(contender.name for contender in contenders)
    say(f"{len(labelled):,} labelled cases of {len(task.whole):,}, {task.split.folds} folds: {names}")
    return BenchmarkReport(result=run(task, contenders, cache / "folds", versus=PAIRS, say=say))
