"""Estimates of too few cases are grey, in the figure and in the table."""

import pandas as pd

from dermis.data.report.canvas import ACCENT
from dermis.data.report.plots import draw
from dermis.data.report.report import Report, as_html
from dermis.data.report.table import ReportTable

ROWS = pd.DataFrame(
    [
        {"value": value, "n": n, "measure": measure, "estimate": 0.5, "low": 0.4, "high": 0.6}
        for measure in ("Mean sensitivity", "Calibration error")
        for value, n in (("FST_I_II", 80), ("FST_V_VI", 3))
    ]
)


def panels(n_min: int) -> ReportTable:
    return ReportTable(name="t", section="S", title="T", frame=ROWS, chart="panels", n_min=n_min)


def test_each_measure_has_a_panel_whose_axis_has_a_title() -> None:
    svg = draw(panels(72))
    assert "Mean sensitivity (0\N{EN DASH}1)" in svg
    assert "Calibration error (0\N{EN DASH}1)" in svg
    assert svg.count("FST V\N{EN DASH}VI, n = 3<") == 2
    assert ACCENT not in svg


def test_groups_under_the_fewest_are_grey() -> None:
    for n_min, pale in ((72, 2), (0, 0)):
        page = as_html(Report(name="r", title="R", facts={}, tables=[panels(n_min)]))
        assert page.count('<tr class="few">') == pale
        assert ("opacity: 0.4" in page) == bool(pale)
