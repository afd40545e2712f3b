"""Learning curves of a page: what was measured by epoch, and in words what was not."""

from typing import Any

import pytest

from dermis.shared.evaluation import LearnedEpoch
from dermis.trainer.evaluation.page_learning import learning_tables
from tests.support.evaluations import report

pytestmark = pytest.mark.trainer


def learned(**metrics: float) -> Any:
    return report(learning=[LearnedEpoch(epoch=k, stage=1, metrics={"loss": 1 / k, **metrics}) for k in (1, 2, 3)])


def test_loss_and_validation_have_a_figure_each() -> None:
    loss, accuracy = learning_tables(learned(validation_loss=0.5, validation_top_1=0.25, validation_top_3=0.75))
    assert loss.axes == ("epoch", "cross-entropy (nats)")
    assert accuracy.axes == ("epoch", "share of validation cases (%)")
    assert loss.frame[loss.frame["of"] == "training"]["value"].tolist() == [1, 1 / 2, 1 / 3]
    assert set(accuracy.frame["of"]) == {"top-1", "top-3"}


def test_without_validation_the_page_says_so_and_without_a_training_there_is_none() -> None:
    (loss,) = learning_tables(learned())
    assert "No validation part" in loss.note
    assert "training cases is not measured" in loss.note
    assert learning_tables(report()) == []
