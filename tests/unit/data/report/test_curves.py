"""Lines have axes with titles and units, and an alternative text with their numbers."""

import re

import pandas as pd
import pytest

from dermis.data.report.plots import draw
from dermis.data.report.table import ReportTable

EPOCHS = pd.DataFrame(
    [
        {"of": of, "epoch": epoch, "stage": 1 + (epoch > 2), "value": 1 / epoch}
        for of in ("training", "validation")
        for epoch in range(1, 5)
    ]
)
ROC = pd.DataFrame({"of": ["mean", "mean", "Acne", "Acne"], "n": [9, 9, 5, 5], "x": [0, 1, 0, 1], "y": [0, 1, 0.5, 1]})


def texts_of(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]+)</text>", svg)


def test_an_epochs_lines_tell_axes_stages_and_who_is_who() -> None:
    table = ReportTable(
        name="t", section="S", title="Loss", frame=EPOCHS, chart="epoch_lines", axes=("epoch", "cross-entropy (nats)")
    )
    texts = texts_of(draw(table))
    assert {"epoch", "cross-entropy (nats)", "stage 2", "training", "validation"} <= set(texts)
    assert "training 1.000 first, 0.250 last" in draw(table)


@pytest.mark.parametrize("diagonal", [True, False])
def test_lines_of_shares_are_in_percent_and_name_their_cases(diagonal: bool) -> None:
    axes = ("false alarms (%)", "sensitivity (%)")
    table = ReportTable(
        name="t", section="S", title="ROC", frame=ROC, chart="share_lines", axes=axes, diagonal=diagonal
    )
    svg = draw(table)
    assert {*axes, "100%"} <= set(texts_of(svg))
    assert "mean (n = 9), Acne (n = 5)" in svg
    assert (svg.count("stroke-dasharray") > 0) == diagonal
