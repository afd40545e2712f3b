"""What a bundle says of a data set, and what the studies make of it.

By a model that looks at lightness alone, and by the demo.
"""

import dataclasses
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dermis.data.dataset import open_dataset
from dermis.data.generated.cases import CONDITIONS, case
from dermis.data.sources import slices
from dermis.metadata.core.encode import encode
from dermis.shared.bundles import publish
from dermis.shared.errors import DermisError, Kind
from dermis.shared.manifest import VersionRef
from dermis.shared.ports import BlobNotFound
from dermis.shared.stores.memory import MemoryStore
from dermis.shared.vocabulary import SelfReport
from dermis.standalone.demo import BUNDLE
from dermis.trainer.evaluation import robustness as studies
from dermis.trainer.evaluation.predict import Bundle, fetch_bundle, open_bundle, predict, quality_slices
from dermis.trainer.model.feature_schema import FEATURE_GROUPS, every_answer
from dermis.worker.core.decode import decode
from dermis.worker.core.prepare import fit

pytestmark = pytest.mark.trainer
SOURCE = "generated:3:14:64"
NAMES = [condition.name for condition in CONDITIONS]


class Light(Bundle):
    """Says the first condition of dark images, the second of light ones; `blind` says the first of any."""

    blind = False

    def run(self, images: Any, mask: Any, _features: Any) -> Any:
        shown = images[mask.any(1)] if mask.any() else images
        assert shown.dtype == np.uint8
        light = np.array([row[used].mean() if used.any() else 0 for row, used in zip(images, mask, strict=True)]) / 255
        probabilities = np.full((len(images), 8), 0.01, np.float32)
        probabilities[:, 0], probabilities[:, 1] = 0.94 - 0.9 * light, 0.9 * light
        if self.blind:
            probabilities[:, 0], probabilities[:, 1] = 0.9, 0.04
        return probabilities, np.stack([light, light], 1).astype(np.float32), np.zeros_like(probabilities)


@pytest.fixture(scope="module")
def demo() -> Any:
    return open_bundle(BUNDLE)


@pytest.fixture(scope="module")
def light(demo: Any) -> Any:
    return Light(manifest=demo.manifest, schema=demo.schema, outliers=None, model=None)


@pytest.fixture
def blind(light: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(Light, "blind", True)
    return light


@pytest.fixture(scope="module")
def dataset() -> Any:
    return open_dataset(SOURCE)


def test_predictions_are_what_serving_says(demo: Any, dataset: Any) -> None:
    found = predict(demo, dataset)
    assert found.model == "dermis/1"
    sample = dataset.samples[5]
    images = np.zeros((1, 3, 96, 96, 3), np.uint8)
    for slot, key in enumerate(sample.images):
        images[0, slot] = fit(decode(dataset.store.get(key)).image, 96)
    mask = np.arange(3)[None] < len(sample.images)
    outputs = demo.model({"images": images, "image_mask": mask, "features": encode(demo.schema, sample.report)[None]})
    assert found.raw["images and answers"][5] == pytest.approx(outputs[demo.model.output("probabilities")][0], abs=1e-6)
    assert found.embedding[5] == pytest.approx(outputs[demo.model.output("embedding")][0], abs=1e-5)
    silent = encode(demo.schema, SelfReport())[None]
    for shown, given in {
        "images alone": {"features": silent},
        "answers alone": {"image_mask": np.zeros_like(mask)},
    }.items():
        inputs = {"images": images, "image_mask": mask, "features": encode(demo.schema, sample.report)[None], **given}  # type: ignore[dict-item]
        assert found.raw[shown][5] == pytest.approx(demo.model(inputs)[demo.model.output("probabilities")][0], abs=1e-5)  # type: ignore[index]
    # Logits are images + answers: each alone follows from the parts.
    answers = outputs[demo.model.output("answers_logits")][0]
    assert found.raw["answers alone"][5] == pytest.approx(np.exp(answers) / np.exp(answers).sum(), abs=1e-5)


def test_cases_come_in_order_whatever_the_batch(light: Any, dataset: Any) -> None:
    found = predict(light, dataset)
    assert found.ids == tuple(sample.id for sample in dataset.samples)
    one = dataset.take([dataset.samples[9].id])
    assert predict(light, one).raw["images and answers"][0] == pytest.approx(found.raw["images and answers"][9])


class _Mixed:
    """A good image, a black one, a broken one and a missing one."""

    def __init__(self, good: Any) -> None:
        black = cv2.imencode(".png", np.zeros((64, 64, 3), np.uint8))[1].tobytes()
        self.images = {"good": good, "black": black, "broken": b"no image"}

    def get(self, key: Any) -> Any:
        if key not in self.images:
            raise BlobNotFound(key)
        return self.images[key]


def test_an_unusable_image_is_not_shown_unless_there_is_no_other(light: Any, dataset: Any) -> None:
    painted = case(3, 0, longest=512).images[0]
    good = cv2.imencode(".png", painted[..., ::-1])[1].tobytes()
    sets = (("good", "black", "broken"), ("good",), ("black",), ("missing",), ())
    samples = [
        dataclasses.replace(dataset.samples[n], images=keys, slices=slices(dataset.samples[n].report, len(keys)))
        for n, keys in enumerate(sets)
    ]
    mixed = dataclasses.replace(dataset, samples=tuple(samples), store=_Mixed(good))
    found = predict(light, mixed)
    assert found.embedding[0] == pytest.approx(found.embedding[1])
    assert predict(light, mixed, quality_filter=False).embedding[0, 0] < found.embedding[0, 0]
    assert found.slices["quality_verdict"] == ("USABLE", "USABLE", "UNUSABLE", "UNUSABLE", "NOT_GIVEN")
    assert not found.embedding[3:].any()


def test_images_that_can_not_be_read_are_counted_and_said(light: Any, dataset: Any) -> None:
    samples = [
        dataclasses.replace(dataset.samples[n], images=keys)
        for n, keys in enumerate((("broken", "good"), ("missing",), ("gone",)))
    ]
    good = cv2.imencode(".png", case(3, 0, longest=64).images[0][..., ::-1])[1].tobytes()
    lines: list[str] = []
    predict(light, dataclasses.replace(dataset, samples=tuple(samples), store=_Mixed(good)), say=lines.append)
    ids = [sample.id for sample in samples]
    assert lines == [
        f"2 of 4 images are missing and were not shown to the model; the first cases: {ids[1]}, {ids[2]}",
        f"1 of 4 images are undecodable and were not shown to the model; the first cases: {ids[0]}",
    ]


def test_a_data_set_all_of_whose_images_are_missing_is_refused(light: Any, dataset: Any) -> None:
    samples = tuple(dataclasses.replace(sample, images=("missing", "gone")) for sample in dataset.samples)
    away = dataclasses.replace(dataset, samples=samples, store=_Mixed(b""), url="file:///photos")
    with pytest.raises(
        DermisError, match=f"not one of {2 * len(samples)} images is in file:///photos, the first 'missing': put them"
    ):
        predict(light, away)


def test_a_store_that_is_away_is_no_missing_image(light: Any, dataset: Any) -> None:
    class Away:
        def get(self, _key: Any) -> None:
            raise DermisError(Kind.UNAVAILABLE, "AWAY", "the store is away")

    with pytest.raises(DermisError, match="the store is away"):
        predict(light, dataclasses.replace(dataset, store=Away()))


def test_hidden_answers_are_as_if_never_given(demo: Any, dataset: Any) -> None:
    every = [name for names in FEATURE_GROUPS.values() for name in names]
    hidden = predict(demo, dataset, hidden=every)
    assert hidden.raw["images and answers"] == pytest.approx(hidden.raw["images alone"], abs=1e-6)
    assert {field.name for field in every_answer().fields} == set(every)


def test_quality_slices_are_thirds(light: Any, dataset: Any) -> None:
    found = predict(light, dataset).slices
    for name in ("quality_sharpness", "quality_brightness_mean"):
        counts = [found[name].count(value) for value in sorted(set(found[name]))]
        assert len(counts) == 3
        assert max(counts) - min(counts) <= 1
    assert quality_slices([(), ()]) == {"quality_verdict": ("NOT_GIVEN", "NOT_GIVEN")}


def test_a_bundle_is_fetched_whole_and_a_changed_file_is_refused(tmp_path: Path) -> None:
    store = MemoryStore()
    manifest = publish(store, BUNDLE)
    folder = fetch_bundle(store, VersionRef(name="dermis", version=1), tmp_path)
    assert open_bundle(folder).manifest == manifest
    (folder / "evaluation.json").write_text("{}")
    with pytest.raises(DermisError, match=r"evaluation\.json is not as the manifest says"):
        open_bundle(folder)


GREY = np.full((40, 40, 3), 128, np.uint8)


def test_changes_do_what_they_say() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    assert studies.blur(2)(noise).std() < studies.blur(1)(noise).std() < noise.std()
    assert np.abs(studies.expose(0)(noise).astype(int) - noise).max() <= 1
    # One stop is twice the light: 0.2159 -> 0.4317 linear, 128 -> 175.6 in sRGB.
    assert studies.expose(1)(GREY)[0, 0, 0] == 176
    assert (studies.expose(2)(noise) >= studies.expose(1)(noise)).all()
    errors = [np.abs(studies.jpeg(quality)(noise).astype(int) - noise).mean() for quality in (50, 20, 5)]
    assert errors == sorted(errors)
    lab = cv2.cvtColor(studies.lighten(-20)(GREY).astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0, 0]
    was = cv2.cvtColor(GREY.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0, 0]
    assert lab - was == pytest.approx([-20, 0, 0], abs=0.4)


def test_the_same_scene_is_repainted() -> None:
    own = case(3, 4, longest=48)
    again = case(3, 4, longest=48, repaint=own.monk_skin_tone)
    other = case(
        3, 4, longest=48, repaint=next(tone for tone in type(own.monk_skin_tone) if tone != own.monk_skin_tone)
    )
    assert all(np.array_equal(one, two) for one, two in zip(own.images, again.images, strict=True))
    assert not np.array_equal(own.images[0], other.images[0])
    assert other.self_report == own.self_report
    assert other.condition == own.condition


def test_flips_are_counted_by_hand(light: Any, dataset: Any) -> None:
    whole = predict(light, dataset)
    found = studies.tone_flips(light, dataset, whole, source=SOURCE, step=lambda _n: None)
    first = whole.raw["images and answers"].argmax(1)
    by_case = np.zeros((10, len(whole)), bool)
    for row, tone in enumerate(type(case(3, 0, painted=False).monk_skin_tone)):
        said = predict(light, studies._repainted(dataset, SOURCE, tone)).raw["images and answers"].argmax(1)
        by_case[row] = (said != first) & (np.array(whole.slices["monk_skin_tone"]) != tone)
    assert found.how.startswith("EXACT")
    assert found.flip_rate.value == pytest.approx(by_case.sum() / (9 * len(whole)), abs=1e-4)
    assert found.cases_with_a_flip.value == pytest.approx(by_case.any(0).mean(), abs=1e-4)
    assert found.flip_rate.value > 0.1


def test_a_model_that_looks_at_nothing_never_flips_nor_minds(blind: Any, dataset: Any) -> None:
    whole = predict(blind, dataset)
    found = studies.tone_flips(blind, dataset, whole, source=SOURCE, step=lambda _n: None)
    assert found.flip_rate.value == 0
    assert [row.value for row in found.by_slice if row.slice == "fitzpatrick_group"] == [
        "FST_I_II",
        "FST_III_IV",
        "FST_V_VI",
    ]
    steady = studies.robustness(blind, dataset, whole, step=lambda _n: None)
    assert {row.change for row in steady} == set(studies.CHANGES)
    assert all(row.differences["top_1"].difference == 0 and row.first_stays.value == 1 for row in steady)
    assert {row.slice for row in steady} >= {"all", "monk_bin", "fitzpatrick_group"}


def test_on_photos_a_flip_is_named_an_approximation(light: Any, dataset: Any) -> None:
    found = studies.tone_flips(light, dataset, predict(light, dataset), source="file:///photos", step=lambda _n: None)
    assert found.how.startswith("APPROXIMATION")
    assert [row.shown_as for row in found.shown_as] == list(studies.LIGHTNESS)
    with pytest.raises(DermisError, match="no generated data set"):
        studies._repainted(dataset, "file:///photos", case(3, 0, painted=False).monk_skin_tone)


def test_ablation_leaves_out_each_part_and_counts_its_passes(demo: Any, dataset: Any) -> None:
    done: list[Any] = []
    whole = predict(demo, dataset)
    found = studies.ablation(demo, dataset, whole, step=done.append)
    assert [row.left_out for row in found] == [
        *(f"answers: {name}" for name in FEATURE_GROUPS),
        "every answer",
        "images",
        "quality filter",
    ]
    assert sum(done) == studies.passes(SOURCE, ablation=True, robustness=False) * len(dataset)
    images = next(row for row in found if row.left_out == "images").differences["top_1"]
    alone = (whole.raw["answers alone"].argmax(1) == whole.labels).mean()
    assert images.this == pytest.approx(alone, abs=1e-4)
    assert {table.name for table in studies.as_tables(studies.Studies(ablation=found))} == {"ablation"}
