"""Frozen features are what a backbone makes of a photo; heads on them are logistic regression."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from dermis.data.dataset import conditions_of, open_dataset
from dermis.trainer.benchmarks import frozen
from dermis.trainer.benchmarks.cross_validation import cross_validate
from dermis.trainer.benchmarks.features import LAST, Block, FrozenFeatures, Look, depths_of, embedder, milliseconds
from dermis.trainer.benchmarks.frozen_heads import Heads, Recipe, fit_head, frozen_head, resampled, row_space
from dermis.trainer.model.inputs import prepare, targets

pytestmark = pytest.mark.trainer
DATA = open_dataset("generated:5:40:64").labelled()
CONDITIONS = conditions_of(DATA.samples)
SMALL = Look(backbone="efficientnet-lite0", size=64)


@pytest.fixture(scope="module")
def frozen_features(tmp_path_factory: Any) -> FrozenFeatures:
    return FrozenFeatures(DATA, tmp_path_factory.mktemp("cache"), how="STRETCH")


def test_a_block_is_the_mean_over_a_cases_images_of_what_the_backbone_makes_of_them(
    frozen_features: FrozenFeatures,
) -> None:
    backbone = depths_of(SMALL)
    sample = DATA.samples[0]
    images = np.stack([prepare(DATA.read(key) or b"", 64, "STRETCH") for key in sample.images]).astype(np.float32)
    maps = np.asarray(backbone(images)[LAST])
    last, middle, mirrored = (
        frozen_features.rows([block], DATA)[0][0]
        for block in (
            Block(look=SMALL),
            Block(look=SMALL, depths=(1,), pools=("middle",)),
            Block(look=SMALL, mirrored=True),
        )
    )
    np.testing.assert_allclose(last, maps.mean((0, 1, 2)), rtol=1e-3, atol=1e-4)
    tap = np.asarray(backbone(images)[1])
    np.testing.assert_allclose(middle, tap[:, 1:-1, 1:-1].mean((0, 1, 2)), rtol=1e-3, atol=1e-3)
    turned = np.asarray(backbone(images[:, :, ::-1])[LAST]).mean((0, 1, 2))
    np.testing.assert_allclose(mirrored, (maps.mean((0, 1, 2)) + turned) / 2, rtol=1e-3, atol=1e-3)


def test_a_crop_is_the_middle_of_a_larger_image() -> None:
    image = np.random.default_rng(0).uniform(0, 255, (1, 96, 96, 3)).astype(np.float32)
    crop = embedder(depths_of(Look(backbone="efficientnet-lite0", size=64, cropped_from=96)))
    whole = embedder(depths_of(SMALL))
    np.testing.assert_allclose(crop(image), whole(image[:, 16:80, 16:80]), rtol=1e-3, atol=1e-3)


def test_a_head_is_the_logistic_regression_of_its_penalty() -> None:
    rng = np.random.default_rng(0)
    training, tested = rng.normal(size=(60, 90)), rng.normal(size=(20, 90))
    labels = (training[:, :3] + 0.3 * rng.normal(size=(60, 3))).argmax(1)
    weights = rng.integers(0, 3, 60).astype(float)
    unit = training.std(0) * np.sqrt(90)
    peer = LogisticRegression(C=1 / (0.01 * weights.sum()), max_iter=5000, tol=1e-8)
    peer.fit((training - training.mean(0)) / unit, labels, sample_weight=weights)
    expected = peer.predict_log_proba((tested - training.mean(0)) / unit)
    space = row_space([(training, 1.0)], [(tested, 1.0)])
    logits = fit_head(space, np.eye(3)[labels], weights, 0.01)
    log = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    np.testing.assert_allclose(log, expected, atol=5e-3)


def test_resampled_heads_take_whole_groups() -> None:
    groups = ["a", "a", "b", "c", "c", "d"]
    weights = np.array(resampled(groups, 50))
    assert weights.shape == (50, 6)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 3] == weights[:, 4]).all()
    assert weights[:, [0, 2, 3, 5]].sum(1).tolist() == [4] * 50
    assert np.array(resampled(groups, 0)).tolist() == [[1] * 6]


def test_adjusted_logits_are_those_less_the_conditions_shares(frozen_features: FrozenFeatures) -> None:
    heads = Heads(frozen_features, CONDITIONS)
    recipe = Recipe(blocks=(Block(look=SMALL),), penalty=0.01)
    training, tested = DATA.fold(DATA.split(seed=0, folds=5), 0)
    plain, adjusted = (
        frozen_head("one", heads, CONDITIONS, [recipe], adjusted=adjusted).fit(recipe, training, tested)
        for adjusted in (False, True)
    )
    odds = plain / (targets(training.samples, CONDITIONS)[0].mean(0) + 1e-6)
    np.testing.assert_allclose(adjusted, odds / odds.sum(1, keepdims=True), rtol=1e-4, atol=1e-6)


def test_answers_count_only_where_a_recipe_has_them(frozen_features: FrozenFeatures) -> None:
    heads = Heads(frozen_features, CONDITIONS)
    training, tested = DATA.fold(DATA.split(seed=0, folds=5), 0)
    blocks = (Block(look=SMALL),)
    contenders = [
        frozen_head("x", heads, CONDITIONS, [Recipe(blocks=blocks, penalty=0.01, answers=spread)])
        for spread in (0.0, 1.0)
    ]
    assert [one.sees for one in contenders] == [("images",), ("images", "answers")]
    without, with_answers = (one.fit(one.choices[0], training, tested) for one in contenders)
    assert np.abs(without - with_answers).max() > 0.01


def test_the_page_states_each_row_beside_the_probe_and_which_aims_are_met(
    tmp_path: Path, monkeypatch: Any, frozen_features: FrozenFeatures
) -> None:
    monkeypatch.setattr(frozen, "FrozenFeatures", lambda *_args, **_named: frozen_features)
    monkeypatch.setattr(frozen, "labelled", lambda *_: (DATA, CONDITIONS))
    for name in ("LITE0", "LITE0_288"):
        monkeypatch.setattr(frozen, name, SMALL)
    block = (Block(look=SMALL),)
    monkeypatch.setattr(frozen, "ONE_CHANGE", {"three backbones": block})
    monkeypatch.setattr(frozen, "CHEAP", [block])
    monkeypatch.setattr(frozen, "WIDE", [block])
    monkeypatch.setattr(frozen, "HEADS", 2)
    report = frozen.compare_features("", "", how="STRETCH", largest=64, with_answers=True, cache=tmp_path)
    page = frozen.as_page({frozen.PAD: report}, command="dermis benchmark features")
    for row in (frozen.PROBE, "three backbones", "logits adjusted", "together", "answers alone", "floor: "):
        assert f"| {row}" in page
    assert page.count("PAD-UFES-20: ") == len(frozen.AIMS[frozen.PAD]) + len(frozen.CALIBRATED[frozen.PAD])
    assert report.milliseconds[frozen.PROBE] == milliseconds(SMALL) > 0
    assert report.milliseconds["answers alone"] is None
    same = cross_validate(
        DATA,
        [frozen_head("again", Heads(frozen_features, CONDITIONS), CONDITIONS, frozen.crossed([block]))],
        tmp_path / "again",
        say=lambda _: None,
    )
    np.testing.assert_allclose(same.predictions["again"], report.figures.held_out.predictions["three backbones"])
