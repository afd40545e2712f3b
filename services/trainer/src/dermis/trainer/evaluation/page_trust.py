"""Tables on how far a model can be trusted: its probabilities, its sets, its abstentions and its mistakes."""

import pandas as pd

from dermis.data.report.table import Picture, ReportTable
from dermis.shared.evaluation import EvaluationReport
from dermis.trainer.evaluation.page_figures import figure_text, perfect_text
from dermis.trainer.evaluation.titles import MALIGNANT, SLICES

_CONFUSED = 15


def reliability_table(report: EvaluationReport) -> ReportTable:
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
        "dotted line probability and share right agree."
    )
    columns = ["bin", "n", "confidence", "estimate", "low", "high", "soft"]
    frame = pd.DataFrame(rows, columns=columns).astype({"low": float, "high": float})
    return ReportTable(
        name="reliability", section="Trust", title="Reliability", note=note, frame=frame, chart="reliability"
    )


def coverage_table(report: EvaluationReport) -> ReportTable:
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
                "exact thresholds at this n": perfect_text("coverage", group.perfect_model_at_this_n),
            }
        )
    note = "Where the type is not given the lowest threshold applies, so that more is covered than claimed."
    return ReportTable(
        name="coverage", section="Trust", title="Coverage of the prediction sets", note=note, frame=pd.DataFrame(rows)
    )


def grouped_answers_table(report: EvaluationReport) -> ReportTable:
    rows = [
        {
            "of": f"{SLICES.get(row.slice, row.slice)}: {row.value}" if row.slice else "all",
            "answers": row.answers,
            "n": row.n,
            "coverage": figure_text(row.coverage),
            "answered": figure_text(row.answered),
            "conditions held": figure_text(row.leaves),
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


def risk_table(report: EvaluationReport) -> ReportTable:
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


def confusion_tables(report: EvaluationReport) -> list[ReportTable]:
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


def human_tables(report: EvaluationReport) -> list[ReportTable]:
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


def malignant_tables(report: EvaluationReport) -> list[ReportTable]:
    if not report.malignant:
        return []
    rows = []
    for row in report.malignant:
        low, high = row.missed_per_100_interval or (None, None)
        rows.append(
            {
                "condition": row.condition,
                "n": row.n,
                "estimate": row.missed_per_100,
                "low": low,
                "high": high,
                "in the set": row.in_set,
                "benign first": row.benign_first,
            }
        )
    return [
        ReportTable(
            name="malignant",
            section="Trust",
            title="Malignant conditions that an answer misses, of 100",
            note=MALIGNANT,
            frame=pd.DataFrame(rows),
            n_min=report.n_min,
        )
    ]


def mistakes_tables(report: EvaluationReport, pictures: tuple[Picture, ...]) -> list[ReportTable]:
    if not report.mistakes:
        return []
    rows = [
        {
            "case of the evaluation data": row.case,
            "reference": row.reference,
            "the model's first": row.first,
            "its probability": row.probability,
            "probability of the reference": row.of_reference,
        }
        for row in report.mistakes
    ]
    note = "Answers of which the model was surest and that no grader named. They are cases of this data set alone."
    return [
        ReportTable(
            name="mistakes",
            section="Mistakes",
            title="Worst confident mistakes",
            note=note,
            frame=pd.DataFrame(rows),
            pictures=pictures,
        )
    ]
