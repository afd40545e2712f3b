"""Tables by group: gaps, skin tones and types, conditions with their curves, every slice."""

import pandas as pd

from dermis.data.report.table import ReportTable
from dermis.data.report.words import words
from dermis.data.samples import NOT_GIVEN
from dermis.shared.evaluation import EvaluationReport, Slice
from dermis.trainer.evaluation.page_figures import figure_text
from dermis.trainer.evaluation.slices import TONE_SCALES
from dermis.trainer.evaluation.titles import IN_SLICES, MEASURES, SLICES

BY_TONE = {
    "balanced_accuracy": "Mean sensitivity over conditions",
    "macro_auroc": "Macro AUROC",
    "expected_calibration_error": "Calibration error",
}


def _grey(report: EvaluationReport) -> str:
    return f"Grey: fewer than {report.n_min} cases, which count as not measured."


def gaps_table(report: EvaluationReport) -> ReportTable:
    rows = []
    for gap in report.gaps:
        low, high = gap.difference_interval or (None, None)
        rows.append(
            {
                "between": SLICES.get(gap.slice, gap.slice),
                "measure": MEASURES.get(gap.measure, gap.measure),
                "n": gap.n,
                "lowest": f"{words(gap.lowest)} {gap.lowest_value:.3f}",
                "highest": f"{words(gap.highest)} {gap.highest_value:.3f}",
                "estimate": gap.difference,
                "low": low,
                "high": high,
                "by chance": f"{gap.by_chance[0]:.3f}, 95th percentile {gap.by_chance[1]:.3f}",
            }
        )
    columns = ["between", "measure", "n", "lowest", "highest", "estimate", "low", "high", "by chance"]
    note = (
        "The largest difference between groups, of groups with 30 cases or more; by chance: what groups that are "
        "alike would show."
    )
    return ReportTable(
        name="gaps", section="Groups", title="Gaps between groups", note=note, frame=pd.DataFrame(rows, columns=columns)
    )


def condition_table(report: EvaluationReport) -> ReportTable:
    rows = [
        {
            "condition": row.condition,
            "n": row.n,
            "sensitivity": figure_text(row.sensitivity),
            "AUROC": figure_text(row.auroc),
            "average precision": figure_text(row.average_precision),
        }
        for row in report.by_condition
    ]
    return ReportTable(
        name="by_condition",
        section="Conditions",
        title="Each condition against the rest",
        note=_grey(report),
        frame=pd.DataFrame(rows),
        n_min=report.n_min,
    )


def slice_tables(report: EvaluationReport) -> list[ReportTable]:
    tables = []
    for name in sorted(
        report.slices, key=lambda name: (list(SLICES).index(name) if name in SLICES else len(SLICES) - 1.5, name)
    ):
        several = report.slices[name]
        if {row.value for row in several} == {NOT_GIVEN}:
            continue
        rows = []
        for row in several:
            top_1 = row.figures["top_1"]
            low, high = top_1.interval or (None, None)
            others = {
                MEASURES[figure]: figure_text(row.figures[figure]) for figure in IN_SLICES if figure in row.figures
            }
            row_of_table = {
                "value": row.value,
                "n": row.n,
                "groups": row.groups,
                "estimate": top_1.value,
                "low": low,
                "high": high,
            }
            rows.append({**row_of_table, "floor": top_1.floor, **others})
        title = SLICES.get(name) or name.replace("_", " ").capitalize()
        frame = pd.DataFrame(rows).astype({"low": float, "high": float})
        note = (
            f"Estimate: top-1; floor, the upright mark: top-1 of the prior's list on these very cases. {_grey(report)}"
        )
        tables.append(
            ReportTable(
                name=f"slice_{name}",
                section="Groups",
                title=title,
                note=note,
                frame=frame,
                chart="points",
                n_min=report.n_min,
            )
        )
    return tables


def tone_tables(report: EvaluationReport) -> list[ReportTable]:
    """Return, for each scale of tone or type that the data tell, sensitivity, AUROC and calibration by group."""
    tables = []
    for scale in TONE_SCALES:
        rows = [row for row in report.slices.get(scale, ()) if row.value != NOT_GIVEN]
        if rows:
            tables.append(
                ReportTable(
                    name=f"tone_{scale}",
                    section="Skin tone and type",
                    title=f"Sensitivity, AUROC and calibration by {SLICES[scale]}",
                    note=f"A small group shows a calibration error by chance alone. {_grey(report)}",
                    frame=pd.DataFrame([cell for name in BY_TONE for row in rows for cell in _tone_cells(row, name)]),
                    chart="panels",
                    n_min=report.n_min,
                )
            )
    return tables


def _tone_cells(row: Slice, name: str) -> list[dict[str, str | int | float | None]]:
    figure = row.figures.get(name)
    if figure is None:
        return []
    low, high = figure.interval or (float("nan"), float("nan"))
    value = float("nan") if figure.value is None else figure.value
    return [{"value": row.value, "n": row.n, "measure": BY_TONE[name], "estimate": value, "low": low, "high": high}]


def curve_tables(report: EvaluationReport) -> list[ReportTable]:
    """Return ROC and precision-recall curves, the mean over conditions first."""
    note = f"Thick: the mean over conditions; thin: each condition of at least {report.n_min} cases."
    several = (
        ("roc", "ROC", ("share of false alarms, 1 - specificity (%)", "sensitivity (%)"), True),
        ("precision_recall", "Precision and recall", ("recall, sensitivity (%)", "precision (%)"), False),
    )
    tables = []
    for field, title, axes, diagonal in several:
        rows = [
            {"of": "mean of conditions" if curve.of == "macro" else curve.of, "n": curve.n, "x": x, "y": y}
            for curve in report.curves
            for x, y in getattr(curve, field)
        ]
        tables.append(
            ReportTable(
                name=field,
                section="Conditions",
                title=title,
                note=note + (" Dotted: chance." if diagonal else ""),
                frame=pd.DataFrame(rows),
                chart="share_lines",
                axes=axes,
                diagonal=diagonal,
            )
        )
    return tables
