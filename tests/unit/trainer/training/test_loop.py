"""Training, its batches and its faults.

The batches are fixed, a kill costs nothing but time, a loss that is not finite names its cases, and what is hidden is
hidden.
"""

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from dermis.data.dataset import Dataset, conditions_of, open_dataset
from dermis.metadata.core.encode import encode
from dermis.shared.errors import DermisError
from dermis.shared.manifest import AbstentionRule
from dermis.shared.ports import BlobNotFound
from dermis.shared.stores.memory import MemoryStore
from dermis.shared.vocabulary import SelfReport
from dermis.trainer.calibration.fit import CalibrationTargets
from dermis.trainer.config import Config, Stage, as_json, changed
from dermis.trainer.evaluation import predict
from dermis.trainer.evaluation.predict import predict_uncalibrated
from dermis.trainer.evaluation.predictions import SERVED
from dermis.trainer.model.feature_schema import every_answer, schema_of
from dermis.trainer.model.head import Head
from dermis.trainer.model.inputs import arrays, targets, without_answers, without_images
from dermis.trainer.records.facts import RunConfig
from dermis.trainer.records.runs import Run
from dermis.trainer.training import loop
from dermis.trainer.training.augment import tone_preserving, tone_shifting
from dermis.trainer.training.batches import TrainingBatch, epoch_order, mixup, modality_dropout
from dermis.trainer.training.calibrate import calibrate
from dermis.trainer.training.feature_cache import Cache, embed, gather
from dermis.trainer.training.loop import TrainState
from dermis.trainer.training.options import Workspace
from dermis.trainer.training.parts import split_parts
from dermis.trainer.training.sources import CachedViews
from dermis.trainer.training.train import fit_model, fit_stages, new_backbone

pytestmark = pytest.mark.trainer
DATA = open_dataset("generated:5:60:40")
SPLIT = DATA.split(seed=0)
PARTS = split_parts(DATA, SPLIT)
CONDITIONS = conditions_of(PARTS.train.samples)
TARGETS = CalibrationTargets(
    coverage=0.9, abstention=AbstentionRule(min_probability=0, max_set_size=9), false_alarms=0.1
)
CONFIG = Config(
    name="tiny",
    backbone="small",
    weights=None,
    image_size=40,
    head=Head(pooling="images", dropout=0.2),
    stages=(Stage(epochs=2), Stage(after="", epochs=2, learning_rate=1e-3, images="augmented")),
    batch=16,
    patience=None,
)


class Killed(BaseException):
    pass


class Dying(Run):
    """A run whose process is killed after an epoch, as by kill -9: nothing is said, nothing is put."""

    dies_after = 0

    def epoch(self, k: Any, metrics: Any, **told: Any) -> None:
        super().epoch(k, metrics, **told)
        if k == self.dies_after:
            raise Killed


def trained(tmp_path: Path, config: Any = CONFIG, run: Any = None, **options: Any) -> Any:
    return fit_model(config, PARTS, CONDITIONS, Workspace(cache=tmp_path, run=run, quiet=True, **options))


def seen_batches(monkeypatch: pytest.MonkeyPatch) -> Any:
    seen = []
    load_batches = loop.load_batches  # type: ignore[attr-defined]

    def spy(training: Any, config: Any, stage: Any, *, number: Any, epoch: Any) -> Iterator[Any]:
        steps = loop.steps_per_epoch(training, config)
        for step, (places, *batch) in enumerate(load_batches(training, config, stage, number=number, epoch=epoch)):
            seen.append((number, epoch + step // steps, [training.ids[n] for n in places]))
            yield places, *batch

    monkeypatch.setattr(loop, "load_batches", spy)
    return seen


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run that nothing stopped: weights, metrics, the batches seen, and the stages' graphs."""
    graphs, train_step = [], loop.train_step
    with pytest.MonkeyPatch.context() as patch:
        seen = seen_batches(patch)
        patch.setattr(loop, "train_step", lambda *parts: graphs.append(train_step(*parts)) or graphs[-1])
        model, epochs = trained(tmp_path_factory.mktemp("whole"))
    return model.get_weights(), epochs, seen, graphs


@pytest.mark.parametrize("dies_after", [2, 3])
def test_a_killed_run_goes_on_in_the_same_order_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Any, dies_after: int
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_S", 0.0)
    weights, learned, wanted, _ = whole
    seen = seen_batches(monkeypatch)
    store = MemoryStore()
    first = Dying.start(store, RunConfig(name="tiny", purpose="demo"))
    first.dies_after = dies_after
    with pytest.raises(Killed):
        trained(tmp_path, run=first)
    before = len(seen)
    epochs = {(stage, epoch) for stage, epoch, _ in wanted}
    second = Run.resume(store, first.id)
    resumed, again = trained(tmp_path, run=second)
    # What was done before the kill, then, from the last checkpoint on, the very batches of the run that was not killed.
    assert seen[:before] == wanted[:before]
    assert seen[before:] == wanted[-len(seen[before:]) :]
    assert len({(stage, epoch) for stage, epoch, _ in seen[before:]}) == len(epochs) - (
        dies_after - 1
    )  # it died before that checkpoint
    for one, other in zip(weights, resumed.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert [(each.epoch, each.stage) for each in again] == [(each.epoch, each.stage) for each in learned]
    assert [each.metrics["loss"] for each in again] == pytest.approx([e.metrics["loss"] for e in learned], rel=1e-4)


def test_the_graph_of_a_stage_is_made_once_for_batches_of_any_size(whole: Any) -> None:
    *_, seen, graphs = whole
    assert len({len(ids) for _, _, ids in seen}) == 2, "the last batch of an epoch is smaller"
    assert [graph.experimental_get_tracing_count() for graph in graphs] == [1, 1]


def test_batches_are_fixed_by_their_arguments_and_hold_every_case_once() -> None:
    one = epoch_order(10, size=4, seed=1, stage=0, epoch=2)
    assert [len(batch) for batch in one] == [4, 4, 2]
    assert sorted(np.concatenate(one)) == list(range(10))
    assert all((a == b).all() for a, b in zip(one, epoch_order(10, size=4, seed=1, stage=0, epoch=2), strict=True))
    assert not (np.concatenate(one) == np.concatenate(epoch_order(10, size=4, seed=1, stage=0, epoch=3))).all()


def test_a_loss_that_is_not_finite_names_the_cases_of_its_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poisoned = PARTS.train.samples[7].id
    cases_of = CachedViews.load

    def load(self: Any, places: Any, rng: Any) -> Any:
        images, mask = cases_of(self, places, rng)
        if rng is not None:
            images[places == 7] = np.nan
            mask[places == 7, 0] = True
        return images, mask

    monkeypatch.setattr(CachedViews, "load", load)
    with pytest.raises(DermisError, match="LOSS_NOT_FINITE") as caught:
        trained(tmp_path, replace(CONFIG, head=Head(pooling="images"), batch=8))
    assert poisoned in caught.value.detail.split("at the cases ")[1].split(": ")[0].split(", ")
    assert len(caught.value.detail.split(", ")) < 14


@pytest.mark.parametrize("broken", [{3}, {0, 1, 2, 3, 4}])
def test_a_validation_loss_that_is_not_finite_names_its_cases_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: Any
) -> None:
    cases_of = CachedViews.load

    def load(self: Any, places: Any, rng: Any) -> Any:
        images, mask = cases_of(self, places, rng)
        if rng is None:
            here = np.isin(places, list(broken))
            images[here], mask[here, 0] = np.nan, True
        return images, mask

    monkeypatch.setattr(CachedViews, "load", load)
    monkeypatch.setattr(loop, "_NAMED", 3)
    with pytest.raises(DermisError, match="the validation loss is nan in stage 0, epoch 1, at the cases") as caught:
        trained(tmp_path, replace(CONFIG, head=Head(pooling="images"), batch=8))
    told = caught.value.detail.split("at the cases ")[1].split(": ")[0].split(", ")
    assert told[:3] == [PARTS.validation.samples[n].id for n in sorted(broken)[:3]]
    assert told[3:] == (["and 2 more"] if len(broken) > 3 else [])


@pytest.mark.parametrize(
    "changes",
    [
        {"focal": 2.0, "balanced": True, "smoothing": 0.1, "mixup": 0.4, "ema": 0.9, "stages": (Stage(epochs=1),)},
        {
            "images_dropout": 0.3,
            "answers_dropout": 0.3,
            "tone_shifting": True,
            "head": Head(units=8, answers_units=4),
            "stages": (Stage(epochs=1, images="augmented"),),
        },
        {"stages": (Stage(epochs=1), Stage(epochs=1, pseudo=0.2)), "patience": 1},
    ],
)
def test_every_option_trains(tmp_path: Path, changes: Any) -> None:
    parts = replace(
        PARTS,
        unlabelled=replace(PARTS.test, samples=tuple(replace(s, target={}, top=None) for s in PARTS.test.samples)),
    )
    config = replace(CONFIG, **changes)
    model, epochs = fit_model(config, parts, CONDITIONS, Workspace(cache=tmp_path, quiet=True))
    metrics = epochs[-1].metrics
    assert np.isfinite(list(metrics.values())).all()
    assert {"loss", "learning_rate", "validation_loss", "validation_top_1", "validation_top_3"} == metrics.keys()
    assert model.output["logits"].shape == (None, len(CONDITIONS))


def test_tensorboard_shows_what_the_run_says_of_each_epoch(tmp_path: Path) -> None:
    store, folder = MemoryStore(), tmp_path / "events"
    run = Run.start(store, RunConfig(name="tiny", purpose="demo"))
    trained(tmp_path, run=run, tensorboard=folder)
    shown: dict[Any, Any] = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                assert value.metadata.plugin_data.plugin_name == "scalars"
                shown.setdefault(event.step, {})[value.tag] = float(tf.make_ndarray(value.tensor))
    assert sorted(shown) == [1, 2, 3, 4]
    for epoch, figures in shown.items():
        said = json.loads(store.get(f"runs/{run.id}/epochs/{epoch}.json"))["metrics"]
        assert figures == pytest.approx(said, rel=1e-6)


def test_cached_views_are_what_the_served_model_sees(tmp_path: Path) -> None:
    """The head on cached, pooled, mirrored features gives what the whole graph gives on images."""
    config = replace(CONFIG, mirrored=True, head=Head(pooling="images", standardised=True), stages=(Stage(epochs=2),))
    model, epochs = trained(tmp_path, config)
    said = model.predict(arrays(PARTS.validation, config.schema, 40), verbose=0)["probabilities"]
    target = targets(PARTS.validation.samples, CONDITIONS)[0]
    assert -(target * np.log(said)).sum(1).mean() == pytest.approx(epochs[-1].metrics["validation_loss"], rel=1e-3)


def test_one_pass_tells_what_each_modality_says(tmp_path: Path) -> None:
    model, _ = trained(tmp_path, replace(CONFIG, stages=(Stage(epochs=1),)))
    said = predict_uncalibrated(model, CONFIG, PARTS.test, CONDITIONS)
    inputs = arrays(PARTS.test, CONFIG.schema, 40)
    hidden = {
        "images alone": without_answers(inputs, CONFIG.schema),
        "answers alone": without_images(inputs),
        "images and answers": inputs,
    }
    for shown, given in hidden.items():
        np.testing.assert_allclose(said.raw[shown], model.predict(given, verbose=0)["probabilities"], atol=1e-5)  # type: ignore[arg-type, index]


def test_no_more_than_a_batch_of_images_is_in_memory_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, sizes = replace(CONFIG, stages=(Stage(epochs=1),), false_alarms=0.1), []

    def counted(dataset: Dataset, *options: Any) -> Any:
        sizes.append(len(dataset))
        return arrays(dataset, *options)

    model, _ = trained(tmp_path, config)
    monkeypatch.setattr(predict, "arrays", counted)
    whole = model.predict(arrays(DATA, config.schema, 40), verbose=0)
    predicted = predict_uncalibrated(model, config, DATA, CONDITIONS)
    np.testing.assert_allclose(predicted.raw[SERVED], whole["probabilities"], atol=1e-5)
    np.testing.assert_allclose(predicted.embedding, whole["embedding"], atol=1e-5)
    calibrate(TARGETS, config, model, PARTS.train, predicted, pooled_folds=False)
    assert len(DATA) > predict.BATCH
    assert max(sizes) == predict.BATCH


def test_stages_that_freeze_again_are_refused(tmp_path: Path) -> None:
    wrong = replace(CONFIG, stages=CONFIG.stages[::-1])
    with pytest.raises(DermisError, match="unfreeze more and more"):
        trained(tmp_path, wrong)


def test_a_frozen_backbone_stays_as_it_is(tmp_path: Path) -> None:
    config = replace(CONFIG, stages=(Stage(epochs=2, learning_rate=0.1),))
    backbone = new_backbone(config)
    before = backbone.get_weights()
    fit_stages(config, PARTS, CONDITIONS, backbone, Workspace(cache=tmp_path, quiet=True))
    assert all((one == other).all() for one, other in zip(before, backbone.get_weights(), strict=True))


def test_what_is_hidden_is_hidden_and_never_both() -> None:
    rng = np.random.default_rng(0)
    absent = encode(CONFIG.schema, SelfReport())
    n = 400
    mask, features = np.ones((n, 3), bool), np.full((n, len(absent)), 7.0)
    config = replace(CONFIG, images_dropout=0.3, answers_dropout=0.4)
    whole = TrainingBatch(
        images=np.zeros((n, 3, 1, 1, 1)), image_mask=mask, features=features, target=np.zeros((n, 2)), weight=np.ones(n)
    )
    batch = modality_dropout(whole, config, absent, rng)
    no_images, no_answers = ~batch.image_mask.any(1), (batch.features == absent).all(1)
    assert 0.22 < no_images.mean() < 0.38
    assert 0.32 < no_answers.mean() < 0.48
    assert not (no_images & no_answers).any()
    assert (batch.features[~no_answers] == 7).all()


def test_mixup_mixes_cases_that_have_images_in_the_same_slots() -> None:
    mask = np.array([[True, True, False], [True, False, False], [False, True, False], [True, True, False]])
    images, target = np.arange(4.0).reshape(4, 1, 1, 1, 1) * np.ones((4, 3, 1, 1, 1)), np.eye(4)
    batch = TrainingBatch(images=images, image_mask=mask, features=np.zeros((4, 2)), target=target, weight=np.ones(4))
    assert mixup(batch, 0.0, np.random.default_rng(0)) is batch
    mixed = mixup(batch, 0.4, np.random.default_rng(0))
    share = np.random.default_rng(0).beta(0.4, 0.4)
    np.testing.assert_allclose(mixed.target[0], [share, 0, 0, 1 - share])
    np.testing.assert_allclose(mixed.images[:, 0, 0, 0, 0], [3 * (1 - share), 1, 2, 3 * share])
    assert (mixed.target[1:3] == target[1:3]).all()
    assert (mixed.image_mask == mask).all()


def test_a_cache_survives_a_kill_between_its_two_files(tmp_path: Path) -> None:
    cache = Cache(tmp_path, (2, 3))
    rows = np.arange(24, dtype=np.float32).reshape(4, 2, 3)
    cache.add(["a", "b"], rows[:2])
    with (tmp_path / "rows.bin").open("ab") as file:
        file.write(b"12345678901")  # rows without keys: killed before these were written
    with (tmp_path / "keys.txt").open("a") as file:
        file.write("half a k")
    again = Cache(tmp_path, (2, 3))
    assert len(again) == 2
    again.add(["c", "d"], rows[2:])
    found, mask = gather(Cache(tmp_path, (2, 3)), np.array([[3, -1, 0]]))
    assert mask.tolist() == [[True, False, True]]
    assert (found[0, 0] == rows[3]).all()
    assert (found[0, 2] == rows[0]).all()


def test_two_processes_do_not_mix_their_rows(tmp_path: Path) -> None:
    one, other = Cache(tmp_path, (2,)), Cache(tmp_path, (2,))
    one.add(["a"], np.ones((1, 2)))
    with pytest.raises(DermisError, match="CACHE_BUSY"):
        other.add(["b"], np.zeros((1, 2)))
    assert (Cache(tmp_path, (2,)).read(np.array([0])) == 1).all()


def test_rows_are_read_at_their_places_and_none_without_any(tmp_path: Path) -> None:
    cache = Cache(tmp_path, (2, 3))
    rows = np.arange(24, dtype=np.float32).reshape(4, 2, 3)
    cache.add(["a", "b", "c", "d"], rows)
    assert (cache.read(np.array([3, 0, 3])) == rows[[3, 0, 3]]).all()
    assert cache.read(np.array([], np.int64)).shape == (0, 2, 3)
    with pytest.raises(DermisError, match="ends before row 4"):
        cache.read(np.array([4]))


def test_an_image_is_embedded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = new_backbone(CONFIG)
    cache, places = embed(PARTS.test, backbone, tmp_path, views=("plain", "mirror"), pooled=True, quiet=True)
    assert len(cache) == 2 * sum(len(sample.images) for sample in PARTS.test.samples)
    monkeypatch.setattr("dermis.trainer.training.feature_cache.prepare", None)
    again, same = embed(PARTS.test, backbone, tmp_path, views=("plain", "mirror"), pooled=True, quiet=True)
    assert (same == places).all()
    assert len(again) == len(cache)


class Without:
    """A store that lacks an image."""

    def __init__(self, store: Any, key: Any) -> None:
        self.store, self.key = store, key

    def get(self, key: Any) -> Any:
        if key == self.key:
            raise BlobNotFound(key)
        return self.store.get(key)


def test_an_image_that_is_not_there_is_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gone = PARTS.test.samples[0].images[0]
    lacking = dataclasses.replace(PARTS.test, store=Without(PARTS.test.store, gone))
    _, places = embed(lacking, new_backbone(CONFIG), tmp_path, pooled=True, quiet=True)
    assert places[0, 0, 0] == -1
    count = len({key for sample in PARTS.test.samples for key in sample.images})
    assert (
        f"1 of {count} images are missing or can't be decoded and are left out, the first: {gone!r}"
        in capsys.readouterr().err
    )


def test_progress_is_what_it_was() -> None:
    made = TrainState(
        stage=1,
        epoch=2,
        total=5,
        best_loss=0.5,
        best_epoch=1,
        weights=[np.ones(3), np.zeros((2, 2))],
        pseudo_labels=[np.arange(2)],
    )
    again = TrainState.from_bytes(made.to_bytes())
    assert dataclasses.asdict(again).keys() == dataclasses.asdict(made).keys()
    assert (again.stage, again.epoch, again.total, again.best_loss) == (1, 2, 5, 0.5)
    assert (again.weights[1] == 0).all()
    assert again.optimizer == []


def test_augmentations_keep_and_shift_tones_apart() -> None:
    image = np.zeros((32, 32, 3), np.uint8)
    image[:16], image[16:] = (200, 150, 120), (90, 60, 50)
    colours = {tuple(map(int, c)) for c in np.unique(image.reshape(-1, 3), axis=0)}
    for seed in range(20):
        kept = tone_preserving(image, np.random.default_rng([seed]))
        assert kept.shape == image.shape
        assert kept.max(axis=(0, 1)).tolist() <= [200, 150, 120]
    shifted = [tone_shifting(image, np.random.default_rng([seed])) for seed in range(20)]
    assert all(len(np.unique(one.reshape(-1, 3), axis=0)) == 2 for one in shifted)
    assert np.std([one.mean() for one in shifted]) > 3
    assert colours == {(200, 150, 120), (90, 60, 50)}


def test_settings_are_named_and_typed() -> None:
    made = changed(
        CONFIG,
        {"batch": "8", "head.l2": "0.1", "stage.learning_rate": "0.5", "stage.1.epochs": "9", "patience": "none"},
    )
    assert (made.batch, made.head.l2, made.patience) == (8, 0.1, None)
    assert [stage.learning_rate for stage in made.stages] == [0.5, 0.5]
    assert [stage.epochs for stage in made.stages] == [2, 9]
    assert changed(CONFIG, {"taps": "a+b", "mirrored": "true"}).taps == ("a", "b")
    assert as_json(made)["head"]["l2"] == 0.1
    for settings, part in (
        ({"bach": "8"}, "no setting"),
        ({"batch": "many"}, "batch='many' is not understood; write a whole number"),
        ({"stage.7.epochs": "1"}, "no stage"),
    ):
        with pytest.raises(DermisError, match=part):
            changed(CONFIG, settings)


def test_race_is_for_ablation_only() -> None:
    assert schema_of(["baseline", "symptoms"]).promotable
    assert not schema_of(["baseline", "race"]).promotable
    assert {field.name for field in schema_of(["textures", "body_location"]).fields} == {"textures", "body_parts"}
    assert "race_ethnicity" not in {field.name for field in every_answer().fields}
    with pytest.raises(DermisError, match="no group of answers 'hair'"):
        schema_of(["hair"])
