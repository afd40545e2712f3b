"""The evaluation report as one self-contained page: plots, one table a question, two models side by side, every version evaluated."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from dermis.data.report.report import Report
from dermis.data.report.report import as_html as page
from dermis.data.report.table import Table
from dermis.data.samples import NOT_GIVEN
from dermis.shared.case import NOT_A_MEDICAL_DEVICE
from dermis.trainer.evaluation.seen_in_training import warning

MEASURES = {
    "top_1": "Top-1",
    "top_3": "Top-3",
    "top_5": "Top-5",
    "top_1_soft": "Top-1, soft",
    "top_3_soft": "Top-3, soft",
    "top_5_soft": "Top-5, soft",
    "balanced_accuracy": "Balanced accuracy",
    "macro_precision": "Macro precision",
    "macro_recall": "Macro recall",
    "macro_f1": "Macro F1",
    "macro_auroc": "Macro AUROC",
    "mean_average_precision": "Mean average precision",
    "brier": "Brier score",
    "brier_soft": "Brier score, soft",
    "expected_calibration_error": "Calibration error",
    "expected_calibration_error_soft": "Calibration error, soft",
    "set_coverage": "Coverage of the prediction sets",
    "set_coverage_soft": "Coverage of the prediction sets, soft",
    "set_size": "Size of the prediction sets",
    "aurc": "Area under risk and coverage",
    "risk_at_50_percent": "Risk, half answered",
    "risk_at_80_percent": "Risk, 80 % answered",
    "abstained": "Abstained",
    "out_of_distribution": "Out of distribution",
    "top_1_answered": "Top-1 of those answered",
    "top_3_answered": "Top-3 of those answered",
}
IN_SLICES = (
    *("top_3", "top_1_soft", "top_3_soft", "balanced_accuracy", "macro_auroc", "brier_soft", "expected_calibration_error"),
    *("set_coverage_soft", "set_size", "aurc", "abstained", "out_of_distribution"),
)
SLICES = {
    "monk_bin": "Monk skin tone",
    "monk_skin_tone": "Monk skin tone, each",
    "fitzpatrick_group": "Fitzpatrick skin type, self-reported, grouped",
    "fitzpatrick_self": "Fitzpatrick skin type, self-reported",
    "fitzpatrick_estimated_group": "Fitzpatrick skin type, estimated, grouped",
    "fitzpatrick_estimated": "Fitzpatrick skin type, estimated",
    "age_group": "Age",
    "sex_at_birth": "Sex at birth",
    "race_ethnicity": "Race and ethnicity (audit only: no model reads it)",
    "images": "Images per case",
    "answers": "Answers",
    "quality_verdict": "Image quality, best verdict",
    "condition": "Condition",
}
NOTICE = (
    "Intervals are 95 %, by bootstrap over groups of connected cases; where a group of cases is too small, none is given. Soft figures count "
    "what the reference differential gives to a condition, the others whether it is its first one. Monk and Fitzpatrick scales are never "
    "converted into each other. " + NOT_A_MEDICAL_DEVICE
)
_CONFUSED = 15
Row = Mapping[str, Any]


def as_html(
    report: Row, *, against: Row | None = None, comparison: Row | None = None, evaluated: Sequence[Row] = (), studies: Sequence[Table] = ()
) -> str:
    """Return the page of an evaluation report; `against` and `comparison`: another model's and `evaluate.compare` of both.

    `evaluated`: reports of every version, for the table of all; `studies`: more tables (ablation, robustness).
    """
    facts = {
        **({"WARNING": warning(report["seen_in_training"])} if report.get("seen_in_training") else {}),
        "Model": f"{report['model']}, purpose {report['purpose']}",
        "Data": f"{report['data']}; digest {report['data_digest']}",
        "Cases": f"{report['n']:,} in {report['groups']:,} groups of connected cases; {report['unlabelled']:,} without a known condition left out",
    }
    tables = [
        _overall(report),
        _shown(report),
        *(_pair(report, against, comparison) if against and comparison else ()),
        _reliability(report),
        _coverage(report),
        _risk(report),
        _confusion(report),
        *_human(report),
        _gaps(report),
        *_slices(report),
        *studies,
        *_evaluated(evaluated),
    ]
    tables = [table for table in tables if len(table.frame)]
    return page(Report(name="evaluation", title=f"Evaluation of {report['model']}", facts=facts, tables=tables, notice=NOTICE))


def _overall(report: Row) -> Table:
    floors, perfect, rows = report["floors"], report["perfect_model_at_this_n"], []
    for name, figure in report["overall"].items():
        low, high = figure["interval"] or (None, None)
        band = perfect.get(name)
        reference = (
            "" if not band else f"{band[0]:.3f} to {band[1]:.3f}" if "coverage" in name else f"{band[0]:.3f}, 95th percentile {band[1]:.3f}"
        )
        rows.append(
            {
                "measure": MEASURES[name],
                "estimate": figure["value"],
                "low": low,
                "high": high,
                "prior's list": floors.get(name),
                "best constant list": floors.get(f"{name}_best_constant"),
                "a perfect model at this n": reference,
            }
        )
    return Table(
        name="overall",
        section="Overall",
        title="Every measure",
        note=f"Prior's list: {floors['meaning']}. Of {report['n']:,} cases {report['answered_n']:,} are answered.",
        frame=pd.DataFrame(rows),
    )


def _shown(report: Row) -> Table:
    rows = [
        {"shown": what, **{MEASURES[name]: _figure(row, name) for name in row if name in MEASURES}} for what, row in report["shown"].items()
    ]
    return Table(name="shown", section="Overall", title="What images and answers give alone", frame=pd.DataFrame(rows))


def _figure(row: Row, name: str) -> str:
    value, interval = row.get(name), row.get(f"{name}_interval")
    if value is None:
        return ""
    floor = row.get(f"{name}_floor")
    said = f"{value:.3f}" + (f" ({interval[0]:.3f}\N{EN DASH}{interval[1]:.3f})" if interval else "")
    return said + (f", floor {floor:.3f}" if floor is not None else "")


def _pair(report: Row, against: Row, comparison: Row) -> list[Table]:
    section, sides = "Two models", (str(comparison["model"]), f"against {comparison['against']}")
    rows = []
    for name, found in comparison["differences"].items():
        low, high = found["interval"] or (None, None)
        rows.append(
            {
                "measure": MEASURES[name],
                sides[0]: found["this"],
                sides[1]: found["other"],
                "estimate": found["difference"],
                "low": low,
                "high": high,
            }
        )
    test = comparison["mcnemar"]
    note = (
        f"Estimate: {sides[0]} minus {sides[1]} on the same {comparison['n']:,} cases. Top-1, McNemar's exact test: only {sides[0]} right "
        f"{test['only_this_right']:,}, only {sides[1]} right {test['only_other_right']:,}, p {_probability(test['p'])}."
    )
    tables = [Table(name="paired", section=section, title="Differences", note=note, frame=pd.DataFrame(rows))]
    for scale, several in comparison["slices"].items():
        if not several:
            continue
        theirs = {row["value"]: row for row in against["slices"][scale]}
        ours = {row["value"]: row for row in report["slices"][scale]}
        both = [value for value in ours if value in theirs and value != NOT_GIVEN]
        frame = pd.DataFrame(
            [{"value": value, **_side(ours[value], "a"), **_side(theirs[value], "b")} for value in both],
            columns=["value", *(f"{part}_{side}" for side in "ab" for part in ("n", "share", "low", "high"))],
        )
        title = f"Top-3 by {SLICES[scale]}"
        tables.append(Table(name=f"sides_{scale}", section=section, title=title, frame=frame, chart="sides", sides=sides))
        differences = []
        for row in several:
            low, high = row["top_3"]["interval"] or (None, None)
            differences.append({"value": row["value"], "n": row["n"], "estimate": row["top_3"]["difference"], "low": low, "high": high})
        title = f"Difference in top-3 by {SLICES[scale]}"
        tables.append(Table(name=f"paired_{scale}", section=section, title=title, frame=pd.DataFrame(differences)))
    return tables


def _probability(p: float) -> str:
    return f"= {p:.4f}" if p >= 0.0001 else "< 0.0001"


def _side(row: Row, side: str) -> dict[str, Any]:
    low, high = row["top_3_interval"] or (row["top_3"], row["top_3"])
    return {f"n_{side}": row["n"], f"share_{side}": row["top_3"], f"low_{side}": low, f"high_{side}": high}


def _reliability(report: Row) -> Table:
    rows = []
    for row in report["reliability"]:
        low, high = row["interval"] or (None, None)
        rows.append({"bin": f"{row['low']:.1f} to {row['high']:.1f}", "n": row["n"], "confidence": row["confidence"]})
        rows[-1] |= {"estimate": row["right"], "low": low, "high": high, "soft": row["right_soft"]}
    note = f"{report['n']:,} cases. Squares: what the reference differential gives to the first condition. On the dotted line said and right agree."
    columns = ["bin", "n", "confidence", "estimate", "low", "high", "soft"]
    frame = pd.DataFrame(rows, columns=columns).astype({"low": float, "high": float})
    return Table(name="reliability", section="Trust", title="Reliability", note=note, frame=frame, chart="reliability")


def _coverage(report: Row) -> Table:
    rows = []
    for row in report["coverage"]:
        low, high = row["set_coverage_soft_interval"] or (None, None)
        band = row["perfect_model_at_this_n"]
        rows.append(
            {
                "self-reported type": row["value"],
                "n": row["n"],
                "calibrated on": row["calibrated_on"],
                "threshold": row["threshold"],
                "claimed": "no claim: too few, pooled with all" if row["pooled"] else row["claimed"],
                "estimate": row["set_coverage_soft"],
                "low": low,
                "high": high,
                "first condition": row["set_coverage"],
                "size": row["set_size"],
                "exact thresholds at this n": f"{band[0]:.3f} to {band[1]:.3f}" if band else "",
            }
        )
    note = "Where the type is not given the lowest threshold applies, so that more is covered than claimed."
    return Table(name="coverage", section="Trust", title="Coverage of the prediction sets", note=note, frame=pd.DataFrame(rows))


def _risk(report: Row) -> Table:
    rows = []
    for of, curve in report["risk_coverage"].items():
        for point in curve:
            low, high = point["interval"] or (None, None)
            rows.append({"of": of, "answered": point["answered"], "n": point["n"], "risk": point["risk"], "low": low, "high": high})
    frame = pd.DataFrame(rows).astype({"low": float, "high": float})
    note = "Share of cases whose first condition is wrong among those answered, with the interval of all."
    return Table(name="risk_coverage", section="Trust", title="Risk by share answered", note=note, frame=frame, chart="curves")


def _confusion(report: Row) -> Table:
    names, table = report["confusion"]["conditions"], report["confusion"]["n"]
    support = [sum(row) for row in table]
    kept = sorted(sorted(range(len(names)), key=lambda k: -support[k])[:_CONFUSED])
    rows = [{"reference": f"{k + 1} {names[k]}", "first": str(j + 1), "n": table[k][j]} for k in kept for j in kept]
    note = "Rows: the reference differential's first condition, with its number; columns: the number of the model's."
    note += f" The {_CONFUSED} most frequent are shown." if len(names) > _CONFUSED else ""
    return Table(name="confusion", section="Trust", title="Confusion", note=note, frame=pd.DataFrame(rows), chart="matrix")


def _human(report: Row) -> list[Table]:
    found = report["human_agreement"]
    if not found["n"]:
        return []
    titles = {"top_1": "first conditions agree", "soft": "the other's differential gives to it", "any": "any other names it"}
    rows = []
    for name, title in titles.items():
        low, high = found[f"{name}_interval"] or (None, None)
        rows.append({"one grader against the others": title, "estimate": found[name], "low": low, "high": high})
    note = f"{found['n']:,} cases whose graders can be told apart: what people reach on these very labels."
    return [Table(name="human", section="Trust", title="Agreement of graders", note=note, frame=pd.DataFrame(rows))]


def _gaps(report: Row) -> Table:
    rows = []
    for gap in report["gaps"]:
        low, high = gap["difference_interval"] or (None, None)
        rows.append(
            {
                "between": SLICES.get(gap["slice"], gap["slice"]),
                "measure": MEASURES.get(gap["measure"], gap["measure"]),
                "n": gap["n"],
                "lowest": f"{gap['lowest']} {gap['lowest_value']:.3f}",
                "highest": f"{gap['highest']} {gap['highest_value']:.3f}",
                "estimate": gap["difference"],
                "low": low,
                "high": high,
                "by chance": f"{gap['by_chance'][0]:.3f}, 95th percentile {gap['by_chance'][1]:.3f}",
            }
        )
    columns = ["between", "measure", "n", "lowest", "highest", "estimate", "low", "high", "by chance"]
    note = "The largest difference between groups (Fairlearn), of groups with 30 cases or more; by chance: what groups that are alike would show."
    return Table(name="gaps", section="Groups", title="Gaps between groups", note=note, frame=pd.DataFrame(rows, columns=columns))


def _slices(report: Row) -> list[Table]:
    tables = []
    for name in sorted(report["slices"], key=lambda name: (list(SLICES).index(name) if name in SLICES else len(SLICES) - 1.5, name)):
        several = report["slices"][name]
        if {row["value"] for row in several} == {NOT_GIVEN}:
            continue
        rows = []
        for row in several:
            low, high = row["top_1_interval"] or (None, None)
            rows.append({"value": row["value"], "n": row["n"], "groups": row["groups"], "estimate": row["top_1"], "low": low, "high": high})
            rows[-1]["floor"] = row.get("top_1_floor")
            rows[-1] |= {MEASURES[figure]: _figure(row, figure) for figure in IN_SLICES if figure in row}
        title = SLICES.get(name) or name.replace("_", " ").capitalize()
        frame = pd.DataFrame(rows).astype({"low": float, "high": float})
        note = "Estimate: top-1; floor, the upright mark: top-1 of the prior's list on these very cases."
        tables.append(Table(name=f"slice_{name}", section="Groups", title=title, note=note, frame=frame, chart="points"))
    return tables


def version_row(report: Row) -> dict[str, Any]:
    """Return what the table of all versions shows of a report; KeyError where it lacks that."""
    return {
        "model": report["model"],
        "data": report.get("data_digest", "")[:16],
        "n": report["n"],
        **{MEASURES[name]: _figure(_flat(report), name) for name in ("top_1", "top_3", "top_3_soft", "macro_auroc", "aurc")},
        "top-3 of the prior's list": report["floors"]["top_3"],
        "Calibration error": report["metrics"]["expected_calibration_error"],
        "Coverage": report["metrics"]["set_coverage"],
        "Abstained": report["metrics"]["abstained"],
    }


def _evaluated(reports: Sequence[Row]) -> list[Table]:
    if not reports:
        return []
    note = "Only rows of the same data can be compared with each other."
    frame = pd.DataFrame([version_row(report) for report in reports])
    return [Table(name="evaluated", section="All versions", title="Every version evaluated", note=note, frame=frame)]


def _flat(report: Row) -> dict[str, Any]:
    flat = dict(report["metrics"]) | {f"{name}_interval": interval for name, interval in report["intervals"].items()}
    for name, figure in report.get("overall", {}).items():
        flat[name], flat[f"{name}_interval"] = figure["value"], figure["interval"]
    return flat
