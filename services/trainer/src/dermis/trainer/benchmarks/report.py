"""What a benchmark prints and writes: its facts, its tables in Markdown, and its figures as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dermis.data.report.markdown import markdown_table
from dermis.shared.evaluation import Figure
from dermis.trainer.benchmarks.cross_validation import HeldOut
from dermis.trainer.benchmarks.figures import ContenderFigures, Estimate
from dermis.trainer.records.runs import code_version, this_machine

BY_TONE = ("top 1", "top 3", "soft top 3")


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkReport:
    """`facts`: what was measured on; `tables`: Markdown; `figures`: the same as JSON."""

    facts: Mapping[str, str]
    tables: str
    figures: Mapping[str, Any]

    @property
    def page(self) -> str:
        """The measured part of a page: when, where and on what, then the tables."""
        facts = {
            "Measured": f"{datetime.now(UTC):%Y-%m-%d} on {this_machine()}",
            "Code": code_version(),
            **self.facts,
        }
        return "\n".join(f"- {name}: {text}" for name, text in facts.items()) + f"\n\n{self.tables}"


def report_of(figures: ContenderFigures, *, by_tone: Sequence[str] = BY_TONE) -> BenchmarkReport:
    """Return the report of one cross-validation; `by_tone`: the figures that are also stated by skin tone."""
    overall, contenders = next(iter(figures.overall.values())), list(figures.overall)
    differences = [
        [f"{one} less {other}", *_cells(row, signed=True)] for (one, other), row in figures.differences.items()
    ]
    stated = [name for name in by_tone if name in overall]
    tones = (
        []
        if not stated
        else [
            [group, rows[contenders[0]][stated[0]].n, *(cell(rows[who][name]) for who in contenders for name in stated)]
            for group, rows in figures.by_tone.items()
        ]
    )
    tables = [
        "95 % intervals by bootstrap over groups of connected cases.",
        markdown_table(
            ["", *(f"{name} (n = {one.n:,})" for name, one in overall.items())],
            [[name, *_cells(row)] for name, row in figures.overall.items()],
        ),
    ]
    if differences:
        tables += ["Differences, on the same cases and the same draws:", markdown_table(["", *overall], differences)]
    if stated:
        columns = [f"{who}: {name}" for who in contenders for name in stated]
        tables += ["By skin tone, each scale for itself:", markdown_table(["", "n", *columns], tones)]
    return BenchmarkReport(facts=facts_of(figures.held_out), tables="\n\n".join(tables), figures=as_json(figures))


def facts_of(held_out: HeldOut) -> dict[str, str]:
    split, dataset = held_out.split, held_out.dataset
    pinned = sum(case.fold is None for case in split.cases)
    return {
        "Data": f"{dataset.name}, {len(split.cases):,} cases; samples sha256:{dataset.digest}",
        "Labels": dataset.policy,
        "Folds": f"{split.folds}, seed {split.seed}, sha256:{split.digest}; {len(dataset):,} labelled cases held out once, "
        f"in {len(set(held_out.groups)):,} groups of connected cases; {pinned} cases train in every fold",
        "Conditions": ", ".join(condition.name for condition in held_out.conditions),
    }


def as_json(figures: ContenderFigures) -> dict[str, Any]:
    def rows(by_name: Mapping[str, Mapping[str, Estimate]]) -> dict[str, Any]:
        return {
            who: {name: one.model_dump(exclude={"floor"}) for name, one in row.items()} for who, row in by_name.items()
        }

    held_out = figures.held_out
    return {
        "data": held_out.dataset.digest,
        "split": held_out.split.digest,
        "conditions": [condition.name for condition in held_out.conditions],
        "cases": len(held_out.dataset),
        "overall": rows(figures.overall),
        "by_tone": {group: rows(by_contender) for group, by_contender in figures.by_tone.items()},
        "differences": rows({f"{one} - {other}": row for (one, other), row in figures.differences.items()}),
    }


def cell(figure: Figure, *, signed: bool = False) -> str:
    """Return a figure and its interval as a cell of a table."""
    form = "+.3f" if signed else ".3f"
    if figure.value is None:
        return "not stated"
    if not figure.interval:
        return f"{figure.value:{form}} (too few for an interval)"
    return f"{figure.value:{form}} ({figure.interval[0]:{form}} to {figure.interval[1]:{form}})"


def _cells(row: Mapping[str, Estimate], *, signed: bool = False) -> list[str]:
    return [cell(figure, signed=signed) for figure in row.values()]
