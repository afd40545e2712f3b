import dataclasses
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from dermis.data.dataset import conditions_of, open_dataset
from dermis.data.generated.cases import CONDITIONS
from dermis.shared.bundles import publish
from dermis.shared.errors import DermisError, Kind
from dermis.shared.stores.memory import MemoryStore
from dermis.standalone.demo import BUNDLE, CASE
from dermis.trainer.cli.train import train
from dermis.trainer.config import Stage
from dermis.trainer.configs import demo
from dermis.trainer.model.bundle import EVALUATION_FILE, MODEL_CARD_FILE, differences, read_manifest
from dermis.trainer.model.export import signature
from dermis.trainer.model.head import Head
from dermis.trainer.model.inputs import targets
from dermis.trainer.training.options import Workspace
from dermis.trainer.training.parts import Parts, whole
from dermis.trainer.training.train import build_bundle
from dermis.worker.core.outliers import from_bytes

pytestmark = pytest.mark.trainer
COUNTS = {"train": (1, 48), "calibration": (2, 24), "test": (3, 24)}
NAMES = [condition.name for condition in CONDITIONS]


def part(name: Any) -> Any:
    seed, count = COUNTS[name]
    return open_dataset(f"generated:{seed}:{count}:48")


PARTS = Parts(**{name: part(name) for name in COUNTS})
DRAWINGS = ([open_dataset("generated:5:60:64")], [open_dataset("generated:8:30:64")])
TINY = dataclasses.replace(
    demo.CONFIG, image_size=48, stages=(Stage(after="", epochs=1, images="augmented"),), risk=0.9, false_alarms=0.1
)


def build(folder: Any, config: Any = TINY) -> None:
    demo.build(folder, config=config, cases=PARTS, drawings=DRAWINGS)


def labels_of(name: Any) -> Any:
    return targets(part(name).samples, conditions_of(PARTS.train.samples))[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("bundles") / "one"
    build(folder)
    return folder


def test_a_bundle_can_be_published(built: Any) -> None:
    manifest = publish(MemoryStore(), built)
    assert manifest.purpose == "demo"
    assert [condition.name for condition in manifest.conditions] == NAMES
    assert manifest.files.keys() >= {
        "saved_model.pb",
        "assets.extra/tf_serving_warmup_requests",
        EVALUATION_FILE,
        MODEL_CARD_FILE,
    }


def test_a_bundle_knows_its_outliers_and_when_to_abstain(built: Any) -> None:
    manifest = read_manifest(built)
    assert manifest.outliers.calibrated_on == COUNTS["calibration"][1]
    assert from_bytes((built / manifest.outliers.file).read_bytes()).mean.shape == (manifest.embedding_size,)
    assert "out_of_distribution" in json.loads((built / EVALUATION_FILE).read_text())["overall"]
    assert manifest.abstention == demo.CONFIG.abstention  # 24 cases show of no rule that it keeps a risk
    assert set(manifest.prediction_sets.pooled) == {"FST_I_II", "FST_III_IV", "FST_V_VI"}  # 24 cases calibrate no group


def test_the_same_config_builds_the_same_bundle(built: Any, tmp_path: Path) -> None:
    build(tmp_path / "again")
    assert differences(built, tmp_path / "again", tolerance=0) == []
    one, other = (read_manifest(folder) for folder in (built, tmp_path / "again"))
    same = [path for path in one.files if one.files[path] == other.files[path]]
    assert {"variables/variables.data-00000-of-00001", EVALUATION_FILE, "feature_schema.json"} <= set(same)


def test_differences_are_named(built: Any, tmp_path: Path) -> None:
    changed = dataclasses.replace(TINY, purpose="research", head=Head(units=8))
    build(tmp_path / "other", changed)
    report = json.loads((tmp_path / "other" / EVALUATION_FILE).read_text())
    report["metrics"]["top_1"] += 0.5
    (tmp_path / "other" / EVALUATION_FILE).write_text(json.dumps(report))
    found = " ".join(differences(built, tmp_path / "other"))
    assert all(word in found for word in ("purpose", "embedding_size", "top_1"))


def test_the_report_states_n_floors_and_slices(built: Any) -> None:
    report = json.loads((built / EVALUATION_FILE).read_text())
    labels = labels_of("test")
    assert report["n"] == len(labels) == sum(row["n"] for row in report["slices"]["monk_skin_tone"])
    common = np.bincount(labels_of("train"), minlength=8).argmax()
    assert report["floors"]["top_1"] == pytest.approx((labels == common).mean(), abs=1e-4)
    for rows in report["slices"].values():
        for row in rows:
            assert (row["top_1_interval"] is None) == (row["groups"] < 10)
            if row["top_1_interval"]:
                assert row["top_1_interval"][0] <= row["top_1"] <= row["top_1_interval"][1]
    card = (built / MODEL_CARD_FILE).read_text()
    for said in (
        "without any clinical meaning",
        "macro AUROC",
        "Every image that can be read was shown",
        "Too few calibration cases to claim",
        "Cases unlike those of training are declined",
    ):
        assert said in card


def test_a_model_of_every_case_is_measured_by_folds_calibrated_on_the_others(tmp_path: Path) -> None:
    cases = part("train")
    build_bundle(TINY, whole(cases), tmp_path / "all", Workspace(cache=tmp_path / "cache", quiet=True), folds=2)
    report = json.loads((tmp_path / "all" / EVALUATION_FILE).read_text())
    assert (report["folds"], report["n"]) == (2, len(cases))
    assert "out_of_distribution" not in report["overall"]  # the folds' embeddings are other models'
    manifest = read_manifest(tmp_path / "all")
    assert manifest.outliers.calibrated_on == len(cases) // 2
    publish(MemoryStore(), tmp_path / "all")


def test_the_committed_case_is_the_configs(tmp_path: Path) -> None:
    demo.write_sample_case(tmp_path)
    assert (tmp_path / "answers.json").read_text() == (CASE / "answers.json").read_text()
    for path in CASE.glob("*.jpg"):
        committed, written = (cv2.imread(str(folder / path.name)).astype(float) for folder in (CASE, tmp_path))
        assert np.abs(committed - written).mean() < 2


def test_the_committed_bundle_has_the_configs_signature(built: Any) -> None:
    at_size = {
        name: spec.replace("48, 48", "96, 96").replace("6, 6", "12, 12") for name, spec in signature(built).items()
    }
    assert signature(BUNDLE) == at_size


@pytest.mark.parametrize("option", ["--split", "--duplicates", "--mapping"])
def test_the_files_of_a_training_may_lie_in_a_store(tmp_path: Path, option: str) -> None:
    place = f"{tmp_path.as_uri()}/file.json"
    data = ("--data", tmp_path.as_uri() if option == "--mapping" else "generated:1:20")
    done = CliRunner().invoke(train, ["lite0", *data, "--store", f"{tmp_path.as_uri()}/store", option, place])
    assert isinstance(done.exception, DermisError)
    assert done.exception.kind is Kind.NOT_FOUND
    assert place in done.exception.detail
