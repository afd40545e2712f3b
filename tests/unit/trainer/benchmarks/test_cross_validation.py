"""No case is asked of who saw it, choices are made within training, and a fold is done once."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from dermis.data.dataset import Dataset, conditions_of, open_dataset
from dermis.shared.vocabulary import SelfReport
from dermis.trainer.benchmarks import comparisons, cross_validation, out_of_distribution
from dermis.trainer.benchmarks.contenders import case_model, regression
from dermis.trainer.benchmarks.cross_validation import FOLDS, INNER_FOLDS, Contender, cross_validate
from dermis.trainer.benchmarks.figures import FLOOR, figures_of
from dermis.trainer.benchmarks.report import BenchmarkReport, report_of
from dermis.trainer.benchmarks.unrelated_images import UNRELATED, unrelated_images
from dermis.trainer.config import Config, Stage
from dermis.trainer.model.feature_schema import every_answer
from dermis.trainer.model.inputs import arrays, targets

pytestmark = pytest.mark.trainer
DATA = open_dataset("generated:5:60:40")
CONDITIONS = conditions_of(DATA.samples)
SMALL = Config(name="small", backbone="small", weights=None, image_size=32, stages=(Stage(epochs=3),), patience=None)


def knowing(share: Any, asked: Any) -> Any:
    """Return a contender that is right in a share of the cases, and keeps what it was given."""

    def fit(choice: Any, training: Any, held: Any) -> Any:
        asked.append((choice, {s.id for s in training.samples}, {s.id for s in held.samples}))
        target, _ = targets(held.samples, CONDITIONS)
        right = np.array([int(s.id) % 10 < 10 * share * choice for s in held.samples])
        predictions = np.where(right[:, None], target, np.roll(target, 1, axis=1))
        return 0.9 * predictions + 0.1 / len(CONDITIONS)

    return Contender(name=f"knows {share}", choices=(0.5, 1.0), fit=fit)


def test_no_case_is_asked_of_who_saw_it_and_choices_stay_within_training(tmp_path: Any) -> None:
    asked: list[Any] = []
    lines: list[str] = []
    predictions = cross_validate(DATA, [knowing(0.8, asked)], tmp_path, say=lines.append).predictions["knows 0.8"]
    assert not np.isnan(predictions).any()
    assert all(not training & held for _, training, held in asked)
    outer = [entry for entry in asked if len(entry[1]) + len(entry[2]) == len(DATA)]
    assert len(outer) == FOLDS
    assert set().union(*(held for _, _, held in outer)) == {sample.id for sample in DATA.samples}
    assert {choice for choice, _, _ in outer} == {1.0}  # the one with the least loss on inner folds
    assert len(asked) == FOLDS * (1 + 2 * INNER_FOLDS)
    for n, (_, training, _) in enumerate(
        outer
    ):  # the inner folds before an outer fold's fit hold its training cases alone
        inner = asked[n * (1 + 2 * INNER_FOLDS) : (n + 1) * (1 + 2 * INNER_FOLDS) - 1]
        assert all(known | checked == training for _, known, checked in inner)
    again = cross_validate(DATA, [knowing(0.8, asked)], tmp_path, say=lines.append).predictions["knows 0.8"]
    assert (again == predictions).all()
    assert len(asked) == FOLDS * (1 + 2 * INNER_FOLDS)  # every fold was kept


def test_a_fold_that_was_being_written_when_the_run_was_killed_is_done_again_and_the_others_are_kept(
    tmp_path: Any, monkeypatch: Any
) -> Any:
    asked: list[Any] = []

    write_text = Path.write_text

    def half_of(path: Any, text: Any, **options: Any) -> Any:
        if len(asked) > 7:  # the second fold
            write_text(path, text[: len(text) // 2], **options)
            raise KeyboardInterrupt
        return write_text(path, text, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", half_of)
        with pytest.raises(KeyboardInterrupt):
            cross_validate(DATA, [knowing(0.8, asked)], tmp_path, say=lambda _line: None)
    assert len(list(tmp_path.glob("*.json"))) == 1
    resumed = cross_validate(DATA, [knowing(0.8, asked)], tmp_path, say=lambda _line: None)
    assert len(asked) == (FOLDS + 1) * (1 + 2 * INNER_FOLDS)  # the second fold twice, the first once
    whole = cross_validate(DATA, [knowing(0.8, [])], tmp_path / "whole", say=lambda _line: None)
    assert (resumed.predictions["knows 0.8"] == whole.predictions["knows 0.8"]).all()


@pytest.mark.parametrize("change", [{"settings": "other"}, {"choices": (1.0,)}, {"sees": ("answers",)}])
def test_a_kept_fold_counts_for_the_same_contender_alone(tmp_path: Any, change: Any) -> None:
    asked: list[Any] = []
    one = knowing(0.8, asked)
    cross_validate(DATA, [one], tmp_path, say=lambda _line: None)
    before = len(asked)
    cross_validate(DATA, [replace(one, **change)], tmp_path, say=lambda _line: None)
    assert len(asked) > before


def test_the_report_states_floor_pairs_and_tones(tmp_path: Path) -> None:
    held_out = cross_validate(DATA, [knowing(0.9, []), knowing(0.3, [])], tmp_path, say=lambda _line: None)
    figures = figures_of(held_out, pairs=[("knows 0.9", "knows 0.3"), ("knows 0.9", "knows 0.9")])
    gain, none = figures.differences.values()
    assert gain["top 1"].value == pytest.approx(0.6)
    assert gain["brier"].value < 0
    assert all((figure.value, figure.interval) == (0, (0, 0)) for figure in none.values())
    labels = held_out.judged(held_out.predictions["knows 0.9"]).labels
    prior = np.bincount(labels, minlength=len(CONDITIONS)) / len(labels)
    tiled = np.tile(prior, (len(labels), 1))
    constant = brier_score_loss(labels, tiled, labels=range(len(CONDITIONS)), scale_by_half=False)
    assert figures.overall[FLOOR]["macro auroc"].value == 0.5
    assert figures.overall[FLOOR]["top 1"].value == pytest.approx(prior.max(), abs=1e-4)
    assert figures.overall[FLOOR]["brier"].value == pytest.approx(constant, abs=1e-4)
    report = report_of(figures)
    assert f"| {FLOOR} |" in report.tables
    assert sum(line.startswith("| monk_bin=MST_") for line in report.tables.splitlines()) == 3
    assert "knows 0.9 less knows 0.3" in report.tables
    assert report.figures["differences"]["knows 0.9 - knows 0.3"]["top 1"]["n"] == len(held_out.dataset)
    assert held_out.split.digest in report.page


@pytest.mark.parametrize("sees", [("answers",), ("images",)])
def test_a_contender_gets_what_it_sees_and_nothing_else(tmp_path: Path, sees: Any) -> None:
    whole = {sample.id: sample for sample in DATA.samples}

    def fit(_: None, training: Dataset, tested: Dataset) -> np.ndarray:
        for sample in (*training.samples, *tested.samples):
            assert sample.images == (whole[sample.id].images if "images" in sees else ())
            assert sample.report == (whole[sample.id].report if "answers" in sees else SelfReport())
        return np.full((len(tested), len(CONDITIONS)), 1 / len(CONDITIONS))

    half = Contender(name="half", fit=fit, choices=(1, 2), sees=sees)
    cross_validate(DATA, [half], tmp_path, say=lambda _line: None)


def test_cases_without_a_label_take_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = tuple(
        replace(sample, target={}, top=None) if n % 3 == 0 else sample for n, sample in enumerate(DATA.samples)
    )
    monkeypatch.setattr(comparisons, "open_dataset", lambda _data, **_: replace(DATA, samples=silent))
    dataset, _ = comparisons.labelled("some")
    held_out = cross_validate(dataset, [knowing(0.9, [])], tmp_path, say=lambda _line: None)
    tables = report_of(figures_of(held_out, pairs=[])).tables
    assert f"top 1 (n = {len(held_out.dataset)})" in tables
    assert len(dataset) > len(held_out.dataset)  # of one condition a single group is left: it trains in every fold
    assert "nan" not in tables
    flat = replace(held_out, predictions={"cnn": np.full((len(held_out.dataset), len(CONDITIONS)), 0.1)})
    monkeypatch.setattr(comparisons, "cross_validate", lambda _dataset, *_: flat)
    monkeypatch.setattr(comparisons, "by_image", lambda dataset, *, torn: dataset)  # noqa: ARG005
    assert comparisons.run_leak("some", cache=tmp_path).tables.count(f"top 1 (n = {len(held_out.dataset)})") == 2


def test_the_probe_learns_from_features_and_the_case_model_is_chosen_by_inner_folds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cross_validation, "INNER_FOLDS", 2)
    rows = np.random.default_rng(0).normal(size=(len(DATA), 8)) + targets(DATA.samples, CONDITIONS)[1][:, None]
    row_of = {sample.id: n for n, sample in enumerate(DATA.samples)}
    probe = regression(
        "probe",
        lambda part: np.stack([rows[row_of[sample.id]] for sample in part.samples]),
        CONDITIONS,
        strengths=(0.01, 1.0),
        standardised=True,
    )
    lines: list[str] = []
    ours = case_model("ours", SMALL, CONDITIONS, tmp_path, choices=({"head.l2": "0.01"}, {"head.l2": "100"}))
    held_out = cross_validate(DATA, [probe, ours], tmp_path, split=DATA.split(seed=0, folds=2), say=lines.append)
    figures = figures_of(held_out, pairs=[])
    assert figures.overall["probe"]["macro auroc"].value > 0.7
    assert np.allclose(held_out.predictions["ours"].sum(1), 1, atol=1e-5)
    assert sum("ours: {'head.l2'" in line and "by inner folds" in line for line in lines) == 2


def test_outliers_of_photos_left_out_are_scored_once_a_fold_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(SMALL, false_alarms=0.1)
    monkeypatch.setattr(out_of_distribution, "fitzpatrick17k", SimpleNamespace(CONFIG=config))
    monkeypatch.setattr(out_of_distribution, "open_dataset", lambda _data, **_: DATA)
    monkeypatch.setattr(out_of_distribution, "UNRELATED_COUNT", 10)
    monkeypatch.setattr(out_of_distribution, "FOLDS", 2)
    report = out_of_distribution.run_unseen("some", cache=tmp_path)
    assert {name: len(scores) for name, scores in report.figures["scores"].items()} == {
        DATA.name: sum(case.fold is not None for case in DATA.split(seed=0, folds=2).cases),
        **dict.fromkeys(UNRELATED, 10),
    }
    monkeypatch.setattr(out_of_distribution, "fit_model", lambda *_: pytest.fail("a fold was done again"))
    again: BenchmarkReport = out_of_distribution.run_unseen("some", cache=tmp_path)
    assert again.tables == report.tables
    assert "| of the first, monk_bin=MST_7_10 |" in again.tables


@pytest.mark.parametrize("name", UNRELATED)
def test_unrelated_images_are_the_same_each_time_and_differ_from_each_other(name: Any) -> None:
    one, again = (arrays(unrelated_images(name, 3), every_answer(), 32)["images"] for _ in range(2))
    assert (one == again).all()
    assert (one[0, 0] != one[1, 0]).any()
    assert one[:, 0].std() > 5
