import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.metrics import roc_auc_score

from dermis.data.dataset import Dataset, open_dataset
from dermis.data.generated.as_scin import write_as_scin
from dermis.data.split.split import as_text, from_text
from dermis.shared.errors import DermisError
from dermis.shared.stores.disk import DiskStore
from dermis.trainer.benchmarks import scin
from dermis.trainer.benchmarks.cross_validation import Contender, cross_validate
from dermis.trainer.benchmarks.figures import FLOOR, TONES, ContenderFigures, figures_of, of_all_but_the_last
from dermis.trainer.benchmarks.scin import ANSWERS, BOTH, IMAGES, OTHER, PAIRS, REGRESSION, ten_conditions
from dermis.trainer.cli.benchmark import benchmark
from dermis.trainer.config import Stage
from dermis.trainer.metrics import Judged, draw_weights
from dermis.trainer.model.inputs import targets

pytestmark = pytest.mark.trainer


@pytest.fixture(autouse=True)
def _short_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scin, "PENALTIES", ({"head.l2": "0.002"},))
    short = (Stage(epochs=12, learning_rate=2e-2),)
    monkeypatch.setattr(scin, "STRENGTHS", (0.1, 0.3))
    monkeypatch.setattr(
        scin, "IMAGES_CONFIG", replace(scin.IMAGES_CONFIG, stages=short, image_size=64, backbone="small", weights=None)
    )


@pytest.fixture(scope="module")
def whole() -> Dataset:
    return open_dataset("generated:3:240")


def judged(n: int = 400, conditions: int = 3, folds: int = 4) -> Judged:
    rng = np.random.default_rng(0)
    target = rng.dirichlet(np.full(conditions + 1, 0.3), n) * (rng.uniform(size=(n, conditions + 1)) < 0.7)
    target[:, -1] += 1e-6
    target /= target.sum(1, keepdims=True)
    fold = rng.integers(folds, size=n)
    probabilities = rng.dirichlet(np.ones(conditions + 1), n) + target
    return Judged.undecided(probabilities, labels=target.argmax(1), target=target, fold=fold)


WEIGHTS = draw_weights([str(i // 2) for i in range(400)], np.random.default_rng(0))


def test_auroc_is_sklearns_within_each_fold_weighted_by_pairs() -> None:
    cases = judged()
    expected = []
    for k in range(3):
        areas, pairs = [], []
        for fold in range(4):
            here = cases.fold == fold
            named = cases.target[here, k] > 0
            areas.append(roc_auc_score(named, cases.probabilities[here, k]))
            pairs.append(named.sum() * (~named).sum())
        expected.append(np.average(areas, weights=pairs))
    assert of_all_but_the_last(cases, WEIGHTS)["macro auroc"][0][0] == pytest.approx(np.mean(expected))


def test_a_constant_comes_to_one_half_though_its_prior_differs_by_fold() -> None:
    cases = judged()
    constant = replace(cases, probabilities=cases.fold[:, None] * np.ones(4))
    assert of_all_but_the_last(constant, WEIGHTS)["macro auroc"][0] == pytest.approx(0.5)


def test_top_k_is_asked_among_the_conditions_of_cases_whose_top_is_one_of_them() -> None:
    cases = judged()
    perfect = of_all_but_the_last(replace(cases, probabilities=cases.target), WEIGHTS)
    values, among = perfect["top 1"]
    assert (values == 1).all()
    assert (among == (cases.labels < 3)).all()
    assert not among.all()
    assert perfect["macro auroc"][1].all()
    assert of_all_but_the_last(cases, WEIGHTS)["top 3"][0][0] == 1  # of three


def figures(dataset: Dataset, contenders: Callable[..., list[Contender]], work: Path, folds: int) -> ContenderFigures:
    merged, conditions = ten_conditions(dataset)
    split = merged.split(seed=0, folds=folds)
    competing = contenders(conditions)
    held_out = cross_validate(merged, competing, work, split=split, conditions=conditions, say=lambda _line: None)
    names = [contender.name for contender in competing]
    return figures_of(held_out, of_all_but_the_last, pairs=[pair for pair in PAIRS if set(pair) <= set(names)])


def test_each_case_is_held_out_once_and_never_seen_by_the_model_that_answers_it(whole: Dataset, tmp_path: Path) -> None:
    seen: Counter[str] = Counter()

    def spies(conditions: Any) -> list[Contender]:
        def spy(_: None, training: Dataset, tested: Dataset) -> np.ndarray:
            assert not {s.group for s in training.samples} & {s.group for s in tested.samples}
            seen.update(sample.id for sample in tested.samples)
            return targets(tested.samples, conditions)[0]

        return [Contender(name="spy", fit=spy)]

    overall = figures(whole, spies, tmp_path, 3).overall
    assert seen == Counter(sample.id for sample in whole.samples)
    assert overall["spy"]["top 1"].value == 1
    assert overall[FLOOR]["macro auroc"].value == pytest.approx(0.5)


def test_conditions_beyond_the_most_frequent_ones_are_put_together(
    whole: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scin, "CONDITIONS", 2)
    merged, conditions = ten_conditions(whole)
    most = {name for name, _ in Counter(sample.top for sample in whole.samples).most_common(2)}
    assert {condition.name for condition in conditions[:-1]} == most
    assert {sample.top for sample in merged.samples} == {*most, OTHER}
    assert all(sum(sample.target.values()) == pytest.approx(1) for sample in merged.samples)


def test_the_regression_and_dermis_learn_from_answers_and_a_model_made_of_noise_does_not(
    whole: Dataset, tmp_path: Path
) -> None:
    def contenders(conditions: Any) -> list[Contender]:
        def noise(_: None, _training: Dataset, tested: Dataset) -> np.ndarray:
            return np.random.default_rng(len(tested)).dirichlet(np.ones(len(conditions)), len(tested))

        competing = scin.contenders_of(conditions, tmp_path, images=False)
        return [*competing, Contender(name="noise", fit=noise)]

    result = figures(whole, contenders, tmp_path, 2)
    areas = {name: row["macro auroc"] for name, row in result.overall.items()}
    assert areas[REGRESSION].value > 0.8
    assert areas[ANSWERS].value > 0.7
    assert areas["noise"].interval is not None
    assert areas["noise"].interval[0] < 0.55
    assert abs(result.differences[ANSWERS, REGRESSION]["macro auroc"].value) < 0.12
    assert np.allclose(result.held_out.predictions[ANSWERS].sum(1), 1)
    assert set(result.by_tone) <= set(TONES)
    tone = result.by_tone["monk_bin=MST_7_10"][ANSWERS]["macro auroc"]
    assert tone.n == sum(sample.slices["monk_bin"] == "MST_7_10" for sample in result.held_out.dataset.samples)


@pytest.mark.timeout(600)
def test_images_answers_and_both_are_compared_on_the_same_folds(tmp_path: Path) -> None:
    whole = open_dataset("generated:3:120:64")
    assert scin.images_at_hand(whole)
    result = figures(whole, lambda conditions: scin.contenders_of(conditions, tmp_path, images=True), tmp_path, 2)
    assert set(result.differences) == set(PAIRS)
    areas = {name: result.overall[name]["macro auroc"] for name in (ANSWERS, IMAGES, BOTH)}
    assert all(
        area.interval is not None and area.interval[0] > 0.5 for area in areas.values()
    )  # each learns from what it sees
    for one, other in ((BOTH, ANSWERS), (BOTH, IMAGES)):
        # 120 cases don't show which is better; that they are paired shows
        seen = result.differences[one, other]["macro auroc"]
        assert seen.value == pytest.approx(areas[one].value - areas[other].value, abs=2e-4)
        assert seen.interval is not None
        assert seen.interval[0] < seen.value < seen.interval[1]
        assert not np.allclose(result.held_out.predictions[one], result.held_out.predictions[other])


@pytest.mark.timeout(300)
def test_without_images_at_the_source_it_says_so_and_goes_on(tmp_path: Path) -> None:
    source = tmp_path / "scin"
    write_as_scin(DiskStore(source), seed=1, count=60, longest=32)
    for path in (source / "images").glob("*.png"):
        path.unlink()
    run = CliRunner().invoke(
        benchmark,
        ["scin", "--data", source.as_uri(), "--folds", "2", "--cache", str(tmp_path / "cache")],
        catch_exceptions=False,
    )
    assert "skipped: contenders that see images" in run.output
    assert ANSWERS in run.output
    assert BOTH not in run.output


def test_a_split_of_other_cases_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text(as_text(open_dataset("generated:4:240").split(seed=0)))
    with pytest.raises(DermisError, match="can't be used"):
        scin.run_scin("generated:3:240", other, cache=tmp_path, say=lambda _line: None)


def test_the_command_writes_page_figures_and_folds_and_the_same_again(tmp_path: Path) -> None:
    source = tmp_path / "scin"
    write_as_scin(DiskStore(source), seed=1, count=60, longest=32)
    folds, page, figures_file = tmp_path / "folds.json", tmp_path / "page.md", tmp_path / "figures.json"
    page.write_text("# A page\n\nWhat is measured.\n")
    arguments = ["scin", "--data", source.as_uri(), "--folds", "2", "--no-images", "--cache", str(tmp_path / "cache")]
    arguments += ["--split", str(folds), "--write", str(page), "--json", str(figures_file)]
    for _ in range(2):
        run = CliRunner().invoke(benchmark, arguments, catch_exceptions=False)
        assert run.exit_code == 0
        assert "macro auroc (n = 60)" in run.output
        assert page.read_text().startswith("# A page\n\nWhat is measured.\n\n<!-- measured: dermis benchmark scin -->")
        assert page.read_text().count(from_text(folds.read_bytes()).digest) == 1
        assert set(json.loads(figures_file.read_text())["overall"]) == {
            *(REGRESSION, ANSWERS, FLOOR, scin.MISSING, scin.MISSING_IN_TABLE)
        }
