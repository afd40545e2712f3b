"""Tables of a whole model: every measure, two models side by side, every version."""

from collections.abc import Sequence

import pandas as pd

from dermis.data.report.table import ReportTable
from dermis.data.samples import NOT_GIVEN
from dermis.shared.evaluation import EvaluationReport, Slice
from dermis.trainer.evaluation.comparison import Comparison
from dermis.trainer.evaluation.page_figures import figure_text, perfect_text
from dermis.trainer.evaluation.titles import MEASURES, SLICES


def overall_table(report: EvaluationReport) -> ReportTable:
    rows = []
    for name, figure in report.overall.items():
        low, high = figure.interval or (None, None)
        rows.append(
            {
                "measure": MEASURES.get(name, name),
                "estimate": figure.value,
                "low": low,
                "high": high,
                "prior's list": report.floors.of(name),
                "best constant list": report.floors.of(f"{name}_best_constant"),
                "a perfect model at this n": perfect_text(name, report.perfect_model_at_this_n.of(name)),
            }
        )
    return ReportTable(
        name="overall",
        section="Overall",
        title="Every measure",
        note=f"Prior's list: {report.floors.meaning}. Of {report.n:,} cases {report.answered_n:,} are answered.",
        frame=pd.DataFrame(rows),
    )


def alone_table(report: EvaluationReport) -> ReportTable:
    rows = [
        {"shown": what, **{MEASURES.get(name, name): figure_text(figure) for name, figure in row.figures.items()}}
        for what, row in report.shown.items()
    ]
    return ReportTable(
        name="shown", section="Overall", title="What images and answers give alone", frame=pd.DataFrame(rows)
    )


def pair_tables(report: EvaluationReport, against: EvaluationReport, comparison: Comparison) -> list[ReportTable]:
    section, sides = "Two models", (comparison.model, f"against {comparison.against}")
    rows = []
    for name, paired in comparison.differences.items():
        low, high = paired.interval or (None, None)
        rows.append(
            {
                "measure": MEASURES.get(name, name),
                sides[0]: paired.this,
                sides[1]: paired.other,
                "estimate": paired.difference,
                "low": low,
                "high": high,
            }
        )
    test = comparison.mcnemar
    note = (
        f"Estimate: {sides[0]} minus {sides[1]} on the same {comparison.n:,} cases. Top-1, McNemar's exact test: only "
        f"{sides[0]} right {test.only_this_right:,}, only {sides[1]} right {test.only_other_right:,}, p "
        f"{_probability(test.p)}."
    )
    tables = [ReportTable(name="paired", section=section, title="Differences", note=note, frame=pd.DataFrame(rows))]
    for scale, several in comparison.slices.items():
        if not several:
            continue
        theirs = {row.value: row for row in against.slices[scale]}
        ours = {row.value: row for row in report.slices[scale]}
        both = [value for value in ours if value in theirs and value != NOT_GIVEN]
        frame = pd.DataFrame(
            [{"value": value, **_side(ours[value], "a"), **_side(theirs[value], "b")} for value in both],
            columns=["value", *(f"{part}_{side}" for side in "ab" for part in ("n", "share", "low", "high"))],
        )
        title = f"Top-3 by {SLICES[scale]}"
        tables.append(
            ReportTable(name=f"sides_{scale}", section=section, title=title, frame=frame, chart="sides", sides=sides)
        )
        differences = []
        for row in several:
            top_3 = row.differences["top_3"]
            low, high = top_3.interval or (None, None)
            differences.append({"value": row.value, "n": row.n, "estimate": top_3.difference, "low": low, "high": high})
        title = f"Difference in top-3 by {SLICES[scale]}"
        tables.append(
            ReportTable(name=f"paired_{scale}", section=section, title=title, frame=pd.DataFrame(differences))
        )
    return tables


def _probability(p: float) -> str:
    return f"= {p:.4f}" if p >= 0.0001 else "< 0.0001"


def _side(row: Slice, side: str) -> dict[str, float | None]:
    top_3 = row.figures["top_3"]
    low, high = top_3.interval or (top_3.value, top_3.value)
    return {f"n_{side}": row.n, f"share_{side}": top_3.value, f"low_{side}": low, f"high_{side}": high}


def version_tables(reports: Sequence[EvaluationReport]) -> list[ReportTable]:
    if not reports:
        return []
    note = "Only rows of the same data can be compared with each other."
    frame = pd.DataFrame([_version(report) for report in reports])
    return [
        ReportTable(name="evaluated", section="All versions", title="Every version evaluated", note=note, frame=frame)
    ]


def _version(report: EvaluationReport) -> dict[str, str | int | float | None]:
    return {
        "model": report.model,
        "data": report.data_digest[:16],
        "n": report.n,
        **{
            MEASURES[name]: figure_text(report.overall.get(name))
            for name in ("top_1", "top_3", "top_3_soft", "macro_auroc", "aurc")
        },
        "top-3 of the prior's list": report.floors.top_3,
        "Calibration error": report.metrics.get("expected_calibration_error"),
        "Coverage": report.metrics.get("set_coverage"),
        "Abstained": report.metrics.get("abstained"),
    }
