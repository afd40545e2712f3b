"""Folders that are named by an id lie by the id's time.

What is listed, what is opened for it, and how an older store gets there.
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typeid import TypeID
from uuid_utils import UUID

from dermis.shared.stores.disk import DiskStore
from dermis.shared.stores.disk_layout import BY_TIME, path_of

START = datetime(2026, 11, 1, tzinfo=UTC)


def id_at(seconds: float, kind: str = "case") -> str:
    at = START + timedelta(seconds=seconds)
    number = (
        (int(at.timestamp() * 1000) << 80)
        | (7 << 76)
        | (2 << 62)
        | (int.from_bytes(os.urandom(7), "big") & ((1 << 62) - 1))
    )
    return str(TypeID.from_uuid(UUID(int=number), prefix=kind))


@pytest.fixture
def store(tmp_path: Path) -> DiskStore:
    return DiskStore(tmp_path)


def names(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()]


def put_as_before(root: Path, key: str, data: bytes = b"1") -> None:
    path = root / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def test_a_case_lies_by_time_and_what_is_not_in_a_folder_of_its_own_lies_as_it_is_called(
    store: DiskStore, tmp_path: Path
) -> None:
    case, owner = id_at(0), id_at(0, "key")
    for key in (f"cases/{owner}/{case}/images/1/original", f"open/{case}"):
        store.put_once(key, b"1")
        assert store.get(key) == b"1"
    files = sorted(
        path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"
    )
    home = f"cases/{owner}/{BY_TIME}/{case[:10]}/{case[10:12]}/{case}"
    assert files == [f"{home}/images/1/original", f"open/{case}"]
    store.delete(f"cases/{owner}/{case}/images/1/original")
    assert sorted(names(tmp_path / "cases")) == [".lock", ".tmp"]


def test_a_mark_lies_by_time_and_the_oldest_is_read_without_the_others(
    store: DiskStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [f"retention/ASSESS_ONLY/{id_at(40_000 * n)}" for n in range(100)]
    for key in reversed(keys):
        assert store.put_once(key, b"1") is True
        assert store.put_once(key, b"1") is False
    name = keys[0].rpartition("/")[2]
    assert (tmp_path / "retention/ASSESS_ONLY" / BY_TIME / name[:10] / name).is_file()
    assert list(store.list("retention/ASSESS_ONLY/")) == keys
    opened: list[str] = []
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: (opened.append(str(path)), listdir(path))[1])
    assert next(store.list("retention/ASSESS_ONLY/")) == keys[0]
    assert len(opened) < 4
    for key in keys:
        store.delete(key)
    assert not (tmp_path / "retention" / "ASSESS_ONLY").exists()


def test_marks_of_an_older_store_are_read_where_they_lie_and_moved(store: DiskStore, tmp_path: Path) -> None:
    ids = [id_at(30_000 * n, "batch") for n in range(4)]
    keys = [f"retention/batches/{name}" for name in ids]
    for key in keys[:3]:
        put_as_before(tmp_path, key)
        os.utime(tmp_path / key, (1_700_000_000,) * 2)
    store.put_once(keys[3], b"1")
    assert list(store.list("retention/")) == keys
    assert store.put_once(keys[0], b"1") is False
    store.delete(keys[1])
    store.tend(reserve_bytes=0, busy={ids[0]})
    assert sorted(names(tmp_path / "retention/batches")) == [BY_TIME, ids[0]]
    assert list(store.list("retention/batches/")) == [keys[0], keys[2], keys[3]]
    assert store.get(keys[2]) == b"1"
    assert store.written_at(keys[2]).timestamp() == 1_700_000_000
    store.tend(reserve_bytes=0, busy=())
    assert names(tmp_path / "retention/batches") == [BY_TIME]


def test_of_one_move_no_more_than_its_share_goes_at_once(
    store: DiskStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dermis.shared.stores.disk._MOST_MOVED", 3)
    keys = sorted(
        f"{parent}/{id_at(n)}{name}" for n in range(2) for parent, name in (("cases/x", "/a"), ("retention/y", ""))
    )
    for key in keys:
        put_as_before(tmp_path, key)
    store.tend(reserve_bytes=0, busy=())
    assert len([name for name in names(tmp_path / "retention/y") if name != BY_TIME]) == 1
    assert list(store.list("")) == keys
    store.tend(reserve_bytes=0, busy=())
    assert names(tmp_path / "retention/y") == [BY_TIME]
    assert list(store.list("")) == keys


@settings(deadline=None)
@given(st.lists(st.integers(0, 3_000_000), min_size=1, max_size=12, unique=True), st.data())
def test_a_list_is_the_same_as_without_the_layout(
    tmp_path_factory: pytest.TempPathFactory, seconds: list[int], data: st.DataObject
) -> None:
    root = tmp_path_factory.mktemp("store")
    store = DiskStore(root)
    keys = sorted(
        [f"cases/public/{id_at(second)}/{name}" for second in seconds for name in ("a.json", "images/1/b")]
        + [f"retention/ASSESS_ONLY/{id_at(second)}" for second in seconds]
        + ["cases/public/x", "cases/zz/y", "retention/ASSESS_ONLY/x"]
    )
    for key in keys:
        if data.draw(st.booleans()):
            store.put_once(key, b"1")
        elif not path_of(root, key).parent.exists():
            put_as_before(root, key)
        else:
            store.put_once(key, b"1")
    prefix = data.draw(st.sampled_from(keys)).encode()[: data.draw(st.integers(0, 60))].decode()
    after = data.draw(st.sampled_from(["", *keys]))
    assert list(store.list(prefix, after=after)) == [key for key in keys if key.startswith(prefix) and key > after]
    store.tend(reserve_bytes=0, busy=())
    assert list(store.list(prefix, after=after)) == [key for key in keys if key.startswith(prefix) and key > after]


def test_a_page_opens_the_folders_of_its_own_time_alone(store: DiskStore, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [id_at(3600 * n) for n in range(200)]
    for case in cases:
        store.put_once(f"cases/public/{case}/received.json", b"1")
    opened: list[str] = []
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: (opened.append(str(path)), listdir(path))[1])
    keys = store.list("cases/public/", after=f"cases/public/{cases[100]}/~")
    assert [next(keys).split("/")[2] for _ in range(3)] == cases[101:104]
    assert len(opened) < 12


def test_an_older_store_is_read_as_it_is_and_moved_but_for_what_is_in_work(store: DiskStore, tmp_path: Path) -> None:
    cases = [id_at(n) for n in range(5)]
    keys = [f"cases/public/{case}/{name}" for case in cases for name in ("images/1/original", "received.json")]
    for key in keys:
        put_as_before(tmp_path, key)
    assert list(store.list("cases/")) == keys
    assert store.put_once(keys[0], b"1") is False
    store.put_once(f"cases/public/{cases[0]}/outcome.json", b"2")
    assert (tmp_path / "cases/public" / cases[0] / "outcome.json").exists(), "what a case holds lies in one place"
    store.tend(reserve_bytes=0, busy={cases[1]})
    assert sorted(names(tmp_path / "cases/public")) == [BY_TIME, cases[1]]
    assert list(store.list("cases/")) == sorted([*keys, f"cases/public/{cases[0]}/outcome.json"])
    assert all(store.get(key) == b"1" for key in keys)


def test_what_was_put_into_the_old_place_while_it_moved_comes_together(store: DiskStore, tmp_path: Path) -> None:
    case = id_at(0)
    store.put_once(f"cases/public/{case}/received.json", b"1")
    put_as_before(tmp_path, f"cases/public/{case}/outcome.json", b"2")
    assert list(store.list(f"cases/public/{case}/")) == [
        f"cases/public/{case}/outcome.json",
        f"cases/public/{case}/received.json",
    ]
    store.tend(reserve_bytes=0, busy=())
    assert store.get(f"cases/public/{case}/outcome.json") == b"2"
    assert names(tmp_path / "cases/public") == [BY_TIME]


def test_an_object_whose_folder_moves_at_that_moment_is_there_and_is_deleted(
    store: DiskStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    acts: tuple[Callable[[str], Any], ...] = (store.get, store.written_at, store.delete)
    for at, act in enumerate(acts):
        key = f"cases/public/{id_at(at)}/received.json"
        put_as_before(tmp_path, key)
        path_to = store._path

        def moved(key: str, path_to: Callable[[str], Path] = path_to) -> Path:
            path = path_to(key)
            monkeypatch.undo()
            store.tend(reserve_bytes=0, busy=())
            return path

        monkeypatch.setattr(store, "_path", moved)
        act(key)
        assert bool(list(store.list(key))) is (act != store.delete)
        store.delete(key)
    assert list(store.list("")) == []


def test_moving_keeps_the_time_at_which_an_object_was_put(store: DiskStore, tmp_path: Path) -> None:
    key = f"cases/public/{id_at(0)}/received.json"
    put_as_before(tmp_path, key)
    os.utime(tmp_path / key, (1_700_000_000,) * 2)
    store.tend(reserve_bytes=0, busy=())
    assert store.written_at(key).timestamp() == 1_700_000_000
