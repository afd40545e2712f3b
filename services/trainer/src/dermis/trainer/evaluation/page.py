"""The evaluation report as one self-contained page.

It has plots, one table a question, two models side by side, and every version evaluated.
"""

from collections.abc import Sequence

import pandas as pd

from dermis.data.report.report import Report
from dermis.data.report.report import as_html as page
from dermis.data.report.table import ReportTable
from dermis.data.samples import NOT_GIVEN
from dermis.shared.case import NOT_A_MEDICAL_DEVICE
from dermis.shared.evaluation import EvaluationReport, Figure, Interval, Slice
from dermis.trainer.evaluation.comparison import Comparison
from dermis.trainer.evaluation.seen_in_training import warning
from dermis.trainer.evaluation.titles import IN_SLICES, MEASURES, SLICES

NOTICE = (
    "Intervals are 95 %, by bootstrap over groups of connected cases; where a group of cases is "
    "too small, none is given. Soft figures count what the reference differential gives to a "
    "condition, the others whether it is its first one. Monk and Fitzpatrick scales are never "
    "converted into each other. " + NOT_A_MEDICAL_DEVICE
)
_CONFUSED = 15


def as_html(
    report: EvaluationReport,
    *,
    against: EvaluationReport | None = None,
    comparison: Comparison | None = None,
    evaluated: Sequence[EvaluationReport] = (),
    studies: Sequence[ReportTable] = (),
) -> str:
    """Return the page of an evaluation report.

    `against` and `comparison`: another model's and `comparison.compare` of both.

    `evaluated`: reports of every version, for the table of all; `studies`: more tables (ablation, robustness).
    """
    facts = {
        **({"WARNING": warning(report.seen_in_training)} if report.seen_in_training else {}),
        "Model": f"{report.model}, purpose {report.purpose}",
        "Data": f"{report.data}; digest {report.data_digest}",
        "Cases": f"{report.n:,} in {report.groups:,} groups of connected cases; {report.unlabelled:,} without a known "
        "condition left out",
    }
    tables = [
        _overall(report),
        _alone_table(report),
        *(_pair(report, against, comparison) if against and comparison else ()),
        _reliability(report),
        _coverage(report),
        _grouped_answers(report),
        _risk(report),
        *_confusion(report),
        *_human(report),
        _gaps(report),
        _by_condition(report),
        *_slices(report),
        *studies,
        *_evaluated(evaluated),
    ]
    tables = [table for table in tables if len(table.frame)]
    return page(
        Report(name="evaluation", title=f"Evaluation of {report.model}", facts=facts, tables=tables, notice=NOTICE)
    )


def _overall(report: EvaluationReport) -> ReportTable:
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
                "a perfect model at this n": _perfect(name, report.perfect_model_at_this_n.of(name)),
            }
        )
    return ReportTable(
        name="overall",
        section="Overall",
        title="Every measure",
        note=f"Prior's list: {report.floors.meaning}. Of {report.n:,} cases {report.answered_n:,} are answered.",
        frame=pd.DataFrame(rows),
    )


def _perfect(measure: str, band: Interval) -> str:
    if not band:
        return ""
    return (
        f"{band[0]:.3f} to {band[1]:.3f}" if "coverage" in measure else f"{band[0]:.3f}, 95th percentile {band[1]:.3f}"
    )


def _alone_table(report: EvaluationReport) -> ReportTable:
    rows = [
        {"shown": what, **{MEASURES.get(name, name): _text(figure) for name, figure in row.figures.items()}}
        for what, row in report.shown.items()
    ]
    return ReportTable(
        name="shown", section="Overall", title="What images and answers give alone", frame=pd.DataFrame(rows)
    )


def _text(figure: Figure | None) -> str:
    if figure is None or figure.value is None:
        return ""
    low_high = f" ({figure.interval[0]:.3f}\N{EN DASH}{figure.interval[1]:.3f})" if figure.interval else ""
    return f"{figure.value:.3f}{low_high}" + (f", floor {figure.floor:.3f}" if figure.floor is not None else "")


def _pair(report: EvaluationReport, against: EvaluationReport, comparison: Comparison) -> list[ReportTable]:
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


def _reliability(report: EvaluationReport) -> ReportTable:
    rows = []
    for each in report.reliability:
        low, high = each.interval or (None, None)
        rows.append(
            {
                "bin": f"{each.low:.1f} to {each.high:.1f}",
                "n": each.n,
                "confidence": each.confidence,
                "estimate": each.right,
                "low": low,
                "high": high,
                "soft": each.right_soft,
            }
        )
    note = (
        f"{report.n:,} cases. Squares: what the reference differential gives to the first condition. On the "
        "dotted line said and right agree."
    )
    columns = ["bin", "n", "confidence", "estimate", "low", "high", "soft"]
    frame = pd.DataFrame(rows, columns=columns).astype({"low": float, "high": float})
    return ReportTable(
        name="reliability", section="Trust", title="Reliability", note=note, frame=frame, chart="reliability"
    )


def _coverage(report: EvaluationReport) -> ReportTable:
    rows = []
    for group in report.coverage:
        low, high = group.set_coverage_soft_interval or (None, None)
        rows.append(
            {
                "self-reported type": group.value,
                "n": group.n,
                "calibrated on": group.calibrated_on,
                "threshold": group.threshold,
                "claimed": "no claim: too few, pooled with all" if group.pooled else group.claimed,
                "estimate": group.set_coverage_soft,
                "low": low,
                "high": high,
                "first condition": group.set_coverage,
                "size": group.set_size,
                "exact thresholds at this n": _perfect("coverage", group.perfect_model_at_this_n),
            }
        )
    note = "Where the type is not given the lowest threshold applies, so that more is covered than claimed."
    return ReportTable(
        name="coverage", section="Trust", title="Coverage of the prediction sets", note=note, frame=pd.DataFrame(rows)
    )


def _grouped_answers(report: EvaluationReport) -> ReportTable:
    rows = [
        {
            "of": f"{SLICES.get(row.slice, row.slice)}: {row.value}" if row.slice else "all",
            "answers": row.answers,
            "n": row.n,
            "coverage": _text(row.coverage),
            "answered": _text(row.answered),
            "conditions held": _text(row.leaves),
            **row.levels,
        }
        for row in report.grouped_answers
    ]
    note = (
        "Coverage: the weight of the reference differential under the answer; an abstention holds every condition, a "
        "group its conditions. The prior's threshold holds the same coverage on these very cases."
    )
    return ReportTable(
        name="grouped_answers",
        section="Trust",
        title="Answers over condition groups",
        note=note,
        frame=pd.DataFrame(rows),
    )


def _risk(report: EvaluationReport) -> ReportTable:
    rows = []
    for of, curve in report.risk_coverage.items():
        for point in curve:
            low, high = point.interval or (None, None)
            rows.append(
                {"of": of, "answered": point.answered, "n": point.n, "risk": point.risk, "low": low, "high": high}
            )
    frame = pd.DataFrame(rows).astype({"low": float, "high": float})
    note = "Share of cases whose first condition is wrong among those answered, with the interval of all."
    return ReportTable(
        name="risk_coverage", section="Trust", title="Risk by share answered", note=note, frame=frame, chart="curves"
    )


def _confusion(report: EvaluationReport) -> list[ReportTable]:
    if report.confusion is None:
        return []
    names, table = report.confusion.conditions, report.confusion.n
    support = [sum(row) for row in table]
    kept = sorted(sorted(range(len(names)), key=lambda k: -support[k])[:_CONFUSED])
    rows = [{"reference": f"{k + 1} {names[k]}", "first": str(j + 1), "n": table[k][j]} for k in kept for j in kept]
    note = "Rows: the reference differential's first condition, with its number; columns: the number of the model's."
    note += f" The {_CONFUSED} most frequent are shown." if len(names) > _CONFUSED else ""
    return [
        ReportTable(
            name="confusion", section="Trust", title="Confusion", note=note, frame=pd.DataFrame(rows), chart="matrix"
        )
    ]


def _human(report: EvaluationReport) -> list[ReportTable]:
    agreement = report.human_agreement
    if not agreement.n:
        return []
    rows = []
    for title, value, interval in (
        ("first conditions agree", agreement.top_1, agreement.top_1_interval),
        ("the other's differential gives to it", agreement.soft, agreement.soft_interval),
        ("any other names it", agreement.any, agreement.any_interval),
    ):
        low, high = interval or (None, None)
        rows.append({"one grader against the others": title, "estimate": value, "low": low, "high": high})
    note = f"{agreement.n:,} cases whose graders can be told apart: what people reach on these very labels."
    return [
        ReportTable(name="human", section="Trust", title="Agreement of graders", note=note, frame=pd.DataFrame(rows))
    ]


def _gaps(report: EvaluationReport) -> ReportTable:
    rows = []
    for gap in report.gaps:
        low, high = gap.difference_interval or (None, None)
        rows.append(
            {
                "between": SLICES.get(gap.slice, gap.slice),
                "measure": MEASURES.get(gap.measure, gap.measure),
                "n": gap.n,
                "lowest": f"{gap.lowest} {gap.lowest_value:.3f}",
                "highest": f"{gap.highest} {gap.highest_value:.3f}",
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


def _by_condition(report: EvaluationReport) -> ReportTable:
    rows = [
        {
            "condition": row.condition,
            "n": row.n,
            **{name: _text(getattr(row, name)) for name in ("sensitivity", "auroc", "average_precision")},
        }
        for row in report.by_condition
    ]
    title = "Each condition against the rest"
    return ReportTable(name="by_condition", section="Groups", title=title, frame=pd.DataFrame(rows))


def _slices(report: EvaluationReport) -> list[ReportTable]:
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
            others = {MEASURES[figure]: _text(row.figures[figure]) for figure in IN_SLICES if figure in row.figures}
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
        note = "Estimate: top-1; floor, the upright mark: top-1 of the prior's list on these very cases."
        tables.append(
            ReportTable(name=f"slice_{name}", section="Groups", title=title, note=note, frame=frame, chart="points")
        )
    return tables


def _evaluated(reports: Sequence[EvaluationReport]) -> list[ReportTable]:
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
            MEASURES[name]: _text(report.overall.get(name))
            for name in ("top_1", "top_3", "top_3_soft", "macro_auroc", "aurc")
        },
        "top-3 of the prior's list": report.floors.top_3,
        "Calibration error": report.metrics.get("expected_calibration_error"),
        "Coverage": report.metrics.get("set_coverage"),
        "Abstained": report.metrics.get("abstained"),
    }
