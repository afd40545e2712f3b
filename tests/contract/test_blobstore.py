"""One contract for every BlobStore.

In memory, on disk, and on Google Cloud Storage (fake-gcs-server, the real client).
"""

import itertools
import json
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from dermis.shared.errors import DermisError, Kind
from dermis.shared.ports import BlobConflict, BlobNotFound, BlobStore, Versioned
from dermis.shared.stores import open_store
from dermis.shared.stores.disk import DiskStore
from dermis.shared.stores.memory import MemoryStore

pytest_plugins = ["tests.support.gcs"]
LARGE = 30_000_000
THREADS = 16
ODD_KEYS = [
    *("", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", ".tmp/a", ".lock", "a/.hidden"),
    *("a\\b", "a\0b", "a\nb", "a\x7fb", "\ud800", "x" * 256, "é" * 128, "a/" * 256 + "a"),
]
GOOD_KEYS = [
    *(
        "a",
        "a/b",
        "a b/c",
        "a%2Fb",
        "%",
        "a+b",
        "q?x=1&y#z",
        "[*]",
        "~",
        "-",
        "_",
        "a.b.",
        "a..b",
        "'\"",
        "ключ/鍵",
        "x" * 255,
    ),
    "cases/public/case_01jd3v2e8jf6ar8m2zq0n5w1xk/images/1/original",
]


@pytest.fixture(params=["disk", "gcs"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return (tmp_path / "a store").as_uri() if request.param == "disk" else str(request.getfixturevalue("gcs_url"))


@pytest.fixture(params=["memory", "disk", "gcs"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    if request.param == "memory":
        return MemoryStore()
    return open_store(
        (tmp_path / "a store").as_uri() if request.param == "disk" else request.getfixturevalue("gcs_url")
    )


def together(*calls: Callable[[], object]) -> list[object]:
    """Start the calls at once, each in a thread; return what they return, BlobConflict included; other errors rise."""
    gate = threading.Barrier(len(calls))

    def run(call: Callable[[], object]) -> object:
        gate.wait(30)
        try:
            return call()
        except BlobConflict as conflict:
            return conflict

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def conflicts(results: list[object]) -> int:
    return sum(isinstance(result, BlobConflict) for result in results)


# --- put once, get, delete ------------------------------------------------------------------------------------------


def test_an_object_is_put_once(store: BlobStore) -> None:
    assert store.put_once("cases/a/received.json", b"one") is True
    assert store.put_once("cases/a/received.json", b"one") is False
    with pytest.raises(BlobConflict) as conflict:
        store.put_once("cases/a/received.json", b"two")
    assert conflict.value.kind is Kind.CONFLICT
    assert not conflict.value.retryable
    assert conflict.value.key == "cases/a/received.json"
    assert store.get("cases/a/received.json") == b"one"


@pytest.mark.parametrize("other", [b"", b"onf", b"one.", b"on"])
def test_other_bytes_are_a_conflict_whatever_their_length(store: BlobStore, other: bytes) -> None:
    store.put_once("k", b"one")
    with pytest.raises(BlobConflict):
        store.put_once("k", other)
    assert store.get("k") == b"one"


def test_an_absent_object_is_not_found(store: BlobStore) -> None:
    store.put_once("a/b", b"")
    for key in ("nothing", "a", "a/b/c", "a/nothing", "nothing/a"):
        with pytest.raises(BlobNotFound) as fault:
            store.get(key)
        assert fault.value.kind is Kind.NOT_FOUND
        assert fault.value.key == key


def test_an_empty_object_is_an_object(store: BlobStore) -> None:
    assert store.put_once("empty", b"")
    assert store.get("empty") == b""
    assert not store.put_once("empty", b"")
    assert store.get_versioned("empty").generation != 0


@pytest.mark.parametrize("data", [b"", b"abc", b"abcdef"])
def test_no_more_is_read_than_is_asked_for(store: BlobStore, data: bytes) -> None:
    store.put_once("k", data)
    assert store.get("k", most=3) == data[:3]


def test_all_bytes_survive(store: BlobStore) -> None:
    data = bytes(range(256)) * 3 + b"\r\n\x1a\0"
    store.put_once("k", data)
    assert store.get("k") == data


def test_a_large_object_is_whole(store: BlobStore) -> None:
    data = os.urandom(LARGE)
    other = data[:-1] + bytes([data[-1] ^ 1])
    assert store.put_once("large", data)
    assert store.get("large") == data
    assert store.put_once("large", data) is False
    with pytest.raises(BlobConflict):
        store.put_once("large", other)
    seen = store.get_versioned("large")
    assert seen.data == data
    store.replace("large", other, generation=seen.generation)
    with pytest.raises(BlobConflict):
        store.replace("large", data, generation=seen.generation)
    assert store.get("large") == other


def test_delete_is_idempotent_and_frees_the_key(store: BlobStore) -> None:
    store.put_once("a/b/c", b"1")
    store.put_once("a/d", b"2")
    for _ in range(2):
        store.delete("a/b/c")
        with pytest.raises(BlobNotFound):
            store.get("a/b/c")
    for never in ("nothing", "nothing/at/all", "a", "a/d/e"):
        store.delete(never)
    assert list(store.list("")) == ["a/d"]
    assert store.put_once("a/b/c", b"3") is True
    assert store.get("a/b/c") == b"3"


# --- compare and set ------------------------------------------------------------------------------------------------


def test_delete_with_a_generation_leaves_another_one(store: BlobStore) -> None:
    if not isinstance(store, MemoryStore | DiskStore):
        pytest.skip("the emulator reads no precondition of a DELETE; test_gcs looks at the request")
    store.put_once("open/a", b"1")
    first = store.get_versioned("open/a").generation
    second = store.replace("open/a", b"2", generation=first)
    store.delete("open/a", generation=first)
    assert store.get("open/a") == b"2"
    store.delete("open/a", generation=second)
    assert [*store.list("")] == []
    store.delete("open/a", generation=second)


def test_replace_with_generation_0_puts_if_absent(store: BlobStore) -> None:
    assert store.get_versioned("models/current.json") == Versioned(b"", 0)
    first = store.replace("models/current.json", b"1", generation=0)
    assert first != 0
    assert store.get_versioned("models/current.json") == Versioned(b"1", first)
    with pytest.raises(BlobConflict):
        store.replace("models/current.json", b"2", generation=0)
    assert store.get("models/current.json") == b"1"


def test_replace_needs_the_generation_that_was_read(store: BlobStore) -> None:
    store.put_once("k", b"1")
    first = store.get_versioned("k").generation
    second = store.replace("k", b"2", generation=first)
    with pytest.raises(BlobConflict):
        store.replace("k", b"3", generation=first)
    assert store.get_versioned("k") == Versioned(b"2", second)
    assert store.replace("k", b"3", generation=second) != second


def test_a_generation_never_returns_even_with_equal_bytes(store: BlobStore) -> None:
    seen = [store.replace("k", b"a", generation=0)]
    for data in (b"b", b"a", b"a", b"a"):
        seen.append(store.replace("k", data, generation=seen[-1]))
    assert len(set(seen)) == 5
    with pytest.raises(BlobConflict):
        store.replace("k", b"z", generation=seen[0])


def test_replace_of_a_deleted_object_is_a_conflict(store: BlobStore) -> None:
    generation = store.replace("k", b"1", generation=0)
    store.delete("k")
    with pytest.raises(BlobConflict):
        store.replace("k", b"2", generation=generation)
    assert store.get_versioned("k") == Versioned(b"", 0)


# --- list -----------------------------------------------------------------------------------------------------------


def test_list_is_in_order_of_utf8_bytes(store: BlobStore) -> None:
    keys = [
        "a!",
        "a-b/c",
        "a.b",
        "a/b",
        "a/b0",
        "a/c/d",
        "a/c!",
        "a0",
        "B",
        "b/a/a",
        "b-",
        "Z/z",
        "é",
        "ﬀ",
        "😀",
        "鍵/b",
    ]
    for key in keys:
        store.put_once(key, b"")
    expected = sorted(keys, key=str.encode)
    assert list(store.list("")) == expected
    for after in [*keys, "a", "a/", "a/c", "a/c/", "a/zzz", "b", "zz", "é/", "\U0010ffff", "/", " "]:
        assert list(store.list("", after=after)) == [key for key in expected if key > after], after
    for prefix in ("a", "a/", "a/b", "a/c/", "a/c", "b/a/a", "b/a/ab", "nothing", "nothing/", "é", "a/b0/"):
        assert list(store.list(prefix)) == [key for key in expected if key.startswith(prefix)], prefix
        for after in ("", "a/b", "a/c/", "b", "a/c/d"):
            assert list(store.list(prefix, after=after)) == [k for k in expected if k.startswith(prefix) and k > after]


def test_list_goes_past_one_page(store: BlobStore) -> None:
    keys = [f"open/{n:04}" for n in range(1100)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.put_once(key, b""), keys))
    assert list(store.list("open/")) == keys
    assert list(store.list("open/", after=keys[1049])) == keys[1050:]
    assert list(itertools.islice(store.list("open/"), 3)) == keys[:3]


# --- keys -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ODD_KEYS, ids=ascii)
def test_an_odd_key_is_refused_by_every_call(store: BlobStore, key: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: store.put_once(key, b""),
        lambda: store.get(key),
        lambda: store.get_versioned(key),
        lambda: store.replace(key, b"", generation=0),
        lambda: store.delete(key),
    ]
    for call in calls:
        with pytest.raises(DermisError) as fault:
            call()
        assert (fault.value.kind, fault.value.reason) == (Kind.INVALID, "BLOB_KEY")


@pytest.mark.parametrize(
    "prefix", ["/", "/etc/", "../", "a/../", "a//", ".tmp/", ".", "a/.", "a\\", "\ud800", "x" * 257], ids=ascii
)
def test_an_odd_prefix_is_refused(store: BlobStore, prefix: str) -> None:
    with pytest.raises(DermisError, match="BLOB_KEY"):
        store.list(prefix)
    with pytest.raises(DermisError, match="BLOB_KEY"):
        store.list("", after="\ud800")


def test_good_keys_come_back_as_they_are(store: BlobStore) -> None:
    for key in GOOD_KEYS:
        if key != "a":  # on disk no key may be the beginning of another and a slash
            assert store.put_once(key, key.encode())
    kept = [key for key in GOOD_KEYS if key != "a"]
    assert list(store.list("")) == sorted(kept)
    for key in kept:
        assert store.get(key) == key.encode()
        assert store.get_versioned(key).data == key.encode()
        store.delete(key)
    assert list(store.list("")) == []


# --- many at once ---------------------------------------------------------------------------------------------------


def test_one_thread_wins_a_key(store: BlobStore) -> None:
    for n in range(10):
        key = f"race/{n}/received.json"
        results = together(*(partial(store.put_once, key, str(i).encode()) for i in range(THREADS)))
        assert results.count(True) == 1
        assert conflicts(results) == THREADS - 1
        assert store.get(key) == str(results.index(True)).encode()


def test_one_thread_puts_equal_bytes_the_others_are_told_so(store: BlobStore) -> None:
    for n in range(10):
        results = together(*[partial(store.put_once, f"race/{n}/received.json", b"same")] * THREADS)
        assert (results.count(True), results.count(False)) == (1, THREADS - 1)


def test_one_thread_wins_a_generation(store: BlobStore) -> None:
    generation = 0
    for n in range(10):
        results = together(
            *(partial(store.replace, "k", f"{n} {i}".encode(), generation=generation) for i in range(THREADS))
        )
        assert conflicts(results) == THREADS - 1
        (generation,) = (result for result in results if isinstance(result, int))
        assert store.get_versioned("k").generation == generation


def test_put_once_and_replace_of_an_absent_object_do_not_both_win(store: BlobStore) -> None:
    for n in range(20):
        key = f"k{n}"
        results = together(partial(store.put_once, key, b"put"), partial(store.replace, key, b"replace", generation=0))
        assert conflicts(results) == 1
        assert store.get(key) == (b"put" if results[0] is True else b"replace")


def test_no_update_is_lost(store: BlobStore) -> None:
    def count_up() -> None:
        for _ in range(5):
            while True:
                seen = store.get_versioned("counter")
                try:
                    store.replace("counter", str(int(seen.data or b"0") + 1).encode(), generation=seen.generation)
                    break
                except BlobConflict:
                    pass

    together(*[count_up] * 4)
    assert store.get("counter") == b"20"


def test_a_put_survives_the_deletion_of_its_neighbours(store: BlobStore) -> None:
    rounds = 40

    def come_and_go(name: str) -> Callable[[], None]:
        def run() -> None:
            for _ in range(rounds):
                assert store.put_once(f"f/g/h/{name}", b"")
                store.delete(f"f/g/h/{name}")

        return run

    def stay() -> None:
        for n in range(rounds):
            assert store.put_once(f"f/g/stay/{n}", b"s")
            assert store.replace(f"f/r/{n}", b"r", generation=0)
            if n % 4:
                store.delete(f"f/g/stay/{n}")
                store.delete(f"f/r/{n}")

    together(come_and_go("a"), come_and_go("b"), come_and_go("c"), stay)
    kept = sorted(f"f/{folder}/{n}" for n in range(0, rounds, 4) for folder in ("g/stay", "r"))
    assert list(store.list("")) == kept


def test_put_and_delete_of_one_key_leave_it_whole_or_gone(store: BlobStore) -> None:
    def put() -> None:
        for _ in range(40):
            store.put_once("f/k", b"same")

    def delete() -> None:
        for _ in range(40):
            store.delete("f/k")

    together(put, put, delete, delete)
    assert store.get_versioned("f/k").data in (b"", b"same")
    store.delete("f/k")
    assert list(store.list("")) == []


def test_a_reader_never_sees_half_an_object(store: BlobStore) -> None:
    size = 2_000_000
    done = threading.Event()

    def write() -> None:
        store.put_once("k", b"\0" * size)
        for n in range(1, 10):
            store.replace("k", bytes([n]) * size, generation=store.get_versioned("k").generation)
        done.set()

    def read() -> None:
        last = False
        while not last:
            last = done.is_set()
            found = store.get_versioned("k")
            assert found.generation == 0 or (len(found.data) == size and len(set(found.data)) == 1)

    together(write, read, read)


def test_list_during_writes_holds_what_was_there_before(store: BlobStore) -> None:
    written: list[str] = []
    done = threading.Event()

    def write() -> None:
        for n in range(60):
            key = f"open/{n % 7}/{n:03}"
            store.put_once(key, b"")
            written.append(key)
            store.put_once(f"gone/{n}", b"")
            store.delete(f"gone/{n}")
        done.set()

    def look() -> None:
        while not done.is_set():
            before = set(written)
            found = list(store.list("open/"))
            assert found == sorted(set(found))
            assert before <= set(found)

    together(write, look, look)
    assert list(store.list("")) == sorted(written)


RACER = textwrap.dedent("""
    import json, sys
    from dermis.shared.ports import BlobConflict
    from dermis.shared.stores import open_store
    url, me = sys.argv[1:]
    store, won = open_store(url), []
    store.put_once(f"ready/{me}", b"")
    print("ready", flush=True)
    sys.stdin.readline()
    for n in range(25):
        try:
            if store.put_once(f"race/{n}/k", me.encode()):
                won.append(n)
        except BlobConflict:
            pass
    for _ in range(10):
        while True:
            seen = store.get_versioned("counter")
            try:
                store.replace("counter", str(int(seen.data or b"0") + 1).encode(), generation=seen.generation)
                break
            except BlobConflict:
                pass
    print(json.dumps(won))
""")


def test_one_process_wins_a_key_and_no_update_is_lost(url: str) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, url, str(n)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for n in range(4)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    won = [json.loads(racer.communicate(timeout=60)[0]) for racer in racers]
    assert sorted(itertools.chain(*won)) == list(range(25))
    store = open_store(url)
    for n, wins in enumerate(won):
        assert all(store.get(f"race/{key}/k") == str(n).encode() for key in wins)
    assert store.get("counter") == b"40"


FORKER = textwrap.dedent("""
    import os, sys
    from dermis.shared.stores import open_store
    store = open_store(sys.argv[1])
    for n in range(4):
        store.put_once(f"own/{n}", b"%d" % n * 1000)
    def work(n, round):
        for _ in range(5):
            assert store.get(f"own/{n}") == b"%d" % n * 1000
        assert store.put_once(f"made/{n}/{round}", b"")
    for round in range(8):
        children = []
        for n in range(3):
            child = os.fork()
            if child == 0:
                work(n, round)
                os._exit(0)
            children.append(child)
        work(3, round)
        assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
""")


def test_forked_children_and_their_parent_share_a_store_and_no_connection(url: str) -> None:
    subprocess.run([sys.executable, "-c", FORKER, url], check=True, timeout=60)
    assert len(list(open_store(url).list("made/"))) == 32
