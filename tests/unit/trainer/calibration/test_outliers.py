"""Outliers: the score is probabilistic PCA's, false alarms are as stated, and what is strange is told."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.decomposition import PCA

from dermis.shared.errors import DermisError
from dermis.trainer.benchmarks import out_of_distribution
from dermis.trainer.calibration.outliers import fit_outliers
from dermis.trainer.cli.benchmark import benchmark
from dermis.trainer.evaluation.predictions import to_bytes as to_npz
from dermis.worker.core.outliers import from_bytes, to_bytes
from tests.unit.trainer.made import predictions

pytestmark = pytest.mark.trainer
SIZE = 24


def embeddings(n: Any, seed: Any, shift: float = 0.0) -> Any:
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(7).normal(size=(6, SIZE))
    return (rng.normal(size=(n, 6)) @ mixing + 0.3 * rng.normal(size=(n, SIZE)) + shift).astype(np.float32)


def test_the_score_is_that_of_probabilistic_pca() -> None:
    training = embeddings(400, 0).astype(float)
    fitted, _ = fit_outliers(training, embeddings(200, 1))
    reference = PCA(n_components=len(fitted.axes)).fit(training)
    new = embeddings(50, 2)
    off = new - reference.mean_
    expected = np.einsum("ni,ij,nj->n", off, reference.get_precision(), off) / SIZE
    assert fitted.score(new) == pytest.approx(expected, rel=0.02)
    assert fitted.score(training).mean() == pytest.approx(1, abs=0.05)


def test_false_alarms_are_as_stated_and_strangers_are_told() -> None:
    alarms = []
    for seed in range(20):
        fitted, rule = fit_outliers(embeddings(500, seed), embeddings(300, 100 + seed), false_alarms=0.05)
        alarms.append((fitted.score(embeddings(2000, 200 + seed)) > rule.threshold).mean())
    assert np.mean(alarms) == pytest.approx(0.05, abs=0.012)
    assert (fitted.score(embeddings(200, 1, shift=3.0)) > rule.threshold).mean() > 0.95
    assert rule.calibrated_on == 300


def test_cases_without_an_image_are_left_out() -> None:
    training, calibration = embeddings(300, 0), embeddings(100, 1)
    blank = np.zeros((50, SIZE), np.float32)
    _, plain = fit_outliers(training, calibration)
    _, mixed = fit_outliers(np.concatenate([training, blank]), np.concatenate([blank, calibration]))
    assert mixed == plain


def test_too_few_cases_or_no_variance_give_no_rule() -> None:
    assert fit_outliers(embeddings(300, 0), embeddings(40, 1), false_alarms=0.02) is None
    assert fit_outliers(np.ones((300, SIZE)), embeddings(100, 1)) is None
    assert fit_outliers(np.zeros((300, SIZE)), np.zeros((100, SIZE))) is None


def test_more_axes_than_cases_still_detect() -> None:
    rng = np.random.default_rng(0)
    training, calibration = rng.normal(size=(60, 400)), rng.normal(size=(80, 400))
    fitted, rule = fit_outliers(training, calibration)
    assert (from_bytes(to_bytes(fitted)).score(rng.normal(size=(200, 400))) > rule.threshold).mean() < 0.1
    assert (fitted.score(2 * rng.normal(size=(200, 400))) > rule.threshold).all()


def test_other_data_is_detected_and_new_cases_are_not(tmp_path: Path) -> None:
    known = dataclasses.replace(predictions(n=800), embedding=embeddings(800, 3))
    other = dataclasses.replace(predictions(n=100), embedding=embeddings(100, 4, shift=3.0))
    same = dataclasses.replace(predictions(n=400), embedding=embeddings(400, 5))
    new, far, near = out_of_distribution.detect(known, [("far", other), ("near", same)], false_alarms=0.05)
    assert new.n == 200
    assert new.alarms.value <= 0.1
    assert (new.auroc.value, list(new.auroc.interval)) == (0.5, [0.5, 0.5])
    assert far.auroc.value > 0.99
    assert far.alarms.value > 0.95
    assert near.auroc.value == pytest.approx(0.5, abs=0.07)
    for figure in (new.alarms, near.alarms, near.auroc, far.alarms, far.auroc):
        low, high = figure.interval
        assert low <= figure.value <= high
        assert 0 < high - low < 0.15
    blank = dataclasses.replace(other, embedding=np.zeros_like(other.embedding))
    _, none = out_of_distribution.detect(known, [("none", blank)], false_alarms=0.05)
    assert (none.n, none.alarms.value, none.auroc.value) == (0, None, None)
    for name, made in (("known", known), ("far", other)):
        (tmp_path / name).write_bytes(to_npz(made))
    shown = CliRunner().invoke(benchmark, ["out-of-distribution", str(tmp_path / "known"), str(tmp_path / "far")])
    assert shown.exit_code == 0, shown.output
    assert "AUROC" in shown.output
    with pytest.raises(DermisError, match="calibration cases state no"):
        out_of_distribution.detect(predictions(n=40), [])
