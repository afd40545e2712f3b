"""Learning curves: what each epoch of training came to."""

import pandas as pd

from dermis.data.report.table import ReportTable
from dermis.shared.evaluation import EvaluationReport

_LOSSES = {"loss": "training", "validation_loss": "validation"}
_SHARES = {"validation_top_1": "top-1", "validation_top_3": "top-3"}
_NO_VALIDATION = "No validation part: the model learned from every case, and stopped where its config says."
_NO_SIZES = "The error by the number of training cases is not measured here."


def learning_tables(report: EvaluationReport) -> list[ReportTable]:
    """Return loss and validation accuracy by epoch; none where the report does not tell the training."""
    if not report.learning:
        return []
    validated = any("validation_loss" in epoch.metrics for epoch in report.learning)
    note = f"{_NO_SIZES}" if validated else f"{_NO_VALIDATION} {_NO_SIZES}"
    tables = [
        _table(report, _LOSSES, name="learning_loss", title="Loss by epoch", axis="cross-entropy (nats)", note=note)
    ]
    if validated:
        title, axis = "Validation accuracy by epoch", "share of validation cases (%)"
        tables.append(_table(report, _SHARES, name="learning_accuracy", title=title, axis=axis, note="", percent=True))
    return tables


def _table(
    report: EvaluationReport,
    metrics: dict[str, str],
    *,
    name: str,
    title: str,
    axis: str,
    note: str,
    percent: bool = False,
) -> ReportTable:
    rows = [
        {"of": of, "epoch": epoch.epoch, "stage": epoch.stage, "value": epoch.metrics[metric]}
        for metric, of in metrics.items()
        for epoch in report.learning
        if metric in epoch.metrics
    ]
    return ReportTable(
        name=name,
        section="Learning",
        title=title,
        note=note,
        frame=pd.DataFrame(rows),
        chart="epoch_lines",
        axes=("epoch", axis),
        percent=percent,
    )
