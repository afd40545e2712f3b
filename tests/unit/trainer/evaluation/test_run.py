"""`dermis evaluate` from the command line to the files, and the coverage of prediction sets over many halves."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from dermis.data.generated.as_scin import write_as_scin
from dermis.shared.bundles import publish
from dermis.shared.errors import DermisError
from dermis.shared.manifest import VersionRef
from dermis.shared.stores import open_store
from dermis.standalone.demo import BUNDLE
from dermis.trainer.benchmarks import set_coverage as coverage
from dermis.trainer.cli.benchmark import benchmark
from dermis.trainer.cli.evaluate import evaluate
from dermis.trainer.evaluation import run as evaluate_run
from dermis.trainer.evaluation.predictions import from_bytes, to_bytes
from dermis.trainer.records.layout import evaluated_on
from dermis.trainer.registry.promote import read_predictions
from tests.unit.trainer.made import predictions

pytestmark = pytest.mark.trainer
DATA = "generated:9:24:64"
FIRST = VersionRef(name="dermis", version=1)


@pytest.fixture(autouse=True)
def _state_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --store a command looks into the state folder: not into that of who runs the tests."""
    monkeypatch.setenv("DERMIS_STANDALONE_STATE", str(tmp_path_factory.mktemp("state")))


def call(*arguments: Any) -> Any:
    return CliRunner().invoke(evaluate, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def store_url(tmp_path_factory: pytest.TempPathFactory) -> Any:
    url = (tmp_path_factory.mktemp("store")).as_uri()
    publish(open_store(url), BUNDLE)
    return url


def test_several_data_sets_are_measured_together_and_each_by_itself(tmp_path: Path) -> None:
    write_as_scin(open_store((tmp_path / "drawn").as_uri()), seed=4, count=12, longest=64)
    folder = tmp_path / "drawn"
    done = call("--model", BUNDLE, "--data", DATA, "--data", folder, "--policy", "scin-all", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert {row["value"]: row["n"] for row in report["slices"]["source"]} == {"generated": 24, "generated drawings": 12}
    assert "Data set" in (tmp_path / "out" / "evaluation.html").read_text()


def test_a_version_is_evaluated_and_kept_where_the_registry_looks(store_url: Any, tmp_path: Path) -> None:
    done = call("--model", "1", "--data", DATA, "--store", store_url, "--out", tmp_path / "one")
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "one" / "evaluation.json").read_text())
    assert (report["model"], report["n"]) == ("dermis/1", 24)
    assert "top_1" in done.output
    assert "floor" in done.output
    page = (tmp_path / "one" / "evaluation.html").read_text()
    assert '<article id="cohort"' in page
    steps = {step["name"]: step for step in report["cohort"]}
    assert (
        steps["evaluated"]["cases"]
        == 24
        == steps["answered"]["cases"] + sum(drop["cases"] for drop in steps["answered"]["dropped"])
    )
    assert bool(report["mistakes"]) == ("data:image/jpeg" in page)
    store = open_store(store_url)
    (data,) = evaluated_on(store, FIRST)
    kept = read_predictions(store, data, FIRST)
    assert kept.ids == from_bytes((tmp_path / "one" / "predictions.npz").read_bytes()).ids
    assert report["data_digest"] == kept.data
    key = f"evaluations/{data}/dermis/1"
    assert {name.removeprefix(f"{key}/") for name in store.list(key)} == {
        "predictions.npz",
        "evaluation.json",
        "evaluation.html",
    }
    assert b"data:image/jpeg" not in store.get(f"{key}/evaluation.html")


def test_it_can_be_asked_again_and_beside_another_bundle(store_url: Any, tmp_path: Path) -> None:
    for _ in range(2):
        done = call("--model", "dermis/1", "--against", BUNDLE, "--data", DATA, "--store", store_url, "--out", tmp_path)
        assert done.exit_code == 0, done.output
        assert "is left" not in done.output
    report = json.loads((tmp_path / "evaluation.json").read_text())
    assert report["comparison"]["against"] == "dermis/1"
    assert report["comparison"]["mcnemar"]["p"] == 1
    assert 'id="evaluated"' in (tmp_path / "evaluation.html").read_text()


def test_what_is_no_evaluation_is_passed_over_by_name(tmp_path: Path) -> None:
    url = (tmp_path / "store").as_uri()
    store = open_store(url)
    publish(store, BUNDLE)
    torn = {"format": "dermis.evaluation/1", "model": "dermis/6", "n": 3}
    for version, data in ((7, b"{}"), (8, b"cut o"), (9, b"[1]"), (6, json.dumps(torn).encode())):
        store.put_once(f"evaluations/{'0' * 16}/dermis/{version}/evaluation.json", data)
    done = call("--model", "1", "--data", DATA, "--store", url, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    for version in (6, 7, 8, 9):
        assert f"WARNING: evaluations/{'0' * 16}/dermis/{version}/evaluation.json is no evaluation" in done.output
    assert 'id="evaluated"' in (tmp_path / "out" / "evaluation.html").read_text()


def test_what_was_measured_is_written_before_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_given: Any, **_more: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(evaluate_run, "as_html", broken)
    assert isinstance(call("--model", BUNDLE, "--data", DATA, "--out", tmp_path).exception, ZeroDivisionError)
    assert {path.name for path in tmp_path.iterdir()} == {"evaluation.json", "predictions.npz"}


def test_a_figure_that_one_case_can_not_give_is_no_zero(tmp_path: Path) -> None:
    done = call("--model", BUNDLE, "--against", BUNDLE, "--data", "generated:9:1:64", "--out", tmp_path)
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.output.splitlines() if line.startswith("  macro_auroc")]
    assert lines == [["macro_auroc", "not", "stated"], ["macro_auroc", "not", "stated", "against", "dermis/1"]]
    assert "nan" not in done.output


def bundle_like(folder: Any, **changes: Any) -> Any:
    """Return a copy of the demo's bundle with another manifest."""
    shutil.copytree(BUNDLE, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | changes))
    return folder


def test_a_folder_that_is_not_the_published_bundle_leaves_the_store_alone(store_url: Any, tmp_path: Path) -> None:
    changed = bundle_like(tmp_path / "bundle", calibration={"temperature": 3.0})
    before = list(open_store(store_url).list("evaluations/"))
    done = call("--model", changed, "--data", "generated:10:12:64", "--store", store_url, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "nothing was put there" in done.output
    assert list(open_store(store_url).list("evaluations/")) == before


def test_a_model_of_other_conditions_is_refused_before_anything_is_predicted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate_run, "predict", lambda *_given, **_more: pytest.fail("it predicted first"))
    conditions = json.loads((BUNDLE / "manifest.json").read_text())["conditions"]
    conditions[0] = {"id": "SCURVY", "name": "Scurvy"}
    other = bundle_like(tmp_path / "other", conditions=conditions)
    done = call("--model", BUNDLE, "--against", other, "--data", DATA, "--out", tmp_path / "out")
    assert isinstance(done.exception, DermisError)
    assert "names other conditions" in done.exception.detail
    assert "SCURVY" in done.exception.detail


def test_split_and_part_choose_the_cases(tmp_path: Path) -> None:
    from dermis.data.dataset import open_dataset
    from dermis.data.split.split import as_text

    dataset = open_dataset(DATA)
    split = dataset.split(seed=0, folds=2)
    (tmp_path / "split.json").write_text(as_text(split))
    done = call(
        "--model", BUNDLE, "--data", DATA, "--split", tmp_path / "split.json", "--part", "test", "--out", tmp_path
    )
    assert done.exit_code == 0, done.output
    ids = from_bytes((tmp_path / "predictions.npz").read_bytes()).ids
    assert set(ids) == {case.case_id for case in split.cases if case.part == "test"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("--model", "1", "--data", DATA),
            "version dermis/1 is not in this store",
        ),
        (("--model", "soon", "--data", DATA, "--store", "STORE"), "write 3, or dermis/3"),
        (
            ("--model", "7", "--data", DATA, "--store", "STORE"),
            "version dermis/7 is not in this store",
        ),
        (("--model", BUNDLE, "--data", "nowhere"), "nowhere"),
    ],
)
def test_what_can_not_be_done_says_why(arguments: Any, said: str, store_url: Any, tmp_path: Path) -> None:
    done = call(*(store_url if word == "STORE" else word for word in arguments), "--out", tmp_path)
    assert done.exit_code != 0
    assert said in f"{done.output} {done.exception}"


def test_sets_of_a_calibrated_model_cover_what_they_promise_over_many_halves(tmp_path: Path) -> None:
    made = predictions(n=1600, seed=1, sharp=0.8)
    found = {row.group: row for row in coverage.over_splits(made, coverage=0.9, splits=30)}
    assert set(found) == {"all", "FST_I_II", "FST_III_IV", "FST_V_VI", "NOT_GIVEN"}
    for row in found.values():
        assert row.threshold == pytest.approx(0.9, abs=0.02) or row.group in ("NOT_GIVEN", "all")
        assert row.mean >= row.threshold
    assert found["NOT_GIVEN"].threshold >= 0.9  # the lowest threshold of the groups
    (tmp_path / "predictions.npz").write_bytes(to_bytes(made))
    shown = CliRunner().invoke(
        benchmark, ["set-coverage", "--predictions", str(tmp_path / "predictions.npz"), "--splits", "5"]
    )
    assert "90% prediction sets over 5 random halves" in shown.output


def test_sets_do_not_cover_where_calibration_and_test_differ() -> None:
    made = predictions(n=1200, seed=1)
    raw = made.raw["images and answers"].copy()
    raw[:600] = np.roll(raw[:600], 1, axis=1)
    broken = dataclasses.replace(
        made, raw={**made.raw, "images and answers": raw}, groups=tuple("a" if n < 600 else "b" for n in range(1200))
    )
    found = coverage.over_splits(broken, coverage=0.9, splits=4)[0]
    assert found.highest - found.lowest > 0.03
