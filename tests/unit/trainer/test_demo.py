"""The committed demo: a bundle that can be published, and a case that it answers convincingly."""

import json
from collections.abc import Iterable
from importlib.resources import files
from typing import Any

import cv2
import numpy as np
import pytest

from dermis.data.generated.cases import CONDITIONS, cases
from dermis.metadata.core.encode import encode
from dermis.shared.bundles import publish
from dermis.shared.case import MAX_IMAGES, OutcomeKind
from dermis.shared.openvino import core
from dermis.shared.report import Verdict
from dermis.shared.stores.memory import MemoryStore
from dermis.shared.vocabulary import SelfReport, ShotType
from dermis.standalone import demo
from dermis.trainer.model.bundle import EVALUATION_FILE, MODEL_CARD_FILE, differences, read_manifest
from dermis.trainer.model.feature_schema import every_answer
from dermis.worker.core import decode, differential, prepare, quality
from dermis.worker.core.texture import from_bytes

IMAGES = sorted(demo.CASE.glob("*.jpg"))


@pytest.fixture(scope="module")
def working() -> Any:
    return [decode.decode(path.read_bytes(), content_type="image/jpeg", orientation=1).image for path in IMAGES]


@pytest.fixture(scope="module")
def ask(working: Any) -> Any:
    manifest = read_manifest(demo.BUNDLE)
    model = core().compile_model(str(demo.BUNDLE), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    images = np.stack([prepare.fit(image, manifest.image_size) for image in working])[None]

    def ask(report: Any, mask: Any = (True,) * MAX_IMAGES) -> Any:
        inputs = {"images": images, "image_mask": np.array([mask]), "features": encode(every_answer(), report)[None]}
        probabilities = model(inputs)[model.output("probabilities")][0]
        return differential.decide(probabilities, manifest, report.fitzpatrick_skin_type)

    return ask


@pytest.fixture
def answers() -> Any:
    return SelfReport.model_validate_json((demo.CASE / "answers.json").read_bytes())


def test_the_bundle_can_be_published_and_is_a_small_demo() -> None:
    manifest = publish(MemoryStore(), demo.BUNDLE)
    assert (manifest.name, manifest.version, manifest.purpose) == ("dermis", 1, "demo")
    assert sum(path.stat().st_size for path in demo.BUNDLE.rglob("*") if path.is_file()) <= 2_000_000
    assert differences(demo.BUNDLE, demo.BUNDLE) == []


def test_the_bundle_is_of_this_code() -> None:
    manifest = read_manifest(demo.BUNDLE)
    assert [(condition.id, condition.name) for condition in manifest.conditions] == [(c.id, c.name) for c in CONDITIONS]
    assert manifest.feature_schema == every_answer().id
    assert every_answer().promotable
    never_learned = {"race_ethnicity", "warning_signs", "under_18"}
    assert {field.name for field in every_answer().fields} == SelfReport.model_fields.keys() - never_learned


def test_the_report_beats_its_floors_and_the_card_says_what_it_is() -> None:
    report = json.loads((demo.BUNDLE / EVALUATION_FILE).read_text())
    assert report["metrics"]["top_1"] > report["floors"]["top_1"] + 0.5
    assert report["metrics"]["top_3"] > report["floors"]["top_3"] + 0.4
    assert report["shown"]["images and answers"]["top_1"] > max(
        report["shown"][what]["top_1"] for what in ("images alone", "answers alone")
    )
    assert [row["value"] for row in report["slices"]["monk_skin_tone"]] == [f"MST{tone}" for tone in range(1, 11)]
    assert "without any clinical meaning" in (demo.BUNDLE / MODEL_CARD_FILE).read_text()


def strange(images: Iterable[Any]) -> Any:
    """Return of each image whether the bundle's textures call it strange, once it was stored as JPEG."""
    manifest = read_manifest(demo.BUNDLE)
    textures = from_bytes((demo.BUNDLE / manifest.textures.file).read_bytes())
    stored = (
        cv2.imencode(".jpg", cv2.cvtColor(each, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
        for each in images
    )
    fitted = (prepare.fit(decode.decode(each.tobytes()).image, manifest.image_size) for each in stored)
    return np.array([textures.case_score(each[None]) > manifest.textures.threshold for each in fitted])


def test_nearly_every_unseen_drawing_has_a_usual_texture() -> None:
    drawings = (image for longest in (112, 256) for each in cases(61, 60, longest=longest) for image in each.images)
    assert strange(drawings).mean() <= 0.05


def test_nearly_every_real_photo_has_a_strange_texture(real_data: Any) -> None:
    files = [
        path
        for name in ("fitzpatrick17k", "pad_ufes_20_large")
        for path in sorted(real_data.glob(f"photos/{name}/*.jpg"))
    ]
    assert len(files) > 1500
    assert strange(decode.decode(path.read_bytes()).image for path in files[::8]).mean() >= 0.97


def test_the_case_has_an_image_a_shot_type() -> None:
    assert {path.stem.upper() for path in IMAGES} == set(ShotType)
    assert all(path.stat().st_size < 150_000 for path in IMAGES)


def test_its_images_are_usable(working: Any) -> None:
    policy = quality.Policy.model_validate_json(files("dermis.worker").joinpath("quality_policy.json").read_bytes())
    assert [quality.assess(image, policy).verdict for image in working] == [Verdict.USABLE] * MAX_IMAGES


def test_its_differential_is_convincing(ask: Any, answers: Any) -> None:
    decision = ask(answers)
    first, second = decision.differential[:2]
    assert decision.kind is OutcomeKind.DIFFERENTIAL
    assert first.condition == "PSORIASIS"
    assert first.probability > 0.7
    assert second.probability < 0.3


def test_a_case_without_any_answer_gets_a_differential(ask: Any) -> None:
    assert ask(SelfReport()).differential[0].condition == "PSORIASIS"


def test_every_image_and_the_answers_count(ask: Any, answers: Any) -> None:
    whole = ask(answers).differential
    for n in range(MAX_IMAGES):
        assert ask(answers, mask=[other != n for other in range(MAX_IMAGES)]).differential != whole
    assert ask(SelfReport()).differential != whole
