"""Looks up how well a version was measured for people of the same self-reported Fitzpatrick group."""

from collections.abc import Mapping

from dermis.shared.case import Measured
from dermis.shared.evaluation import EvaluationReport, Figure
from dermis.shared.vocabulary import FitzpatrickSkinType
from dermis.worker.core.differential import FITZPATRICK_GROUPS

EVERYONE = "ALL"
_NONE = Figure(value=None, interval=None)


def measured_for(report: EvaluationReport | None, fitzpatrick: FitzpatrickSkinType | None) -> Measured | None:
    """Return the row of that type's group: by self-report, else by clinicians' estimates.

    It is that of the type alone in a report without groups, or of all cases where none is given or measured; None if
    the report has no such figures.
    """
    if report is None:
        return None
    for cut, value in (
        ("fitzpatrick_group", FITZPATRICK_GROUPS.get(fitzpatrick)),
        ("fitzpatrick_skin_type", fitzpatrick),
        ("fitzpatrick_estimated_group", FITZPATRICK_GROUPS.get(fitzpatrick)),
    ):
        for row in report.slices.get(cut, ()):
            if value and row.value == value:
                measured = _measured(report, value, row.n, row.groups, row.figures)
                if measured and cut == "fitzpatrick_estimated_group":
                    return measured.model_copy(update={"scale": "estimated"})
                return measured
    figures = {name: figure for name in report.metrics if (figure := report.figure(name))}
    return _measured(report, EVERYONE, report.n, report.groups, figures)


def _measured(
    report: EvaluationReport, group: str, n: int, people: int | None, figures: Mapping[str, Figure]
) -> Measured | None:
    top_1, top_3, coverage = (figures.get(name, _NONE) for name in ("top_1", "top_3", "set_coverage"))
    if top_1.value is None or top_3.value is None:
        return None
    return Measured(
        group=group,
        n=n,
        top_1=top_1.value,
        top_1_interval=top_1.interval,
        top_3=top_3.value,
        top_3_interval=top_3.interval,
        set_coverage=coverage.value,
        set_coverage_interval=coverage.interval,
        floor_top_1=report.floors.top_1 if top_1.floor is None else top_1.floor,
        floor_top_3=report.floors.top_3 if top_3.floor is None else top_3.floor,
        data=report.data,
        people=people,
    )
