from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.metrics import roc_auc_score

from dermis.data.dataset import Dataset, open_dataset
from dermis.data.generated.as_scin import write_as_scin
from dermis.data.split.split import from_text
from dermis.shared.errors import DermisError
from dermis.shared.stores.disk import DiskStore
from dermis.trainer.benchmarks import contenders, protocol
from dermis.trainer.benchmarks.contenders import (
    ANSWERS,
    BOTH,
    IMAGES,
    PAIRS,
    PRIOR,
    REGRESSION,
    baselines,
    constant_prior,
    with_answers,
    with_images,
)
from dermis.trainer.benchmarks.cross_validation import Contender
from dermis.trainer.benchmarks.protocol import Pooled
from dermis.trainer.benchmarks.scin import as_page, as_tables, run
from dermis.trainer.benchmarks.task import OTHER, make_task
from dermis.trainer.cli.benchmark import scin
from dermis.trainer.config import Stage
from dermis.trainer.model.inputs import targets

pytestmark = pytest.mark.trainer


@pytest.fixture(autouse=True)
def _short_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contenders, "PENALTIES", (0.002,))
    monkeypatch.setattr(contenders, "IMAGES_PENALTIES", (0.002,))
    short = (Stage(epochs=12, learning_rate=2e-2),)
    monkeypatch.setattr(contenders, "RECIPE", replace(contenders.RECIPE, stages=short))
    seeing = replace(contenders.IMAGES_RECIPE, stages=short, image_size=64)
    monkeypatch.setattr(contenders, "IMAGES_RECIPE", seeing)


@pytest.fixture(scope="module")
def whole() -> Dataset:
    return open_dataset("generated:3:240")


def pooled(n: int = 400, conditions: int = 3, folds: int = 4) -> tuple[Pooled, np.ndarray]:
    rng = np.random.default_rng(0)
    target = rng.dirichlet(np.full(conditions + 1, 0.3), n) * (rng.uniform(size=(n, conditions + 1)) < 0.7)
    target[:, -1] += 1e-6
    target /= target.sum(1, keepdims=True)
    made = Pooled(
        target=target,
        labels=target.argmax(1),
        fold=rng.integers(folds, size=n),
        groups=tuple(str(i // 2) for i in range(n)),
        slices={
            scale: ["MST_7_10" if scale == "monk_bin" and i < 30 else "FST1" for i in range(n)]
            for scale, _ in protocol.TONES.values()
        },
    )
    return made, rng.dirichlet(np.ones(conditions + 1), n) + target


def test_auroc_is_sklearns_within_each_fold_weighted_by_pairs() -> None:
    made, said = pooled()
    wanted = []
    for k in range(made.conditions):
        areas, pairs = [], []
        for fold in range(4):
            here = made.fold == fold
            named = made.target[here, k] > 0
            areas.append(roc_auc_score(named, said[here, k]))
            pairs.append(named.sum() * (~named).sum())
        wanted.append(np.average(areas, weights=pairs))
    assert protocol.auroc(said, made, protocol.draw(made))[0] == pytest.approx(np.mean(wanted))


def test_a_constant_comes_to_one_half_though_its_prior_differs_by_fold() -> None:
    made, _ = pooled()
    said = made.fold[:, None] * np.ones(4)
    seen = protocol.overall(said, made, protocol.draw(made))["macro AUROC"]
    assert (seen.value, seen.interval) == (pytest.approx(0.5), pytest.approx((0.5, 0.5)))


def test_top_k_is_asked_among_the_conditions_of_cases_whose_top_is_one_of_them() -> None:
    made, said = pooled()
    perfect = protocol.overall(made.target, made, protocol.draw(made))
    assert perfect["top-1"].value == 1
    assert perfect["top-1"].n == (made.labels < 3).sum() < perfect["macro AUROC"].n == 400
    assert protocol.overall(said, made, protocol.draw(made))["top-3"].value == 1  # of three
    tones = protocol.by_tone(said, made, protocol.draw(made))
    assert tones["monk_bin=MST_1_3"] is None
    dark = tones["monk_bin=MST_7_10"]
    assert dark is not None
    assert 0 < dark.n <= 30


def test_a_difference_is_paired() -> None:
    made, said = pooled()
    weights = protocol.draw(made)
    assert all(figure.interval == (0, 0) for figure in protocol.difference(said, said, made, weights).values())
    better = protocol.difference(made.target, said, made, weights)["macro AUROC"]
    assert better.interval is not None
    assert better.interval[0] > 0


def test_each_case_is_held_out_once_and_never_seen_by_the_model_that_answers_it(whole: Dataset, tmp_path: Path) -> None:
    seen: dict[str, int] = {}

    task = make_task(whole, folds=3)

    def spy(_: None, training: Dataset, tested: Dataset) -> np.ndarray:
        assert not {s.group for s in training.samples} & {s.group for s in tested.samples}
        for sample in tested.samples:
            seen[sample.id] = seen.get(sample.id, 0) + 1
        return targets(tested.samples, task.conditions)[0]

    result = run(task, [constant_prior(task), Contender(name="spy", fit=spy)], tmp_path)
    assert set(seen) == {sample.id for sample in whole.samples}
    assert set(seen.values()) == {1}
    assert result.overall["spy"]["top-1"].value == 1
    assert result.overall[PRIOR]["macro AUROC"].value == pytest.approx(0.5)


def test_conditions_beyond_the_most_frequent_ones_are_put_together(
    whole: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dermis.trainer.benchmarks.task.CONDITIONS", 2)
    task = make_task(whole)
    most = {name for name, _ in Counter(sample.top for sample in whole.samples).most_common(2)}
    assert {condition.name for condition in task.conditions[:-1]} == most
    assert {sample.top for sample in task.whole.samples} == {*most, OTHER}
    assert all(sum(sample.target.values()) == pytest.approx(1) for sample in task.whole.samples)


def test_the_regression_learns_from_answers_and_a_model_made_of_noise_does_not(whole: Dataset, tmp_path: Path) -> None:
    task = make_task(whole, folds=2)

    def noise(_: None, _training: Dataset, tested: Dataset) -> np.ndarray:
        return np.random.default_rng(len(tested)).dirichlet(np.ones(len(task.conditions)), len(tested))

    result = run(task, [*baselines(task), Contender(name="noise", fit=noise)], tmp_path)
    regression, guess = (result.overall[name]["macro AUROC"] for name in (REGRESSION, "noise"))
    assert regression.value > 0.8
    assert guess.interval is not None
    assert guess.interval[0] < 0.55
    assert result.differences["noise", REGRESSION]["macro AUROC"].value < -0.2
    page = as_page(result, command="dermis benchmark scin", hardware="here", code="0")
    assert all(
        name in page for name in ("noise - logistic regression", "| monk_bin=MST_7_10 |", "soft top-3 (n = 240)")
    )
    assert {row["group"] for row in as_tables(result)["by tone"]} == set(protocol.TONES)


def test_dermis_own_answers_branch_learns_as_the_regression_does(whole: Dataset, tmp_path: Path) -> None:
    task = make_task(whole, folds=2)
    result = run(task, [*baselines(task), *with_answers(task)], tmp_path)
    branch = result.overall[ANSWERS]["macro AUROC"]
    assert branch.value > 0.7
    assert np.allclose(result.held_out.predictions[ANSWERS].sum(1), 1)
    assert abs(result.differences[ANSWERS, REGRESSION]["macro AUROC"].value) < 0.12


@pytest.mark.timeout(600)
def test_images_answers_and_both_are_compared_on_the_same_folds(tmp_path: Path) -> None:
    whole = open_dataset("generated:3:120:64")
    task = make_task(whole, folds=2)
    seeing, embedded = with_images(task, tmp_path, quiet=True)
    assert embedded.readable == embedded.images > len(whole)
    result = run(task, [constant_prior(task), *with_answers(task), *seeing], tmp_path / "folds", versus=PAIRS)
    assert set(result.differences) == {(BOTH, ANSWERS), (BOTH, IMAGES), (IMAGES, ANSWERS)}
    areas = {name: result.overall[name]["macro AUROC"] for name in (ANSWERS, IMAGES, BOTH)}
    assert all(
        area.interval is not None and area.interval[0] > 0.5 for area in areas.values()
    )  # each learns from what it sees
    for one, other in PAIRS:  # 120 cases don't show which is better; that they are paired shows
        seen = result.differences[one, other]["macro AUROC"]
        assert seen.value == pytest.approx(areas[one].value - areas[other].value)
        assert seen.interval is not None
        assert seen.interval[0] < seen.value < seen.interval[1]
        assert not np.allclose(result.held_out.predictions[one], result.held_out.predictions[other])
    tone = result.by_tone[BOTH]["monk_bin=MST_7_10"]
    assert tone is not None
    assert tone.n == sum(sample.slices["monk_bin"] == "MST_7_10" for sample in whole.samples)


@pytest.mark.timeout(300)
def test_without_images_at_the_source_it_says_so_and_goes_on(tmp_path: Path) -> None:
    source = tmp_path / "scin"
    write_as_scin(DiskStore(source), seed=1, count=60, longest=32)
    for path in (source / "images").glob("*.png"):
        path.unlink()
    said = CliRunner().invoke(
        scin, ["--data", source.as_uri(), "--folds", "2", "--cache", str(tmp_path / "cache")], catch_exceptions=False
    )
    assert "skipped: contenders that see images" in said.output
    assert ANSWERS in said.output
    assert BOTH not in said.output


def test_a_split_that_leaks_is_refused(whole: Dataset) -> None:
    task = make_task(whole)
    other = open_dataset("generated:4:240")
    with pytest.raises(DermisError, match="can't be used"):
        make_task(other, task.split)


def test_the_command_writes_page_figures_and_folds_and_the_same_again(tmp_path: Path) -> None:
    source = tmp_path / "scin"
    write_as_scin(DiskStore(source), seed=1, count=60, longest=32)
    folds, page = tmp_path / "folds.json", tmp_path / "page.md"
    arguments = ["--data", source.as_uri(), "--folds", "2", "--split", str(folds), "--write", str(page), "--no-images"]
    arguments += ["--cache", str(tmp_path / "cache")]
    said = CliRunner().invoke(scin, arguments, catch_exceptions=False)
    assert said.exit_code == 0
    assert "macro AUROC (n = 60)" in said.output
    first, digest = page.read_text(), from_text(folds.read_bytes()).digest
    assert digest in first
    CliRunner().invoke(scin, arguments, catch_exceptions=False)
    assert page.read_text() == first
