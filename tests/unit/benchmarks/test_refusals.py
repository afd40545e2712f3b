"""What the measurement of refusals counts: every source stored alike, each group once, and rules out of fold."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dermis.data.dataset import open_dataset
from dermis.shared.manifest import OutlierRule
from dermis.standalone import demo

pytestmark = pytest.mark.trainer

refusals: Any = pytest.importorskip("benchmarks.refusals")


def seen(kind: str, part: str = "I-II", **flags: bool) -> Any:
    every = {"in_view": False, "gate": False, "rule": False, "either": False, "unanswered": False} | flags
    return refusals.Seen(kind=kind, part=part, **every)


def test_every_source_is_shrunk_and_stored_alike() -> None:
    rng = np.random.default_rng(0)
    large = np.asarray(rng.integers(0, 255, (800, 1200, 3)), np.uint8)
    once = refusals.stored(large)
    assert max(once.shape) == refusals.LONGEST
    assert refusals.stored(large[:60, :80]).shape == (60, 80, 3)
    assert not np.array_equal(refusals.stored(large[:60, :80]), large[:60, :80])  # as a JPEG would change it


def test_a_table_counts_each_group_with_its_interval() -> None:
    rows = [seen("a", rule=True, either=True, unanswered=True), seen("a"), seen("b", "V-VI", gate=True, either=True)]
    text = refusals.table("source", refusals.by(rows, lambda one: one.kind))
    (a, b) = (line for line in text.splitlines() if line.startswith(("| a", "| b")))
    assert [cell.strip() for cell in a.split("|")][2:5] == ["2", "0: 0.0% (0.0% to 65.8%)", "1: 50.0% (9.5% to 90.5%)"]
    assert "1: 100.0% (20.7% to 100.0%)" in b
    assert [(part, len(group)) for part, group in refusals.by_type(rows, "")] == [
        ("I-II", 2),
        ("III-IV", 0),
        ("V-VI", 1),
        ("not known", 0),
    ]


def test_a_drawing_is_answered_and_noise_is_not() -> None:
    judge = refusals.Judge(refusals.open_bundle(demo.BUNDLE), refusals.load_gate())
    (drawing, *_) = refusals.cases_of(open_dataset("generated:21:4"), "drawings")
    one, embedding = judge.see(drawing)
    assert embedding.any()
    assert (one.gate, one.rule, one.either) == (False, False, False)
    noise = np.asarray(np.random.default_rng(1).integers(0, 255, (200, 200, 3)), np.uint8)
    other, _ = judge.see(replace(drawing, images=(noise,)))
    assert other.rule or other.gate
    assert other.unanswered


def test_training_cases_are_judged_by_rules_that_did_not_see_their_group(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [refusals.Shown(kind="own", images=(), group=f"g{n // 2:03}") for n in range(80)]
    rows = iter(np.array([[n // 2]], float) for n in range(80))
    fitted_on: list[set[float]] = []

    def unseen(rows: Any) -> Any:
        return np.array([float(row not in fitted_on[-1]) for row in rows[:, 0]])

    def fit(training: Any, calibration: Any, *, false_alarms: float) -> Any:
        assert false_alarms == 0.1
        assert not set(training.ravel()) & set(calibration.ravel())
        fitted_on.append({*training.ravel(), *calibration.ravel()})
        unseen = SimpleNamespace(
            score=lambda judged: np.array([float(row not in fitted_on[-1]) for row in judged[:, 0]])
        )
        return unseen, SimpleNamespace(threshold=0.5)

    monkeypatch.setattr(refusals, "fit_outliers", fit)
    rule = OutlierRule(threshold=1, false_alarms=0.1, calibrated_on=9)
    manifest = SimpleNamespace(outliers=rule, key="fake/1")
    judge = SimpleNamespace(bundle=SimpleNamespace(manifest=manifest), see=lambda one: (seen(one.kind), next(rows)[0]))
    judged = refusals.out_of_fold(judge, cases)
    assert len(fitted_on) == refusals.FOLDS
    assert all(one.rule and one.either and one.unanswered for one in judged)  # each score is of a rule without it


def test_a_bundle_without_a_rule_is_refused() -> None:
    judge = SimpleNamespace(bundle=SimpleNamespace(manifest=SimpleNamespace(outliers=None, key="fake")))
    with pytest.raises(ValueError, match="no outlier rule"):
        refusals.out_of_fold(judge, [])
