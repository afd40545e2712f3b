"""Every config is a page that can be read and trained by; `dermis train` publishes, goes on and searches."""

import csv
import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dermis.data.data_source import DATASET_FILE
from dermis.data.generated.as_scin import write_as_scin
from dermis.data.scin.columns import LABELS_FILE
from dermis.shared.bundles import read_feature_schema, read_manifest
from dermis.shared.errors import DermisError
from dermis.shared.manifest import VersionRef
from dermis.shared.stores import open_store
from dermis.trainer import configs
from dermis.trainer.cli.benchmark import benchmark
from dermis.trainer.cli.train import train
from dermis.trainer.config import Config, load_config, with_settings
from dermis.trainer.evaluation.predict import fetch_bundle, open_bundle
from dermis.trainer.model.backbones import NAMES, make_backbone
from dermis.trainer.model.export import serving_model
from dermis.trainer.records.facts import RunStatus
from dermis.trainer.records.runs import read_run, run_ids
from dermis.trainer.training.stages import check_order, plan_stage
from dermis.trainer.training.train import new_backbone
from tests.support import own_backbones

pytestmark = [
    pytest.mark.trainer,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]  # TensorFlow and numpy 2
PAGES = sorted(path.stem for path in Path(configs.__file__).parent.glob("[a-z]*.py"))
TINY = """
import dataclasses
from dermis.trainer.configs import demo
from dermis.trainer.model.head import Head
from dermis.trainer.config import Stage
CONFIG = dataclasses.replace(demo.CONFIG, image_size=32, head=Head(pooling="images"), stages=(Stage(epochs=1),))
"""


HOW_TO = Path(__file__).parents[3] / "docs/how-to/train.md"
MEASURED = re.compile(r"Result    .*top-[13] 0\.\d+.*\(floors? 0\.\d+.*\), n = [\d,]+", re.DOTALL)
WHY = "docs/how-to/train.md says why"


def unmeasured() -> Any:
    """Return the configs that the how-to lists as not measured."""
    _, table = HOW_TO.read_text().split("## Configs that are not measured here")
    return re.findall(r"^\| `(\w+)` \|", table.split("\n## ")[0], re.MULTILINE)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_command_hardware_and_result(name: Any) -> None:
    page = importlib.import_module(f"dermis.trainer.configs.{name}")
    assert isinstance(page.CONFIG, Config)
    assert page.CONFIG.name == name
    assert page.CONFIG.schema.promotable
    assert page.CONFIG.backbone in NAMES or page.CONFIG.backbone.startswith("file:///")
    assert re.search(r"^(Train|Build)     .*dermis.*" + name, page.__doc__, re.MULTILINE)
    assert re.search(r"^Hardware  \w", page.__doc__, re.MULTILINE)
    assert bool(MEASURED.search(page.__doc__)) is (name not in unmeasured()), (
        "state a measured result, or list it in the how-to"
    )
    assert (WHY in page.__doc__) is (name in unmeasured())
    measure = re.findall(r"^Measure   dermis benchmark (\w+)", page.__doc__, re.MULTILINE)
    assert set(measure) <= set(benchmark.commands)
    assert len(measure) == page.__doc__.count("\nMeasure ")
    assert "dermis.trainer.benchmarks" not in page.__doc__


def backbone_file(folder: Any, size: int = 32) -> Any:
    small = make_backbone("small", size)
    small.save(folder / "net.keras")
    return ["--set", f"backbone={(folder / 'net.keras').as_uri()}", "--data", "generated:1:60:32"]


def weights_file(folder: Any, size: int = 32) -> Any:
    make_backbone("efficientnet-b0", size, weights=None).save_weights(folder / "b0.weights.h5")
    return ["--set", f"weights={(folder / 'b0.weights.h5').as_uri()}", "--data", "generated:1:60:32"]


def derm_foundation(folder: Any, size: int = 32) -> Any:
    own_backbones.derm_foundation(folder / "model", size=size)
    return ["--set", f"backbone={(folder / 'model').as_uri()}", "--data", "generated:1:60:32"]


def medsiglip(folder: Any, size: int = 32) -> Any:
    own_backbones.medsiglip(folder / "model", size=size)
    return ["--set", f"backbone={(folder / 'model').as_uri()}", "--data", "generated:1:60:32"]


def scin_tables(folder: Any) -> Any:
    """Write drawn cases in SCIN's form, a third of them without a label."""
    write_as_scin(open_store(folder.as_uri()), seed=7, count=60, longest=64)
    rows = list(csv.DictReader((folder / LABELS_FILE).read_text().splitlines()))
    for row in rows[::3]:
        row |= {name: "" for name in row if name.startswith(("dermatologist_skin", "weighted"))}
    with (folder / LABELS_FILE).open("w") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    (folder / DATASET_FILE).unlink()  # it is of the tables as they were drawn
    return ["--data", folder.as_uri(), "--policy", "scin-all", "--set", "least_cases=2"]


NEEDS: dict[str, Any] = {
    "scin": scin_tables,
    "scin_unlabelled": lambda folder: [*scin_tables(folder), "--set", "stage.1.pseudo=0.1"],
    "efficientnet_b0": weights_file,
    "saved_model": backbone_file,
    "derm_foundation": derm_foundation,
    "medsiglip": medsiglip,
}
OWN = ("saved_model", "derm_foundation", "medsiglip")
"""Configs whose backbone a person brings."""


def test_each_config_that_is_not_measured_is_run_below() -> None:
    assert sorted(unmeasured()) == sorted(NEEDS)


@pytest.mark.parametrize("name", PAGES)
def test_a_config_builds_its_model(name: str, tmp_path: Path) -> None:
    settings = {"image_size": "64"}
    if name in (*OWN, "efficientnet_b0"):
        _, setting, *_ = NEEDS[name](tmp_path, 64)
        settings |= dict([setting.split("=", 1)])
    config = with_settings(load_config(name), settings)
    backbone = new_backbone(config)
    check_order(config, backbone)
    plans = [plan_stage(config, number, backbone, conditions=3) for number in range(len(config.stages))]
    model = serving_model(backbone, plans[-1].part.head, settings=config.head, mirror=config.mirrored)
    assert model.input["images"].shape == (None, 3, 64, 64, 3)
    assert model.output["probabilities"].shape == (None, 3)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in OWN else pytest.mark.nightly) for name in NEEDS]
)
def test_a_config_that_is_not_measured_trains(name: Any, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    settings = [*NEEDS[name](tmp_path / "files"), "--set", "image_size=32", "--set", "stage.epochs=1"]
    where = ["--store", (tmp_path / "store").as_uri(), "--cache", str(tmp_path / "cache")]
    output = CliRunner().invoke(train, [name, *settings, *where], catch_exceptions=False).output
    stages = len(load_config(name).stages)
    assert f"stage {stages}/{stages}  epoch 1/1  loss" in output
    assert "published dermis/1" in output


@pytest.fixture
def run(tmp_path: Path) -> Any:
    (tmp_path / "tiny.py").write_text(TINY)
    fixed = [str(tmp_path / "tiny.py"), "--data", "generated:1:60:32", "--store", (tmp_path / "store").as_uri()]
    fixed += ["--cache", str(tmp_path / "cache"), "--quiet"]

    def run(*more: Any) -> Any:
        return CliRunner().invoke(train, [*fixed, *more], catch_exceptions=False).output

    return run


EPOCH = re.compile(
    r"stage 1/1  epoch [12]/2  loss \d\.\d{4}  validation loss \d\.\d{4}  top-1 [01]\.\d{3}  top-3 "
    r"[01]\.\d{3}  learning rate 0\.00\d+  \d+\.\d s"
)


@pytest.mark.timeout(600)
def test_the_command_prints_a_line_an_epoch_and_no_log_line_of_tensorflow(tmp_path: Path) -> None:
    (tmp_path / "tiny.py").write_text(TINY)
    data = ["--data", "generated:1:60:32", "--store", (tmp_path / "store").as_uri(), "--cache", str(tmp_path / "cache")]
    command = [sys.executable, "-m", "dermis.standalone", "train", str(tmp_path / "tiny.py"), *data]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    settings = ["--set", "stage.epochs=2", "--set", "patience=none"]
    done = subprocess.run(
        [*command, *settings], env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    run, embed, embed_validation, *epochs, exported, published = done.stdout.splitlines()
    assert [bool(EPOCH.fullmatch(line)) for line in epochs] == [True, True], done.stdout
    assert run.startswith("run run_")
    assert (embed, embed_validation) == ("embed", "embed")
    assert exported.startswith("largest difference of TensorFlow and OpenVINO to the trained model: ")
    assert published.startswith("published dermis/1 in file://")


def test_a_folder_without_any_of_its_images_is_not_trained_on(tmp_path: Path) -> None:
    (tmp_path / "tiny.py").write_text(TINY)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "manifest.csv").write_text("file,name\na.png,Eczema\nb.png,Tinea\n")
    mapping = {
        "name": "Other",
        "licence": "CC0",
        "image": "file",
        "unit": "file",
        "attributes": {"condition": {"column": "name"}},
    }
    (tmp_path / "mapping.json").write_text(json.dumps(mapping))
    data = [
        "--data",
        tmp_path / "data",
        "--mapping",
        tmp_path / "mapping.json",
        "--store",
        (tmp_path / "store").as_uri(),
    ]
    with pytest.raises(DermisError, match=r"not one of 2 images is in .*/data"):
        CliRunner().invoke(train, [str(each) for each in (tmp_path / "tiny.py", *data)], catch_exceptions=False)
    assert not run_ids(open_store((tmp_path / "store").as_uri()))


def test_a_grid_is_searched_and_the_best_is_published(run: Any, tmp_path: Path) -> None:
    said = run("--grid", "stage.0.learning_rate=0.00001,0.01", "--grid", "features=baseline,symptoms+textures")
    assert said.count("validation_loss") == 4
    assert "chosen: combination" in said
    assert "published dermis/1" in said
    store, ref = open_store((tmp_path / "store").as_uri()), VersionRef(name="dermis", version=1)
    manifest = read_manifest(store, ref)
    assert {"run", "config", "data", "split", "code"} <= manifest.lineage.keys()
    assert len(read_feature_schema(store, ref).fields) in (3, 4)
    (run_id,) = run_ids(store)
    assert read_run(store, run_id).status is RunStatus.FINISHED
    (tmp_path / "bundle").mkdir()
    assert open_bundle(fetch_bundle(store, ref, tmp_path / "bundle")).manifest == manifest


def test_a_model_that_learned_from_all_is_measured_by_folds(run: Any, tmp_path: Path) -> None:
    lines = run("--on-all", "2").splitlines()
    assert [line.split(" ")[0] for line in lines] == ["run", "published"], "it is not quiet"
    assert lines[1].startswith("published dermis/1 in file://")
    store = open_store((tmp_path / "store").as_uri())
    report = store.get("models/dermis/1/evaluation.json").decode()
    assert "2-fold, each case by a model that did not see it" in report
    assert '"n": 60' in report


def test_wrong_words_are_refused_with_what_is_known(run: Any) -> None:
    with pytest.raises(DermisError, match="no config 'vgg': use cnn, demo"):
        load_config("vgg")
    for more, part in ((["--set", "batch"], "write NAME=VALUE"), (["--set", "bach=3"], "no setting")):
        with pytest.raises(DermisError, match=part):
            run(*more)
