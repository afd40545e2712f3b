"""Every config is a page that can be read and trained by; `dermis train` publishes, goes on and searches."""

import importlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from dermis.shared.bundles import read_feature_schema, read_manifest
from dermis.shared.errors import DermisError
from dermis.shared.manifest import VersionRef
from dermis.shared.stores import open_store
from dermis.trainer import configs
from dermis.trainer.cli.train import train
from dermis.trainer.config import Config, load_config
from dermis.trainer.evaluation.predict import fetch_bundle, open_bundle
from dermis.trainer.model.backbones import NAMES
from dermis.trainer.records.runs import RunStatus, read_run, run_ids

pytestmark = pytest.mark.trainer
PAGES = sorted(path.stem for path in Path(configs.__file__).parent.glob("[a-z]*.py"))
TINY = """
import dataclasses
from dermis.trainer.configs import demo
from dermis.trainer.model.head import Head
from dermis.trainer.config import Stage
CONFIG = dataclasses.replace(demo.CONFIG, image_size=32, head=Head(pooling="images"), stages=(Stage(epochs=1),))
"""


@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_command_hardware_and_result(name):
    page = importlib.import_module(f"dermis.trainer.configs.{name}")
    assert isinstance(page.CONFIG, Config)
    assert page.CONFIG.name == name
    assert page.CONFIG.schema.promotable
    assert page.CONFIG.backbone in NAMES or page.CONFIG.backbone.startswith("file:///")
    for word in ("Hardware", "Result", "dermis"):
        assert word in page.__doc__


@pytest.fixture
def run(tmp_path):
    (tmp_path / "tiny.py").write_text(TINY)
    fixed = [str(tmp_path / "tiny.py"), "--data", "generated:1:60:32", "--store", (tmp_path / "store").as_uri()]
    fixed += ["--cache", str(tmp_path / "cache"), "--quiet"]

    def run(*more):
        return CliRunner().invoke(train, [*fixed, *more], catch_exceptions=False).output

    return run


def test_a_folder_without_any_of_its_images_is_not_trained_on(tmp_path):
    (tmp_path / "tiny.py").write_text(TINY)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "manifest.csv").write_text("file,name\na.png,Eczema\nb.png,Tinea\n")
    mapping = {"name": "Other", "licence": "CC0", "image": "file", "unit": "file", "attributes": {"condition": {"column": "name"}}}
    (tmp_path / "mapping.json").write_text(json.dumps(mapping))
    data = ["--data", tmp_path / "data", "--mapping", tmp_path / "mapping.json", "--store", (tmp_path / "store").as_uri()]
    with pytest.raises(DermisError, match=r"not one of 2 images is in .*/data"):
        CliRunner().invoke(train, [str(each) for each in (tmp_path / "tiny.py", *data)], catch_exceptions=False)
    assert not run_ids(open_store((tmp_path / "store").as_uri()))


def test_a_grid_is_searched_and_the_best_is_published(run, tmp_path):
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


def test_a_model_that_learned_from_all_is_measured_by_folds(run, tmp_path):
    assert "published dermis/1" in run("--on-all", "2")
    store = open_store((tmp_path / "store").as_uri())
    report = store.get("models/dermis/1/evaluation.json").decode()
    assert "2-fold, each case by a model that did not see it" in report
    assert '"n": 60' in report


def test_wrong_words_are_refused_with_what_is_known(run):
    with pytest.raises(DermisError, match="no config 'vgg': use cnn, demo"):
        load_config("vgg")
    for more, part in ((["--set", "batch"], "write NAME=VALUE"), (["--set", "bach=3"], "no setting")):
        with pytest.raises(DermisError, match=part):
            run(*more)
