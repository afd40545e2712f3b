import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from dermis.shared.bundles import point, publish, read_current, versions
from dermis.shared.errors import DermisError
from dermis.shared.manifest import (
    CURRENT_KEY,
    SERVER_CONFIG_KEY,
    AbstentionRule,
    Condition,
    FeatureField,
    FeatureSchema,
    Manifest,
    PredictionSets,
    VersionRef,
)
from dermis.shared.ports import BlobConflict
from dermis.shared.promotions import PROMOTIONS, PromotionAction, PromotionFact, Waiver, promotions
from dermis.shared.stores.disk import DiskStore
from dermis.shared.stores.memory import MemoryStore
from dermis.standalone import lesions
from dermis.trainer.cli.models import models
from dermis.trainer.cli.models import promote as promote_command
from dermis.trainer.cli.models import rollback as rollback_command
from dermis.trainer.evaluation.predictions import Predictions, to_bytes
from dermis.trainer.evaluation.slices import TONE_GROUPS
from dermis.trainer.records import layout
from dermis.trainer.records.facts import RunConfig
from dermis.trainer.records.runs import Run
from dermis.trainer.registry import promote as registry
from dermis.trainer.registry.promote import PromotionRequest, promote, rollback
from tests.support import evaluations

CONDITIONS = tuple(
    Condition(id=name, name=name.title()) for name in ("ACNE", "ECZEMA", "PSORIASIS", "TINEA", "URTICARIA")
)
DATA = "ab" * 32
N = 300
ROOT = "/store/models"
TONES = {scale: [value for values in groups.values() for value in values] for scale, groups in TONE_GROUPS.items()}
SLICES = {scale: tuple(values[i % len(values)] for i in range(N)) for scale, values in TONES.items()}


def ref(version: int) -> VersionRef:
    return VersionRef(name="dermis", version=version)


def add_bundle(
    store: Any, version: int, *, purpose: str = "release", field: str = "age_group", conditions: Any = CONDITIONS
) -> None:
    schema = FeatureSchema(fields=(FeatureField(name=field, kind="ONE_OF", values=("A", "B")),))
    files = {"saved_model.pb": b"%d" % version, "feature_schema.json": schema.model_dump_json().encode()}
    manifest = Manifest(
        version=version,
        purpose=purpose,
        image_size=32,
        conditions=conditions,
        feature_schema=schema.id,
        embedding_size=4,
        cam_size=(1, 1),
        prediction_sets=PredictionSets(coverage=0.9, thresholds={}),
        abstention=AbstentionRule(min_probability=0, max_set_size=5),
        lineage={"config": "test", "code": "0.1.0"},
        files={path: hashlib.sha256(data).hexdigest() for path, data in files.items()},
    )
    for path, data in {**files, "manifest.json": manifest.model_dump_json().encode()}.items():
        store.put_once(f"models/dermis/{version}/{path}", data)


def predictions(version: int, *, hit: np.ndarray, slices: Any = SLICES, conditions: Any = CONDITIONS) -> Predictions:
    """Return predictions whose first three hold the condition where `hit`."""
    n, k = len(hit), len(conditions)
    labels = np.arange(n) % k
    raw = np.full((n, k), 0.2, np.float32)
    raw[np.arange(n), labels] = np.where(hit, 1.0, 0.0)
    return Predictions(
        model=f"dermis/{version}",
        data=DATA,
        ids=tuple(f"case {i}" for i in range(n)),
        groups=tuple(f"group {i}" for i in range(n)),
        conditions=conditions,
        target=np.eye(k)[labels],
        labels=labels,
        raw={"images and answers": raw},
        embedding=np.zeros((n, 1), np.float32),
        slices=slices,
        fold=np.zeros(n, np.int64),
    )


def evaluate(store: Any, version: int, *, data: str = DATA, **more: Any) -> None:
    store.put_once(
        f"{layout.evaluation_key(data, ref(version))}/predictions.npz", to_bytes(predictions(version, **more))
    )


GOOD = np.arange(N) % 4 != 0


@pytest.fixture
def store() -> MemoryStore:
    """Version 1 is current and evaluated; version 2 is published."""
    store = MemoryStore()
    for version in (1, 2):
        add_bundle(store, version)
    point(store, ref(1))
    evaluate(store, 1, hit=GOOD)
    return store


def wish(version: int = 2, **more: Any) -> PromotionRequest:
    return PromotionRequest(ref=ref(version), data=None, **more)


def refused(store: Any, asked: PromotionRequest, text: str) -> PromotionFact:
    before = store.get(CURRENT_KEY) if store.get_versioned(CURRENT_KEY).generation else None
    record = promote(store, asked, models_root=ROOT)
    assert record.action is PromotionAction.REFUSED
    assert any(text in reason for reason in record.reasons), record.reasons
    assert (store.get(CURRENT_KEY) if before else None) == before
    assert list(promotions(store))[-1] == record
    return record


def test_a_version_as_good_is_promoted_recorded_and_rolled_back(store: MemoryStore) -> None:
    evaluate(store, 2, hit=GOOD)
    record = promote(store, wish(), models_root=ROOT)
    assert (record.action, record.compared_with, record.data) == (PromotionAction.PROMOTED, "dermis 1", DATA)
    assert record.overall is not None
    assert (record.overall.n, record.overall.gain) == (N, 0)
    assert len(record.tones) == 9
    assert all(tone.detectable is not None for tone in record.tones)
    assert read_current(store).current == ref(2)
    back = rollback(store, models_root=ROOT)
    assert (back.action, back.ref, back.over) == (PromotionAction.ROLLED_BACK, ref(1), ref(2))
    assert read_current(store).current == ref(1)
    assert list(promotions(store)) == [record, back]
    assert all(f"versions: {version}".encode() in store.get(SERVER_CONFIG_KEY) for version in (1, 2))


def test_the_rows_of_both_are_paired_by_id_and_condition(store: MemoryStore) -> None:
    shuffled = np.random.default_rng(0).permutation(N)
    made = predictions(2, hit=GOOD)
    order = np.arange(len(CONDITIONS))[::-1]
    mixed = replace(
        made,
        ids=tuple(made.ids[i] for i in shuffled),
        groups=tuple(made.groups[i] for i in shuffled),
        conditions=tuple(CONDITIONS[k] for k in order),
        target=made.target[shuffled][:, order],
        labels=order[made.labels[shuffled]],
        raw={"images and answers": made.raw["images and answers"][shuffled][:, order]},
        slices={scale: tuple(values[i] for i in shuffled) for scale, values in SLICES.items()},
    )
    store.put_once(f"{layout.evaluation_key(DATA, ref(2))}/predictions.npz", to_bytes(mixed))
    record = promote(store, wish(), models_root=ROOT)
    assert record.overall is not None
    assert (record.action, record.overall.interval) == (PromotionAction.PROMOTED, (0, 0))


def test_worse_on_dark_skin_is_refused_though_better_overall(store: MemoryStore) -> None:
    dark = np.array([tone == "MST_7_10" for tone in SLICES["monk_bin"]])
    evaluate(store, 2, hit=np.where(dark, GOOD & (np.arange(N) % 10 != 1), True))
    record = refused(store, wish(waivers=(Waiver(group="fitzpatrick_self", reason="x"),)), "waives nothing")
    assert record.overall is None
    record = refused(store, wish(), "monk_bin=MST_7_10")
    assert record.overall is not None
    assert record.overall.gain is not None
    assert record.overall.gain > 0


def test_a_group_without_cases_needs_a_waiver_that_is_recorded(store: MemoryStore) -> None:
    few = {**SLICES, "monk_bin": tuple("MST_NONE" if tone == "MST_7_10" else tone for tone in SLICES["monk_bin"])}
    evaluate(store, 2, hit=GOOD, slices=few)
    refused(store, wish(), "monk_bin=MST_7_10: no case to compare on")
    waiver = Waiver(group="monk_bin=MST_7_10", reason="none in this data set")
    record = promote(store, wish(waivers=(waiver,)), models_root=ROOT)
    assert (record.action, record.waivers) == (PromotionAction.PROMOTED, (waiver,))


def test_a_file_that_was_changed_is_refused_by_promote_and_rollback(store: MemoryStore) -> None:
    evaluate(store, 2, hit=GOOD)
    assert promote(store, wish(), models_root=ROOT).action is PromotionAction.PROMOTED
    for version, key in ((1, "models/dermis/1/saved_model.pb"), (2, "models/dermis/2/saved_model.pb")):
        store.delete(key)
        store.put_once(key, b"changed")
        assert registry.check_files(store, registry.read_manifest(store, ref(version))) != []  # type: ignore[attr-defined]
    record = rollback(store, models_root=ROOT)
    assert (record.action, read_current(store).current) == (PromotionAction.REFUSED, ref(2))
    assert "dermis/1/saved_model.pb has SHA-256" in record.reasons[0]
    add_bundle(store, 3)
    evaluate(store, 3, hit=GOOD)
    store.delete("models/dermis/3/saved_model.pb")
    refused(store, wish(3), "saved_model.pb is missing")


def test_a_schema_that_reads_race_is_refused(store: MemoryStore) -> None:
    add_bundle(store, 3, field="race_ethnicity")
    evaluate(store, 3, hit=GOOD)
    refused(store, wish(3, lower_purpose=True), "race or ethnicity")


def test_a_demo_takes_no_releases_place_unless_told_to(store: MemoryStore) -> None:
    add_bundle(store, 3, purpose="demo")
    evaluate(store, 3, hit=GOOD)
    refused(store, wish(3), "its purpose is demo")
    record = promote(store, wish(3, lower_purpose=True), models_root=ROOT)
    assert (record.action, record.lower_purpose) == (PromotionAction.PROMOTED, True)


def test_what_can_not_be_compared_is_refused(store: MemoryStore) -> None:
    refused(store, wish(), "were evaluated: none")
    refused(store, replace(wish(), data=DATA), "dermis 2 has no evaluation on the data set")
    other = predictions(2, hit=GOOD)
    key = f"{layout.evaluation_key(DATA, ref(2))}/predictions.npz"
    for changed, text in (
        (replace(other, model="dermis/7"), "is of model dermis/7"),
        (replace(other, data=DATA[:16] + "ff" * 24), "evaluated on other data"),
        (replace(other, ids=("another", *other.ids[1:])), "evaluated on other data"),
        (replace(other, target=np.roll(other.target, 1, axis=1)), "other reference differentials"),
        (
            replace(other, raw={"images alone": other.raw["images and answers"]}),
            "were not made from images and answers",
        ),
        (predictions(2, hit=GOOD[:0], slices={}), "holds no case"),
        (
            predictions(2, hit=GOOD, conditions=(*CONDITIONS[:4], Condition(id="NEW", name="New"))),
            "other conditions (NEW, URTICARIA)",
        ),
    ):
        store.delete(key)
        store.put_once(key, to_bytes(changed))
        refused(store, wish(), text)
    store.delete(key)
    store.put_once(key, b"PK")
    refused(store, wish(), "no predictions of dermis evaluate")


def test_the_first_version_has_to_beat_the_best_constant_list() -> None:
    store = MemoryStore()
    add_bundle(store, 1)
    evaluate(store, 1, hit=GOOD)
    refused(store, wish(1), "no version is current")
    record = promote(store, wish(1, first=True), models_root=ROOT)
    assert (record.action, record.compared_with) == (PromotionAction.PROMOTED, "the best constant list")
    assert record.overall is not None
    assert record.overall.current == pytest.approx(0.6)
    add_bundle(store, 2)
    evaluate(store, 2, hit=GOOD)
    refused(store, wish(2, first=True), "leave --first out")
    others = (*CONDITIONS[:4], Condition(id="NEW", name="New"))
    add_bundle(store, 3, conditions=others)
    evaluate(store, 3, hit=np.zeros(N, bool), conditions=others)
    refused(store, wish(3, first=True), "worse than what")


def test_of_two_first_versions_the_one_that_came_first_stays() -> None:
    class Raced(MemoryStore):
        """A store in which someone promotes version 2 when version 1 has its record."""

        def put_once(self, key: str, data: bytes, *, reserved: bool = False) -> bool:
            done = super().put_once(key, data, reserved=reserved)
            if key.startswith(PROMOTIONS) and registry.current_or_none(self) is None:
                point(self, ref(2))
            return done

    store = Raced()
    for version in (1, 2):
        add_bundle(store, version)
        evaluate(store, version, hit=GOOD)
    with pytest.raises(DermisError, match="the pointer was not moved"):
        promote(store, wish(1, first=True), models_root=ROOT)
    assert read_current(store).current == ref(2)
    assert [record.action for record in promotions(store)] == [
        PromotionAction.PROMOTED,
        PromotionAction.REFUSED,
    ]


def test_asking_for_what_is_current_or_not_there_changes_nothing(store: MemoryStore) -> None:
    with pytest.raises(DermisError, match="is current already"):
        promote(store, wish(1), models_root=ROOT)
    with pytest.raises(DermisError, match="version dermis/9 is not in this store; `dermis models` lists"):
        promote(store, wish(9), models_root=ROOT)
    with pytest.raises(DermisError, match="there is nothing before it"):
        rollback(store, models_root=ROOT)
    assert list(promotions(store)) == []


class MovedMeanwhile(MemoryStore):
    """The pointer moves once a promotion was recorded."""

    def put_once(self, key: str, data: bytes, *, reserved: bool = False) -> bool:
        done = super().put_once(key, data, reserved=reserved)
        if key.startswith("promotions/") and not self.moved:
            self.moved = True
            point(self, ref(3))
        return done

    moved = False


def test_a_promotion_that_came_in_between_wins_and_the_other_is_recorded_as_refused() -> None:
    store = MovedMeanwhile()
    for version in (1, 2, 3):
        add_bundle(store, version)
        evaluate(store, version, hit=GOOD)
    point(store, ref(1))
    with pytest.raises(DermisError, match="the pointer was not moved"):
        promote(store, wish(), models_root=ROOT)
    assert read_current(store).current == ref(3)
    assert [record.action for record in promotions(store)] == [
        PromotionAction.PROMOTED,
        PromotionAction.REFUSED,
    ]


def test_point_over_another_version_than_the_current_one_conflicts(store: MemoryStore) -> None:
    with pytest.raises(BlobConflict):
        point(store, ref(2), over=ref(2))
    assert point(store, ref(2), over=ref(1)).current == ref(2)


def test_versions_and_numbers(store: MemoryStore) -> None:
    assert versions(store) == [ref(1), ref(2)]
    store.put_once("models/dermis/11/saved_model.pb", b"")
    assert versions(store) == [ref(1), ref(2)]
    assert (layout.next_version(store, "dermis"), layout.next_version(store, "new")) == (12, 1)
    assert layout.evaluated_on(store, ref(1)) == [DATA[:16]]
    assert layout.parse_ref("3", name="dermis") == layout.parse_ref("dermis/3", name="x") == ref(3)
    for text in ("", "x", "a/b/3", "dermis/0", "dermis/"):
        with pytest.raises(DermisError, match="is not understood"):
            layout.parse_ref(text, name="dermis")


@pytest.fixture
def on_disk(tmp_path: Path, store: MemoryStore) -> tuple[DiskStore, list[str]]:
    disk = DiskStore(tmp_path / "store")
    for key in store.list("models/dermis"):
        disk.put_once(key, store.get(key))
    for key in store.list("evaluations/"):
        disk.put_once(key, store.get(key))
    point(disk, ref(1))
    return disk, ["--store", (tmp_path / "store").as_uri()]


def run(command: Any, *arguments: str) -> Any:
    return CliRunner().invoke(command, arguments, catch_exceptions=False)


def test_the_commands_promote_list_show_and_roll_back(on_disk: tuple[DiskStore, list[str]]) -> None:
    store, where = on_disk
    lost = GOOD & (np.arange(N) % 3 != 0)
    evaluate(store, 2, hit=lost)
    said = run(promote_command, "2", *where)
    assert said.exit_code == 3
    assert "REFUSED: dermis 2, in place of dermis 1" in said.output
    assert "because overall:" in said.output
    store.delete(f"{layout.evaluation_key(DATA, ref(2))}/predictions.npz")
    few = {**SLICES, "monk_bin": tuple("NOT_GIVEN" for _ in SLICES["monk_bin"])}
    evaluate(store, 2, hit=GOOD, slices=few)
    said = run(
        promote_command, "dermis/2", "--waive", "monk_bin", "--reason", "no tones graded", "--data-digest", DATA, *where
    )
    assert said.exit_code == 0, said.output
    assert "waived monk_bin: no tones graded" in said.output
    training = Run.start(store, RunConfig(name="demo", purpose="demo"))
    training.epoch(3, {"loss": 1.0}, of=20)
    listed = json.loads(run(models, *where, "--json").output)
    assert [(row["version"], row["is"], row["evaluated on"]) for row in listed["versions"]] == [
        ("dermis/1", "previous", DATA[:16]),
        ("dermis/2", "current", DATA[:16]),
    ]
    assert [(row["run"], row["status"], row["epoch"]) for row in listed["runs"]] == [(training.id, "RUNNING", "3/20")]
    assert "0 s ago" in run(models, *where).output.replace("1 s ago", "0 s ago")
    shown = run(models, *where, "show", "2").output
    assert "config  test" in shown
    assert "2, all with the digests of the manifest" in shown
    assert shown.count("REFUSED") == shown.count("PROMOTED") == 1
    said = run(rollback_command, *where, "--json")
    assert json.loads(said.output)["action"] == "ROLLED_BACK"
    assert read_current(store).current == ref(1)


def test_show_says_what_a_version_knows(tmp_path: Path) -> None:
    disk = DiskStore(tmp_path / "store")
    manifest = publish(disk, lesions.BUNDLE)
    said = run(models, "--store", (tmp_path / "store").as_uri(), "show", "lesions/1").output
    assert f"knows: {manifest.knowledge.kind}\n" in said
    assert "it can't rule out skin cancer" in said
    assert "measured on (Fitzpatrick, estimated): FST_I_II " in said
    assert "no answer for: FST_V_VI\n" in said
    assert "declines photos unlike those of training: by embedding\n" in said
    assert manifest.knowledge.kind in run(models, "--store", (tmp_path / "store").as_uri()).output


@pytest.mark.parametrize("seen", [{"cases": "some"}, {"of": 3}, [1]])
def test_a_version_whose_evaluation_can_not_be_read_is_not_promoted(store: MemoryStore, seen: Any) -> None:
    evaluate(store, 2, hit=GOOD)
    key = f"{layout.evaluation_key(DATA, ref(2))}/evaluation.json"
    store.put_once(key, json.dumps(evaluations.document(seen_in_training=seen)).encode())
    refused(store, wish(), f"{key} is no evaluation report that can be read: seen_in_training")


def test_show_gives_each_tone_with_n_and_interval(on_disk: tuple[DiskStore, list[str]]) -> None:
    store, where = on_disk
    figure = {"value": 0.5, "interval": [0.4, 0.6]}
    dark = {
        "value": "MST_7_10",
        "n": 7,
        "top_1": 0.25,
        "top_1_interval": None,
        "top_3_soft": 0.75,
        "top_3_soft_interval": [0.5, 0.875],
    }
    report = evaluations.document(
        n=N,
        overall={"top_1": figure, "top_3_soft": figure},
        floors={"top_1": 0.2, "top_3": 0.4, "meaning": ""},
        slices={"monk_bin": [dark]},
    )
    store.put_once(f"{layout.evaluation_key(DATA, ref(1))}/evaluation.json", json.dumps(report).encode())
    shown = [" ".join(line.split()) for line in run(models, *where, "show", "1").output.splitlines()]
    assert f"overall {N} 0.500 (0.400 to 0.600), floor 0.200 0.500 (0.400 to 0.600)" in shown
    assert "monk_bin=MST_7_10 7 0.250 0.750 (0.500 to 0.875)" in shown


@pytest.mark.parametrize(
    "arguments",
    [
        ["--waive", "monk_bin"],
        ["--reason", "x"],
        ["--waive", "a", "--reason", " "],
        ["--waive", "a", "--reason", "b", "--reason", "c"],
    ],
)
def test_a_waiver_without_a_reason_is_no_waiver(on_disk: tuple[DiskStore, list[str]], arguments: list[str]) -> None:
    store, where = on_disk
    assert run(promote_command, "2", *where, *arguments).exit_code == 2
    assert list(promotions(store)) == []
