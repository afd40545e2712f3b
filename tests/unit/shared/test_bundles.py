"""Publishing a bundle, pointing to it, reading it back."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format

from dermis.api.serving.v1 import serving_pb2 as pb
from dermis.shared.bundles import (
    models_root_of,
    point,
    publish,
    read_current,
    read_feature_schema,
    read_manifest,
    stage,
    unstage,
    versions,
)
from dermis.shared.errors import DermisError, Kind
from dermis.shared.manifest import (
    CURRENT_KEY,
    SERVER_CONFIG_KEY,
    AbstentionRule,
    Canary,
    Condition,
    Current,
    FeatureField,
    FeatureSchema,
    Manifest,
    PredictionSets,
    VersionRef,
)
from dermis.shared.ports import BlobConflict, BlobNotFound
from dermis.shared.stores.memory import MemoryStore

SCHEMA = FeatureSchema(fields=(FeatureField(name="textures", kind="ANY_OF", values=("FLAT",)),))


def ref(version: int, name: str = "dermis") -> VersionRef:
    return VersionRef(name=name, version=version)


def bundle(folder: Path, *, version: int = 1, name: str = "dermis", content: bytes = b"graph") -> Path:
    files = {
        "saved_model.pb": content,
        "variables/variables.index": b"index",
        "assets.extra/tf_serving_warmup_requests": b"",
        "feature_schema.json": SCHEMA.model_dump_json().encode(),
    }
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    manifest = Manifest(
        name=name,
        version=version,
        purpose="demo",
        image_size=32,
        conditions=(Condition(id="a", name="A"), Condition(id="b", name="B")),
        feature_schema=SCHEMA.id,
        embedding_size=1,
        cam_size=(1, 1),
        prediction_sets=PredictionSets(coverage=0.9, thresholds={"FST_I_II": 0.1}),
        abstention=AbstentionRule(min_probability=0.1, max_set_size=2),
        files={path: hashlib.sha256(data).hexdigest() for path, data in files.items()},
    )
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    return folder


class Recorded(MemoryStore):
    """Remembers the order of writes; `interfere` runs once, before the next replace."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []
        self.interfere: Callable[[], object] | None = None

    def put_once(self, key: str, data: bytes, *, reserved: bool = False) -> bool:  # noqa: ARG002 - the port's name
        self.writes.append(key)
        return super().put_once(key, data)

    def replace(self, key: str, data: bytes, *, generation: int) -> int:
        act, self.interfere = self.interfere, None
        if act:
            act()
        self.writes.append(key)
        return super().replace(key, data, generation=generation)


@pytest.fixture
def store() -> Recorded:
    return Recorded()


@pytest.fixture
def published(store: Recorded, tmp_path: Path) -> Recorded:
    for version in (1, 2, 3, 4):
        publish(store, bundle(tmp_path / str(version), version=version))
    store.writes.clear()
    return store


def configured(store: Recorded) -> dict[str, list[int]]:
    config = text_format.Parse(store.get(SERVER_CONFIG_KEY), pb.ModelServerConfig())
    return {each.name: list(each.model_version_policy.specific.versions) for each in config.model_config_list.config}


def test_puts_every_file_and_the_manifest_last(store: Recorded, tmp_path: Path) -> None:
    manifest = publish(store, bundle(tmp_path))
    assert store.writes[-1] == "models/dermis/1/manifest.json"
    assert set(store.writes[:-1]) == {f"models/dermis/1/{path}" for path in manifest.files}
    assert store.get("models/dermis/1/saved_model.pb") == b"graph"
    assert read_manifest(store, ref(1)) == manifest
    assert read_feature_schema(store, ref(1)) == SCHEMA


def test_publishing_again_changes_nothing(store: Recorded, tmp_path: Path) -> None:
    assert publish(store, bundle(tmp_path)) == publish(store, tmp_path)


def test_a_version_is_never_overwritten(store: Recorded, tmp_path: Path) -> None:
    publish(store, bundle(tmp_path / "a"))
    with pytest.raises(BlobConflict):
        publish(store, bundle(tmp_path / "b", content=b"other graph"))
    assert store.get("models/dermis/1/saved_model.pb") == b"graph"


def change(folder: Path) -> None:
    (folder / "saved_model.pb").write_bytes(b"tampered")


def lose(folder: Path) -> None:
    (folder / "saved_model.pb").unlink()


def stray(folder: Path) -> None:
    (folder / "notes.txt").write_text("secret")


def other_schema(folder: Path) -> None:
    rewrite(folder, feature_schema="sha256:00")


def bad_manifest(folder: Path) -> None:
    rewrite(folder, version=0)


def climbing(folder: Path) -> None:
    rewrite(folder, files={"../../current.json": "00"})


def rewrite(folder: Path, **fields: object) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, **fields}))


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (change, "saved_model.pb has SHA-256"),
        (lose, "saved_model.pb"),
        (stray, "notes.txt"),
        (other_schema, "the manifest says sha256:00"),
        (bad_manifest, "version"),
        (climbing, "current.json"),
    ],
)
def test_a_spoilt_bundle_is_refused_before_anything_is_put(
    store: Recorded, tmp_path: Path, spoil: Any, named: str
) -> None:
    spoil(bundle(tmp_path))
    with pytest.raises(DermisError, match=named) as caught:
        publish(store, tmp_path)
    assert (caught.value.kind, store.writes) == (Kind.INVALID, [])


def test_the_first_version_becomes_current(published: Recorded) -> None:
    assert point(published, ref(1)) == Current(current=ref(1)) == read_current(published)
    assert published.writes == [SERVER_CONFIG_KEY, CURRENT_KEY], (
        "serving must know a version before a worker is told to use it"
    )
    assert configured(published) == {"dermis": [1]}


def test_a_roll_out_keeps_current_and_previous_served(published: Recorded) -> None:
    for version in (1, 2, 3, 4):
        current = point(published, ref(version))
    assert current == Current(current=ref(4), previous=ref(3))
    assert configured(published) == {"dermis": [2, 3, 4]}


def test_rolling_back_is_pointing_back(published: Recorded) -> None:
    for version in (1, 2, 1):
        current = point(published, ref(version))
    assert current == Current(current=ref(1), previous=ref(2))
    assert configured(published) == {"dermis": [1, 2]}


def test_pointing_again_changes_nothing(published: Recorded) -> None:
    point(published, ref(1))
    before = point(published, ref(2))
    published.writes.clear()
    assert point(published, ref(2)) == before
    assert CURRENT_KEY not in published.writes


def test_models_of_two_names_are_served_side_by_side(published: Recorded, tmp_path: Path) -> None:
    publish(published, bundle(tmp_path / "other", version=7, name="other"))
    point(published, ref(2))
    point(published, ref(7, "other"))
    assert configured(published) == {"dermis": [2], "other": [7]}


def test_the_path_that_tensorflow_serving_sees(published: Recorded) -> None:
    point(published, ref(1))
    assert 'base_path: "/store/models/dermis"' in published.get(SERVER_CONFIG_KEY).decode()
    point(published, ref(2), models_root="gs://bucket/prefix/models")
    assert 'base_path: "gs://bucket/prefix/models/dermis"' in published.get(SERVER_CONFIG_KEY).decode()


def test_a_bundle_that_is_not_there_can_not_be_current(published: Recorded) -> None:
    with pytest.raises(BlobNotFound):
        point(published, ref(9))
    assert published.writes == []


def test_of_two_that_move_the_pointer_one_wins(published: Recorded) -> None:
    point(published, ref(1))
    published.interfere = lambda: point(published, ref(2))
    with pytest.raises(BlobConflict):
        point(published, ref(3))
    assert read_current(published).current == ref(2)


def test_without_a_pointer_no_model_is_available(store: Recorded) -> None:
    with pytest.raises(DermisError) as caught:
        read_current(store)
    assert (caught.value.reason, caught.value.retryable) == ("NO_CURRENT_MODEL", True)


@pytest.mark.parametrize("pointer", [b"", b"{", b"[]", b'{"current": "dermis 1"}'])
def test_a_pointer_that_names_no_version_says_so(store: Recorded, pointer: bytes) -> None:
    store.put_once(CURRENT_KEY, pointer)
    with pytest.raises(DermisError) as caught:
        read_current(store)
    assert (caught.value.reason, caught.value.retryable) == ("CURRENT_BROKEN", True)
    assert CURRENT_KEY in caught.value.detail


@pytest.mark.parametrize("version", ["0", "007", "\u00b2", "\u0663", "9" * 250, "x"])
def test_a_folder_whose_name_is_no_version_number_is_none(published: Recorded, version: str) -> None:
    known = versions(published)
    published.put_once(f"models/dermis/{version}/manifest.json", b"{}")
    assert versions(published) == known


def test_a_broken_pointer_is_told_with_its_remedy_and_fails_no_case(published: Recorded) -> None:
    published.put_once(CURRENT_KEY, b'{"current": {"name": "dermis"}}')
    for use in (lambda: read_current(published), lambda: point(published, ref(1))):
        with pytest.raises(DermisError, match=r"models/current.json: .*version.*delete it, then promote") as caught:
            use()
        assert caught.value.retryable


def test_a_manifest_under_another_version_is_refused(published: Recorded) -> None:
    published.put_once("models/dermis/8/manifest.json", published.get("models/dermis/1/manifest.json"))
    with pytest.raises(DermisError, match="is the manifest of dermis 1"):
        read_manifest(published, ref(8))


@pytest.mark.parametrize(
    ("store_url", "root"),
    [
        ("file:///srv/anything", "/store/models"),
        ("gs://bucket/prefix/", "gs://bucket/prefix/models"),
        ("gs://bucket?anonymous=true", "gs://bucket/models"),
    ],
)
def test_tensorflow_serving_finds_the_models_by_the_stores_url(store_url: str, root: str) -> None:
    assert models_root_of(store_url) == root


def test_no_server_is_told_of_a_bundle_that_was_changed_in_the_store(tmp_path: Path) -> None:
    store = MemoryStore()
    manifest = publish(store, bundle(tmp_path))
    store.delete(f"{manifest.key}/saved_model.pb")
    store.put_once(f"{manifest.key}/saved_model.pb", b"another graph")
    with pytest.raises(DermisError, match=r"saved_model.pb was changed") as fault:
        point(store, ref(1))
    assert fault.value.kind is Kind.INVALID
    assert set(store.list("models/")) & {CURRENT_KEY, SERVER_CONFIG_KEY} == set()


CANARY = Canary(ref=ref(3), percent=10, promotion="promotion_01m82nmrzdescb95c4e8msawzy")


def test_serving_is_told_of_versions_on_trial_before_workers_are(published: Recorded) -> None:
    point(published, ref(1))
    published.writes.clear()
    staged = Current(current=ref(1), shadow=ref(2), canary=CANARY)
    stage(published, staged, over=Current(current=ref(1)))
    assert published.writes == [SERVER_CONFIG_KEY, CURRENT_KEY]
    assert (read_current(published), configured(published)) == (staged, {"dermis": [1, 2, 3]})
    assert staged.roles == {ref(1): "current", ref(2): "shadow", ref(3): "canary"}


def test_a_trial_that_ends_leaves_its_version_to_who_still_uses_it(published: Recorded) -> None:
    point(published, ref(1))
    staged = Current(current=ref(1), canary=CANARY)
    stage(published, staged, over=Current(current=ref(1)))
    unstage(published, Current(current=ref(1)), over=staged)
    assert (read_current(published), configured(published)) == (Current(current=ref(1)), {"dermis": [1, 3]})


def test_a_canary_ends_with_what_it_was_compared_with_and_a_shadow_goes_on(published: Recorded) -> None:
    point(published, ref(1))
    stage(published, Current(current=ref(1), shadow=ref(2), canary=CANARY), over=Current(current=ref(1)))
    assert point(published, ref(3)) == Current(current=ref(3), previous=ref(1), shadow=ref(2))
    assert configured(published) == {"dermis": [1, 2, 3]}
    assert point(published, ref(2)) == Current(current=ref(2), previous=ref(3))


def test_of_two_that_stage_one_wins(published: Recorded) -> None:
    point(published, ref(1))
    over = Current(current=ref(1))
    point(published, ref(2))
    for move in (stage, unstage):
        with pytest.raises(BlobConflict):
            move(published, Current(current=ref(1), shadow=ref(3)), over=over)
    assert read_current(published) == Current(current=ref(2), previous=ref(1))


def test_a_pointer_without_a_trial_is_what_an_older_worker_can_read(published: Recorded) -> None:
    point(published, ref(1))
    assert json.loads(published.get(CURRENT_KEY)) == {"current": {"name": "dermis", "version": 1}}
    assert Current.model_validate({"current": ref(1).model_dump(), "of_a_later_release": 1}) == Current(current=ref(1))
