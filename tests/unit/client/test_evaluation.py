"""An evaluation report as a client reads it."""

import json

from dermis.client.evaluation import EvaluationReport, Figure
from dermis.shared.manifest import EVALUATION_FILE
from dermis.standalone import demo
from tests.support.evaluations import document


def test_the_figures_of_a_slice_are_read_by_name() -> None:
    raw = json.loads((demo.BUNDLE / EVALUATION_FILE).read_bytes())
    report = EvaluationReport.model_validate(raw)
    for mine, theirs in zip(report.slices["monk_bin"], raw["slices"]["monk_bin"], strict=True):
        assert (mine.value, mine.n) == (theirs["value"], theirs["n"])
        top_3 = Figure(value=theirs["top_3"], interval=tuple(theirs["top_3_interval"]), floor=theirs.get("top_3_floor"))
        assert mine.figure("top_3") == top_3
        assert mine.figure("top_9") is None


def test_an_older_report_is_read() -> None:
    report = EvaluationReport.model_validate(document())
    assert (report.n, report.metrics["top_3"], report.confusion) == (40, 0.75, None)
