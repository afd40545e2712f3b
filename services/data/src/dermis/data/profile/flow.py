"""The flow of a data set's cases to those that have a label."""

from collections.abc import Sequence

import pandas as pd

from dermis.data.cohort import STAYS, label_steps, narrowed
from dermis.data.mapping import CONDITION, DataSide
from dermis.data.report.flow import flow_table
from dermis.data.report.table import ReportTable
from dermis.data.scin.label_policy import Labels


def scin_flow(cases: pd.DataFrame, labels: Labels) -> ReportTable:
    """Return the flow of SCIN's cases under a label policy."""
    statuses = zip(labels.frame["status"], labels.has_label, strict=True)
    return _flow(cases["images"].map(len), [STAYS if labelled else str(status) for status, labelled in statuses])


def mapped_flow(side: DataSide) -> ReportTable:
    """Return the flow of a mapped data set's cases, which names conditions."""
    return _flow(list(map(len, side.images)), [STAYS if each else "NO_CONDITION" for each in side.answers[CONDITION]])


def _flow(images: Sequence[int], unlabelled: Sequence[str]) -> ReportTable:
    return flow_table(narrowed(images, label_steps(unlabelled)), section="Extent")
