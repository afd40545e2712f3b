"""A store without a model gets the demo bundle, and no other store does."""

import hashlib
from pathlib import Path

import pytest

from dermis.shared.bundles import point, publish, read_current
from dermis.shared.errors import DermisError
from dermis.shared.manifest import (
    AbstentionRule,
    Condition,
    FeatureField,
    FeatureSchema,
    Manifest,
    PredictionSets,
    VersionRef,
)
from dermis.shared.stores.memory import MemoryStore
from dermis.standalone.bundle import SHIPPED, ensure_bundle, ensure_model

SCHEMA = FeatureSchema(fields=(FeatureField(name="sex_at_birth", kind="ONE_OF", values=("FEMALE", "MALE")),))


def bundle(folder: Path, version: int) -> Path:
    folder.mkdir()
    files = {"feature_schema.json": SCHEMA.model_dump_json().encode(), "saved_model.pb": b"model"}
    for path, data in files.items():
        (folder / path).write_bytes(data)
    manifest = Manifest(
        version=version,
        purpose="demo",
        image_size=64,
        conditions=(Condition(id="a", name="A"), Condition(id="b", name="B")),
        feature_schema=SCHEMA.id,
        embedding_size=1,
        cam_size=(1, 1),
        prediction_sets=PredictionSets(coverage=0.9, thresholds={"FST_I_II": 0.1, "FST_III_IV": 0.1, "FST_V_VI": 0.1}),
        abstention=AbstentionRule(min_probability=0.1, max_set_size=2),
        files={path: hashlib.sha256(data).hexdigest() for path, data in files.items()},
    )
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    return folder


def test_an_empty_store_gets_the_bundle_once(tmp_path: Path) -> None:
    store, folder = MemoryStore(), bundle(tmp_path / "demo", 1)
    assert ensure_bundle(store, folder).version == 1
    assert read_current(store).current == VersionRef(name="dermis", version=1)
    before = list(store.list(""))
    assert ensure_bundle(store, folder).version == 1
    assert list(store.list("")) == before


def test_a_store_with_a_model_keeps_it(tmp_path: Path) -> None:
    store = MemoryStore()
    manifest = publish(store, bundle(tmp_path / "own", 7))
    point(store, VersionRef(name=manifest.name, version=7))
    assert ensure_bundle(store, bundle(tmp_path / "demo", 1)).version == 7
    assert read_current(store).current.version == 7


def test_a_model_that_is_promoted_meanwhile_stays(tmp_path: Path) -> None:
    class Raced(MemoryStore):
        """A store in which someone promotes version 7 while the demo bundle's files are put."""

        def put_once(self, key: str, data: bytes, *, reserved: bool = False) -> bool:
            if key == "models/dermis/1/manifest.json":
                point(self, VersionRef(name="dermis", version=7))
            return super().put_once(key, data, reserved=reserved)

    store = Raced()
    publish(store, bundle(tmp_path / "own", 7))
    assert ensure_bundle(store, bundle(tmp_path / "demo", 1)).version == 7
    assert read_current(store).current.version == 7


def test_without_a_bundle_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(DermisError, match="promote a model"):
        ensure_bundle(MemoryStore(), tmp_path)


def test_a_shipped_model_that_is_asked_for_becomes_current_and_the_one_before_is_kept() -> None:
    store = MemoryStore()
    assert ensure_model(store).purpose == "demo"
    manifest = ensure_model(store, "lesions")
    assert (manifest.name, manifest.purpose) == ("lesions", "research")
    pointer = read_current(store)
    assert (pointer.current.name, pointer.previous.name if pointer.previous else None) == ("lesions", "dermis")
    assert ensure_model(store).name == "lesions"
    assert ensure_model(store, "demo").name == "dermis"
    assert set(SHIPPED) == {"demo", "lesions"}
