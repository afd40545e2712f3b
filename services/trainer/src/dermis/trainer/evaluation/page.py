"""The evaluation report as one self-contained page.

It has plots, one table a question, two models side by side, and every version evaluated.
"""

from collections.abc import Sequence

from dermis.data.report.flow import flow_table
from dermis.data.report.report import Report
from dermis.data.report.report import as_html as page
from dermis.data.report.table import Picture, ReportTable
from dermis.shared.case import NOT_A_MEDICAL_DEVICE
from dermis.shared.evaluation import EvaluationReport
from dermis.trainer.evaluation.comparison import Comparison
from dermis.trainer.evaluation.page_groups import condition_table, curve_tables, gaps_table, slice_tables, tone_tables
from dermis.trainer.evaluation.page_learning import learning_tables
from dermis.trainer.evaluation.page_overall import alone_table, overall_table, pair_tables, version_tables
from dermis.trainer.evaluation.page_trust import (
    confusion_tables,
    coverage_table,
    grouped_answers_table,
    human_tables,
    malignant_tables,
    mistakes_tables,
    reliability_table,
    risk_table,
)
from dermis.trainer.evaluation.seen_in_training import warning

NOTICE = (
    "Intervals are 95 %, by bootstrap over groups of connected cases; where a group of cases is "
    "too small, none is given. Soft figures count what the reference differential gives to a "
    "condition, the others whether it is its first one. Monk and Fitzpatrick scales are never "
    "converted into each other. " + NOT_A_MEDICAL_DEVICE
)


def as_html(
    report: EvaluationReport,
    *,
    against: EvaluationReport | None = None,
    comparison: Comparison | None = None,
    evaluated: Sequence[EvaluationReport] = (),
    studies: Sequence[ReportTable] = (),
    pictures: Sequence[Picture] = (),
) -> str:
    """Return the page of an evaluation report.

    `against` and `comparison`: another model's and `comparison.compare` of both.

    `evaluated`: reports of every version, for the table of all; `studies`: more tables (ablation, robustness).
    `pictures`: photos of the report's mistakes.
    """
    facts = {
        **({"WARNING": warning(report.seen_in_training)} if report.seen_in_training else {}),
        "Model": f"{report.model}, purpose {report.purpose}",
        "Data": f"{report.data}; digest {report.data_digest}",
        "Cases": f"{report.n:,} in {report.groups:,} groups of connected cases; {report.unlabelled:,} without a known "
        "condition left out",
    }
    tables = [
        overall_table(report),
        alone_table(report),
        *(pair_tables(report, against, comparison) if against and comparison else ()),
        *([flow_table(report.cohort, section="Cohort")] if report.cohort else ()),
        *tone_tables(report),
        reliability_table(report),
        coverage_table(report),
        grouped_answers_table(report),
        risk_table(report),
        *confusion_tables(report),
        *malignant_tables(report),
        *human_tables(report),
        *curve_tables(report),
        condition_table(report),
        gaps_table(report),
        *slice_tables(report),
        *mistakes_tables(report, tuple(pictures)),
        *learning_tables(report),
        *studies,
        *version_tables(evaluated),
    ]
    tables = [table for table in tables if len(table.frame)]
    return page(
        Report(name="evaluation", title=f"Evaluation of {report.model}", facts=facts, tables=tables, notice=NOTICE)
    )
