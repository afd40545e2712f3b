"""A model measured on what it learned from is called that, wherever the cases come from, and is not promoted by it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dermis.data.dataset import mix, open_dataset
from dermis.shared.bundles import publish
from dermis.shared.manifest import VersionRef
from dermis.shared.stores import open_store
from dermis.standalone.demo import BUNDLE
from dermis.trainer.cli.evaluate import evaluate
from dermis.trainer.evaluation.seen_in_training import EVERY_CASE, case_keys, seen_in_training, warning
from dermis.trainer.model.bundle import read_manifest
from dermis.trainer.records.facts import RunConfig
from dermis.trainer.records.runs import Run
from dermis.trainer.registry.promote import PromotionRequest, promote
from tests.unit.trainer.made import manifest

pytestmark = pytest.mark.trainer
DATA = open_dataset("generated:9:24:64")
SPLIT = DATA.split(seed=0)
TRAIN, TEST = (DATA.part(SPLIT, part) for part in ("train", "test"))


@pytest.fixture
def store(tmp_path: Path) -> Any:
    return open_store((tmp_path / "store").as_uri())


def recorded(store: Any, **parts: Any) -> Any:
    run = Run.start(store, RunConfig(name="demo", purpose="demo"))
    run.learns({name: case_keys(part) for name, part in parts.items()})
    return {"run": run.id, "data": DATA.digest, "split": SPLIT.digest}


def test_a_case_keeps_its_key_in_a_part_and_in_a_mixed_set_and_another_seed_has_others() -> None:
    keys = case_keys(DATA)
    assert len(set(keys)) == 24
    assert case_keys(replace(DATA, samples=DATA.samples[3:5])) == keys[3:5]
    assert case_keys(mix(DATA, replace(open_dataset("generated:8:3:64"), name="other")))[:24] == keys
    sides = tuple(replace(DATA.samples[0], id=f"{side}/1", images=(f"{side}/0.jpg",)) for side in ("left", "right"))
    assert len(set(case_keys(replace(DATA, samples=sides)))) == 2
    assert not set(keys) & set(case_keys(open_dataset("generated:8:24:64")))


def test_the_runs_record_tells_how_many_cases_were_seen(store: Any) -> None:
    made = manifest(lineage=recorded(store, train=TRAIN, calibration=DATA.part(SPLIT, "calibration")))

    def seen(dataset: Any, **told: Any) -> Any:
        return seen_in_training(made, dataset, **{"whole": dataset.digest, "split": None, "store": store, **told})

    assert seen(TEST) is None
    assert seen(open_dataset("generated:8:24:64")) is None
    whole = seen(DATA, whole="of a copy under another digest")
    assert (whole.cases, whole.of) == (len(TRAIN), 24)
    assert f"{len(TRAIN)} of 24 cases were in this model's training" in warning(whole)
    only = seen(DATA.part(SPLIT, "calibration"))
    assert only.cases == 0
    assert "calibrated this model" in warning(only)


def test_without_the_record_the_bundles_lineage_speaks() -> None:
    made = manifest(lineage={"data": DATA.digest, "split": SPLIT.digest, "run": "run_01jd3v2e8jf6ar8m2zq0n5w1xk"})
    asked: dict[str, Any] = {"whole": DATA.digest, "store": None}
    assert "some or all of these 24 cases" in warning(seen_in_training(made, DATA, split=None, **asked))
    assert seen_in_training(made, TEST, split=SPLIT.digest, **asked) is None
    assert seen_in_training(made, TEST, split="of another split", **asked) is not None
    on_all = made.model_copy(update={"lineage": {**made.lineage, "learned": EVERY_CASE}})
    assert seen_in_training(on_all, TEST, split=SPLIT.digest, **asked) is not None
    assert seen_in_training(made, DATA, split=None, whole="other data", store=None) is None


def test_evaluate_warns_aloud_and_on_the_page(store: Any, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    for path in (path for path in BUNDLE.rglob("*") if path.is_file()):
        (bundle / path.relative_to(BUNDLE)).parent.mkdir(parents=True, exist_ok=True)
        (bundle / path.relative_to(BUNDLE)).write_bytes(path.read_bytes())
    told = read_manifest(bundle).model_copy(update={"lineage": recorded(store, train=TRAIN)})
    (bundle / "manifest.json").write_text(told.model_dump_json())
    publish(store, bundle)
    url = (tmp_path / "store").as_uri()
    done = CliRunner().invoke(
        evaluate,
        ["--model", "1", "--data", "generated:9:24:64", "--store", url, "--out", str(tmp_path / "out")],
        catch_exceptions=False,
    )
    assert done.exit_code == 0
    assert (
        done.stderr.count(f"WARNING: {len(TRAIN)} of 24 cases were in this model's training") == 2
    )  # before the figures and below them
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["seen_in_training"]["cases"] == len(TRAIN)
    assert "were in this model&#x27;s training" in (tmp_path / "out" / "evaluation.html").read_text()
    wish = PromotionRequest(ref=VersionRef(name=told.name, version=told.version), data=None, first=True)
    assert any(
        f"{len(TRAIN)} of 24 cases of the data set" in reason
        for reason in promote(store, wish, models_root="/m").reasons
    )
