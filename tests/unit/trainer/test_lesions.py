"""The committed bundle of six growths: whole, small, stored as float16 without loss; its card says what it misses."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dermis.data.dataset import open_dataset
from dermis.data.mapping import CONDITION, choose_mapping, load_mapping
from dermis.shared.bundles import publish
from dermis.shared.case import OutcomeKind
from dermis.shared.evaluation import EvaluationReport
from dermis.shared.stores.memory import MemoryStore
from dermis.shared.vocabulary import FitzpatrickSkinType
from dermis.standalone import lesions
from dermis.trainer.benchmarks.lesions import figures_part
from dermis.trainer.configs.pad_ufes_20 import CONFIG, MALIGNANT
from dermis.trainer.evaluation.predict import open_bundle, predict
from dermis.trainer.model.backbones import make_backbone
from dermis.trainer.model.backbones.graph import fold_batch_norm
from dermis.trainer.model.bundle import EVALUATION_FILE, MODEL_CARD_FILE, read_manifest
from dermis.trainer.model.export import check_agreement, export, rounded_to_float16, serving_model
from dermis.trainer.model.head import Head, build_head
from dermis.worker.core.differential import decide

pytestmark = pytest.mark.trainer
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def report() -> Any:
    return EvaluationReport.model_validate_json((lesions.BUNDLE / EVALUATION_FILE).read_bytes())


def test_the_bundle_is_whole_and_small_and_for_research() -> None:
    manifest = publish(MemoryStore(), lesions.BUNDLE)  # checks every digest
    assert (manifest.name, manifest.purpose) == ("lesions", "research")
    assert sum(path.stat().st_size for path in lesions.BUNDLE.rglob("*") if path.is_file()) <= 12_000_000
    assert manifest.feature_schema == CONFIG.schema.id
    mapped = load_mapping("pad_ufes_20").attributes[CONDITION].values.values()
    assert {condition.name for condition in manifest.conditions} == set(mapped)
    assert manifest.outliers is not None
    assert manifest.image_fit == "STRETCH"


def test_nothing_is_answered_for_types_of_which_four_photos_were_seen() -> None:
    manifest = read_manifest(lesions.BUNDLE)
    assert manifest.knowledge.not_measured == ("FST_V_VI",)
    row = np.eye(len(manifest.conditions))[0] * 0.9 + 0.1 / len(manifest.conditions)
    assert decide(row, manifest, FitzpatrickSkinType.FST6).reason == "NOT_MEASURED_FOR_GROUP"
    assert decide(row, manifest, FitzpatrickSkinType.FST1).kind is OutcomeKind.DIFFERENTIAL


def test_of_each_malignant_label_95_percent_of_the_sets_hold_a_malignant_condition(report: Any) -> None:
    rows = {row.condition: row for row in report.malignant}
    assert set(MALIGNANT) < set(rows)
    for name in MALIGNANT:
        assert rows[name].in_set >= 0.95
        assert rows[name].n >= 30
    assert rows["all malignant conditions"].n == sum(rows[name].n for name in MALIGNANT)
    assert report.benign_with_malignant.value < 1


def test_it_beats_its_floors_and_both_of_its_halves(report: Any) -> None:
    assert report.metrics["top_1"] > report.floors.top_1 + 0.2
    assert report.overall["macro_auroc"].value > 0.8
    shown = {what: row.figures["top_1"].value for what, row in report.shown.items()}
    assert shown["images and answers"] > max(shown["images alone"], shown["answers alone"])


def test_it_beats_a_regression_on_the_answers_alone(report: Any) -> None:
    """The floors are those of docs/reference/lesions.md: the same cases, answers alone."""
    assert report.intervals["top_1"][0] > 0.652
    assert report.overall["macro_auroc"].interval[0] > 0.864


def test_the_page_states_the_bundles_own_figures(report: Any) -> None:
    page = (ROOT / "docs/reference/lesions.md").read_text(encoding="utf-8")
    assert figures_part(report) in page
    floors = ("which answers are missing", "what is missing in the table", "size and aspect of the image", "answers")
    assert all(f"| {floor} |" in page for floor in floors)


def test_card_and_notice_say_what_it_is_and_whose() -> None:
    card = (lesions.BUNDLE / MODEL_CARD_FILE).read_text(encoding="utf-8")
    for part in ("can't rule out skin cancer", "six kinds of growths", "one region of Brazil", "missed per 100"):
        assert part in card
    for part in (
        "CC BY 4.0",
        "Apache-2.0",
        "10.17632/zr7vgbcyr2.1",
        "No answer for people who report a type of FST_V_VI",
    ):
        assert part in card
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    assert all(part in notice for part in ("CC BY 4.0", "Apache License 2.0", "PAD-UFES-20", "lesions/bundle"))


def test_the_answers_hold_no_sign_of_a_form() -> None:
    schema = json.loads((lesions.BUNDLE / "feature_schema.json").read_text())
    assert "race_ethnicity" not in {field["name"] for field in schema["fields"]}
    assert choose_mapping(MemoryStore(), "pad_ufes_20").name == "PAD-UFES-20"


def test_drawings_and_rashes_are_mostly_declined(real_data: Any) -> Any:
    bundle = open_bundle(lesions.BUNDLE)

    def declined(name: str, step: int) -> float:
        dataset = open_dataset(str(real_data / "photos" / name))
        dataset = replace(dataset, samples=dataset.samples[::step])
        predicted = predict(bundle, dataset, quality_filter=False)
        scores = bundle.outliers.score(predicted.embedding)
        return float((scores > bundle.manifest.outliers.threshold).mean())

    assert declined("fitzpatrick17k", 10) > 0.8
    assert declined("pad_ufes_20_large", 20) < 0.15


def test_float16_keeps_the_features_of_the_published_backbone() -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 96, 96, 3)).astype(np.float32)
    whole = fold_batch_norm(make_backbone("efficientnet-lite0", 96))
    exact = whole.predict(images, verbose=0).mean((1, 2))
    rounded = rounded_to_float16(whole).predict(images, verbose=0).mean((1, 2))
    assert np.abs(rounded - exact).max() < 0.01 * np.abs(exact).max()
    cosine = (exact * rounded).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(rounded, axis=1)
    assert cosine.min() > 0.9999


def test_what_float16_holds_is_stored_in_half_the_bytes_and_serves_the_same(tmp_path: Any) -> None:
    backbone = rounded_to_float16(fold_batch_norm(make_backbone("efficientnet-lite0", 64)))
    settings = Head(pooling="images")
    head = build_head(backbone.output.shape[1:], columns=3, conditions=4, head=settings)
    model = serving_model(backbone, head, settings=settings)
    rng = np.random.default_rng(0)
    case = {
        "images": rng.integers(0, 256, (2, 3, 64, 64, 3)).astype(np.uint8),
        "image_mask": np.array([[True, False, False], [True, True, False]]),
        "features": rng.random((2, 3)).astype(np.float32),
    }
    sizes = {}
    for storage in ("float32", "float16"):
        export(model, tmp_path / storage, storage=storage)
        assert check_agreement(tmp_path / storage, model, case) <= 1e-4
        sizes[storage] = (tmp_path / storage / "variables/variables.data-00000-of-00001").stat().st_size
    assert sizes["float16"] < 0.51 * sizes["float32"]
