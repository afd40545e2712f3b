"""What only the store on disk has: syncing, leftovers, a disk that is full or read-only, strangers' files."""

import contextlib
import errno
import fcntl
import itertools
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dermis.shared.errors import DermisError, Kind
from dermis.shared.ports import BlobConflict, BlobNotFound
from dermis.shared.stores.disk import LEFTOVER_AGE_S, DiskStore


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(root: Path) -> DiskStore:
    return DiskStore(root)


def leftovers(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.parent.name == ".tmp"]


# --- objects of others ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["open", "open/.tmp", ".tmp", ".reserve", "."])
def test_what_can_not_be_read_hurts_no_other_object(store: DiskStore, root: Path, folder: str) -> None:
    store.put_once("open/a", b"1")
    store.tend(reserve_bytes=1 << 20, busy=())
    place = root / folder
    place.mkdir(exist_ok=True)
    (place / "circle").symlink_to("circle")
    (place / "nowhere").symlink_to("elsewhere")
    (place / "folder").mkdir()
    (place / "folder/inside").write_bytes(b"no object of ours")
    (place / "empty").touch()
    os.mkfifo(place / "pipe")
    (place / os.fsdecode(b"bad\xff")).touch()
    later = DiskStore(root)
    assert later.put_once("open/b", b"2")
    assert {"open/a", "open/b"} <= set(later.list("open/"))
    later.tend(reserve_bytes=0, busy=())
    later.delete("open/a")
    assert "open/a" not in later.list("open/")
    assert later.get("open/b") == b"2"


# --- crash safety ---------------------------------------------------------------------------------------------------


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What was synced, linked, renamed and removed, in order, by inode; the calls themselves are made."""
    written: list[tuple[str, int]] = []

    def spy(name: str) -> None:
        real = getattr(os, name)

        def call(first: int | Path, *rest: Path) -> object:
            written.append((name, (os.fstat(first) if isinstance(first, int) else first.stat()).st_ino))
            return real(first, *rest)

        monkeypatch.setattr(os, name, call)

    for name in ("fsync", "link", "replace", "unlink"):
        spy(name)
    return written


def inode(path: Path) -> int:
    return path.stat().st_ino


def test_a_file_is_synced_before_it_gets_its_name_and_its_folder_after(
    store: DiskStore, root: Path, journal: list[tuple[str, int]]
) -> None:
    store.put_once("cases/a/received.json", b"1")
    file, folder = inode(root / "cases/a/received.json"), inode(root / "cases/a")
    assert journal.index(("fsync", file)) < journal.index(("link", file)) < journal.index(("fsync", folder))
    for made_in in (root / "cases", root, root.parent):
        assert ("fsync", inode(made_in)) in journal[: journal.index(("link", file))]


def test_equal_bytes_of_another_writer_are_synced_before_they_count(
    store: DiskStore, root: Path, journal: list[tuple[str, int]]
) -> None:
    store.put_once("a/k", b"1")
    journal.clear()
    assert store.put_once("a/k", b"1") is False
    assert ("fsync", inode(root / "a")) in journal


def test_a_replacement_is_synced_before_it_gets_the_name_and_its_folder_after(
    store: DiskStore, root: Path, journal: list[tuple[str, int]]
) -> None:
    generation = store.replace("models/current.json", b"1", generation=0)
    journal.clear()
    store.replace("models/current.json", b"2", generation=generation)
    file, folder = inode(root / "models/current.json"), inode(root / "models")
    assert journal.index(("fsync", file)) < journal.index(("replace", file)) < journal.index(("fsync", folder))


def test_a_deletion_is_synced_in_the_folder_that_remains(
    store: DiskStore, root: Path, journal: list[tuple[str, int]]
) -> None:
    for key in ("a/stays", "a/b/c/goes"):
        store.put_once(key, b"1")
    journal.clear()
    store.delete("a/b/c/goes")
    assert not (root / "a/b").exists()
    assert journal[-1] == ("fsync", inode(root / "a"))


WRITER = textwrap.dedent("""
    import sys
    from pathlib import Path
    from dermis.shared.stores.disk import DiskStore
    store = DiskStore(Path(sys.argv[1]))
    for n in range(10_000):
        store.put_once(f"k/{n}", n.to_bytes(4, "big") * 100_000)
        store.replace("last", b"%d" % n, generation=store.get_versioned("last").generation)
        print(n, flush=True)
""")


@pytest.mark.parametrize("place", [".tmp", "k/.tmp"])  # an older version had the one in the root alone
def test_a_killed_writer_leaves_whole_objects_and_its_leftovers_go_soon(
    store: DiskStore, root: Path, place: str
) -> None:
    promised = -1
    for pause in (0.0, 0.003, 0.007):
        shutil.rmtree(root, ignore_errors=True)
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(root)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        for _ in range(5):
            promised = int(writer.stdout.readline())
        time.sleep(pause)
        writer.kill()
        writer.communicate()
        keys = list(store.list("k/"))
        assert len(keys) > promised
        for key in keys:
            assert store.get(key) == int(key[2:]).to_bytes(4, "big") * 100_000
        assert int(store.get("last")) >= promised
    planted = root / place / "0123456789abcdef"
    planted.write_bytes(b"somebody's image")
    for left in leftovers(root):
        os.utime(left, (time.time() - LEFTOVER_AGE_S - 60,) * 2)
    young, slow = root / place / "young", root / place / "slow"
    young.write_bytes(b"not locked yet")
    slow.write_bytes(b"being written")
    os.utime(slow, (time.time() - LEFTOVER_AGE_S - 60,) * 2)
    with slow.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        DiskStore(root).delete("whatever")
    assert sorted(leftovers(root)) == [slow, young]
    DiskStore(root).put_once("after", b"")
    assert leftovers(root) == [young]


def test_a_put_whose_temporary_file_was_taken_away_fails_and_does_not_hang(
    store: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.link
    monkeypatch.setattr(
        os, "link", lambda temporary, path: (Path(temporary).unlink(missing_ok=True), real(temporary, path))
    )
    with pytest.raises(DermisError, match="STORE_BUSY") as fault:
        store.put_once("k", b"")
    assert fault.value.retryable


# --- folders that are mounted alone ---------------------------------------------------------------------------------


def write_all_ways(store: DiskStore) -> None:
    for first in ("models", "runs"):
        assert store.put_once(f"{first}/a/1", b"1") is True
        assert store.put_once(f"{first}/a/1", b"1") is False
        generation = store.replace(f"{first}/current.json", b"1", generation=0)
        store.replace(f"{first}/current.json", b"2", generation=generation)
        store.put_once(f"{first}/b", b"1")
        store.delete(f"{first}/b")
    assert list(store.list("")) == ["models/a/1", "models/current.json", "runs/a/1", "runs/current.json"]
    assert store.get("models/current.json") == b"2"


def test_no_file_is_linked_or_renamed_from_one_first_segment_to_another(
    store: DiskStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def apart(name: str) -> None:
        real = getattr(os, name)

        def call(source: Path, target: Path) -> object:
            if source.relative_to(root).parts[0] != target.relative_to(root).parts[0]:
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
            return real(source, target)

        monkeypatch.setattr(os, name, call)

    for name in ("link", "replace", "rename"):
        apart(name)
    write_all_ways(store)
    assert leftovers(root) == []


def test_made_folders_hold_no_object(store: DiskStore, root: Path) -> None:
    store.make_folders("models", "runs")
    store.make_folders("models")
    assert sorted(path.name for path in root.iterdir()) == ["models", "runs"]
    assert list(store.list("")) == []


MOUNTED = textwrap.dedent("""
    import os, pathlib, sys
    from dermis.shared.errors import DermisError
    from dermis.shared.stores.disk import DiskStore
    from tests.unit.shared.test_disk import write_all_ways
    root = pathlib.Path(sys.argv[1])
    assert len({os.stat(root / name).st_dev for name in (".", "models", "runs")}) == 3
    write_all_ways(DiskStore(root))
    try:
        DiskStore(root).put_once("cases/a", b"1")
    except DermisError as refused:
        assert refused.reason == "STORE_READ_ONLY", refused
    else:
        raise AssertionError("the root is not read-only")
    print("ok")
""")


def test_two_mounts_under_a_root_that_is_read_only_are_written_to(tmp_path: Path) -> None:
    mounted = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]
    mounts = " && ".join(
        ['mount -t tmpfs none "$0"', 'mkdir "$0/models" "$0/runs"']
        + [f'mount -t tmpfs none "$0/{name}"' for name in ("models", "runs")]
        + ['mount -o remount,ro "$0"', 'exec "$@"']
    )
    command = [*mounted, "sh", "-c", mounts, str(tmp_path)]
    if not shutil.which("unshare") or subprocess.run([*command, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no right to mount here")
    result = subprocess.run(
        [*command, sys.executable, "-c", MOUNTED, str(tmp_path)], check=False, capture_output=True, text=True
    )
    assert (result.stdout, result.returncode) == ("ok\n", 0), result.stderr


# --- a disk that refuses --------------------------------------------------------------------------------------------


@contextlib.contextmanager
def at_most_4_kb() -> Iterator[None]:
    """Makes the kernel refuse the rest of any file beyond 4 KB, half-way through a write.

    The run's own log is one too.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_that_fails_half_way_leaves_nothing(store: DiskStore, root: Path) -> None:
    store.replace("old", b"1", generation=0)
    before = store.get_versioned("old")
    calls = (
        lambda: store.put_once("a/b/k", b"x" * 9000),
        lambda: store.replace("old", b"x" * 9000, generation=before.generation),
    )
    for call in calls:
        with pytest.raises(DermisError) as fault, at_most_4_kb():
            call()
        assert (fault.value.kind, fault.value.retryable) == (Kind.UNAVAILABLE, True)
        assert isinstance(fault.value.__cause__, OSError)
        assert fault.value.__cause__.errno == errno.EFBIG
    assert list(store.list("")) == ["old"]
    assert store.get_versioned("old") == before
    assert leftovers(root) == []
    with at_most_4_kb():
        assert store.put_once("a/b/k", b"x" * 4096)


FULL = textwrap.dedent("""
    import itertools, pathlib, sys
    from dermis.shared.errors import DermisError
    from dermis.shared.stores.disk import DiskStore
    root = pathlib.Path(sys.argv[1])
    store = DiskStore(root)
    def fill(size):
        for n in itertools.count():
            try:
                store.put_once(f"k/{size}/{n}", b"x" * size)
            except DermisError as fault:
                assert (fault.reason, fault.retryable) == ("STORE_FULL", True), fault
                return n
    counts = {size: fill(size) for size in (50_000, 4096, 1)}
    assert counts[50_000] > 10, counts
    assert list(root.glob("**/.tmp/*")) == []
    for key in store.list(""):
        assert store.get(key) == b"x" * int(key.split("/")[1])
    assert len(list(store.list(""))) == sum(counts.values())
    for n in range(3):
        store.delete(f"k/50000/{n}")
    assert store.put_once("new", b"x" * 50_000)
    print("ok")
""")


def test_a_full_disk_is_named_keeps_what_it_has_and_lets_delete(tmp_path: Path) -> None:
    mounted = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]
    small_disk = [*mounted, "sh", "-c", 'mount -t tmpfs -o size=1m none "$0" && shift 0 && exec "$@"', str(tmp_path)]
    if (
        not shutil.which("unshare")
        or subprocess.run([*small_disk, "true"], check=False, capture_output=True).returncode
    ):
        pytest.skip("no right to mount a small disk here")
    result = subprocess.run(
        [*small_disk, sys.executable, "-c", FULL, str(tmp_path)], check=False, capture_output=True, text=True
    )
    assert (result.stdout, result.returncode) == ("ok\n", 0), result.stderr


@pytest.fixture
def nobody() -> Iterator[Path]:
    """A folder that this process may read and not write, be it root or not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    DiskStore(folder / "store").put_once("cases/a/received.json", b"1")
    for path in folder.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    if os.geteuid() == 0:
        os.seteuid(65534)
    yield folder / "store"
    if os.getuid() == 0:
        os.seteuid(0)
    for path in folder.rglob("*"):
        path.chmod(0o755)
    shutil.rmtree(folder)


def test_a_read_only_folder_still_reads_and_refuses_writes_as_passing(nobody: Path) -> None:
    store = DiskStore(nobody)
    assert store.get("cases/a/received.json") == b"1"
    assert list(store.list("")) == ["cases/a/received.json"]
    seen = store.get_versioned("cases/a/received.json")
    calls = (
        lambda: store.put_once("new", b""),
        lambda: store.replace("cases/a/received.json", b"2", generation=seen.generation),
        lambda: store.delete("cases/a/received.json"),
    )
    for call in calls:
        with pytest.raises(DermisError) as fault:
            call()
        assert (fault.value.reason, fault.value.retryable) == ("STORE_READ_ONLY", True)
        assert str(nobody) not in fault.value.detail
    assert store.get("cases/a/received.json") == b"1"


# --- the folder and what else is in it ------------------------------------------------------------------------------


def test_reading_makes_no_folder(store: DiskStore, root: Path) -> None:
    assert list(store.list("")) == []
    assert store.get_versioned("k").generation == 0
    store.delete("a/k")
    with pytest.raises(BlobNotFound):
        store.get("k")
    assert not root.exists()


def test_an_emptied_store_has_no_folders_but_those_of_first_segments(store: DiskStore, root: Path) -> None:
    keys = [f"cases/{owner}/{n}/images/{n}/original" for owner in "ab" for n in range(3)]
    for key in keys:
        store.put_once(key, b"1")
    for key in keys:
        store.delete(key)
    assert sorted(path.relative_to(root).as_posix() for path in root.rglob("*")) == [
        "cases",
        "cases/.lock",
        "cases/.tmp",
    ]


@pytest.mark.parametrize(("first", "second"), [("a", "a/b"), ("a/b", "a"), ("a/b", "a/b/c/d")])
def test_no_key_is_the_beginning_of_another_and_a_slash(store: DiskStore, first: str, second: str) -> None:
    store.put_once(first, b"1")
    for call in (lambda: store.put_once(second, b"2"), lambda: store.replace(second, b"2", generation=0)):
        with pytest.raises(DermisError) as fault:
            call()
        assert fault.value.kind in (Kind.INVALID, Kind.CONFLICT)
    assert list(store.list("")) == [first]
    assert store.get(first) == b"1"


def test_strangers_files_are_no_objects(store: DiskStore, root: Path) -> None:
    store.put_once("a/k", b"1")
    for name in (b".DS_Store", b"a/.nfs0001", b"bad\xff\xfename", b"new\nline", b"back\\slash"):
        (root / os.fsdecode(name)).write_bytes(b"")
    assert list(store.list("")) == ["a/k"]


def test_two_stores_on_one_folder_are_one(store: DiskStore, root: Path) -> None:
    other = DiskStore(root)
    assert store.put_once("k", b"1") is True
    assert other.put_once("k", b"1") is False
    generation = other.replace("k", b"2", generation=store.get_versioned("k").generation)
    with pytest.raises(BlobConflict):
        store.replace("k", b"3", generation=generation + 1)
    assert store.replace("k", b"3", generation=generation)


def test_generations_tell_quick_equal_replacements_apart(tmp_path: Path) -> None:
    memory = Path("/dev/shm")  # noqa: S108  where a put is quicker than the clock of the file system
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as folder:
        store = DiskStore(Path(folder))
        generations = [store.replace("k", b"same", generation=0)]
        for _ in range(50):
            generations.append(store.replace("k", b"same", generation=generations[-1]))
    assert all(first != second for first, second in itertools.combinations(generations, 2))


# --- who may read it ------------------------------------------------------------------------------------------------


def test_folders_and_objects_are_their_owners_alone_whatever_the_mask(store: DiskStore, root: Path) -> None:
    before = os.umask(0)
    try:
        store.put_once("cases/a/received.json", b"1")
        store.replace("models/current.json", b"1", generation=0)
        store.tend(reserve_bytes=1 << 17, busy=())
    finally:
        os.umask(before)
    modes = {path: path.stat().st_mode & 0o777 for path in [root, *root.rglob("*")]}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}


def test_a_store_that_all_could_read_is_closed_to_others_and_not_to_its_group(store: DiskStore, root: Path) -> None:
    store.put_once("k", b"1")
    root.chmod(0o2775)
    store.tend(reserve_bytes=0, busy=())
    assert root.stat().st_mode & 0o7777 == 0o2770


def test_what_a_link_stands_for_is_no_object_where_links_are_not_followed(root: Path, tmp_path: Path) -> None:
    DiskStore(root).put_once("photos/own.jpg", b"1")
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_bytes(b"secret")
    (root / "photos/stolen.jpg").symlink_to(secret / "key")
    (root / "linked").symlink_to(secret)
    strict = DiskStore(root, links=False)
    assert list(strict.list("")) == ["photos/own.jpg"]
    for key in ("photos/stolen.jpg", "linked/key"):
        with pytest.raises(BlobNotFound):
            strict.get(key)
    assert strict.get("photos/own.jpg") == b"1"


def test_what_is_no_file_is_no_object_and_nobody_waits_for_it(store: DiskStore, root: Path) -> None:
    store.put_once("open/a", b"1")
    os.mkfifo(root / "open/pipe")
    with pytest.raises(BlobNotFound):
        store.get("open/pipe")
    (root / "open/loop").symlink_to("loop")
    with pytest.raises(DermisError) as fault:
        store.get("open/loop")
    assert (fault.value.reason, fault.value.retryable) == ("BLOB_UNREADABLE", True)


# --- time and room --------------------------------------------------------------------------------------------------


def test_the_stores_time_is_the_file_systems_and_not_the_processs(
    store: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time()
    monkeypatch.setattr(time, "time", lambda: real + 31 * 86_400)
    monkeypatch.setattr(time, "time_ns", lambda: int((real + 31 * 86_400) * 1e9))
    store.put_once("k", b"1")
    assert abs(store.written_at("k").timestamp() - real) < 5
    assert abs(store.clock().timestamp() - real) < 5


RESERVED = textwrap.dedent("""
    import os, pathlib, sys
    from datetime import UTC, datetime
    from dermis.shared.case import OpenCase, Received, ReceivedImage, fact_key, image_key, open_key
    from dermis.shared.erasing import erase
    from dermis.shared.errors import DermisError, Kind
    from dermis.shared.ids import new_id
    from dermis.shared.stores.disk import DiskStore
    root, what, reserve = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    store = DiskStore(root / "store")
    cases = [new_id("case") for _ in range(8)]
    for case in cases:
        for name in ("received.json", "assessed.json", "idempotency.json", "images/1/original", "images/1/prepared"):
            store.put_once(f"cases/public/{case}/{name}", b"x" * 3000)
    store.tend(reserve_bytes=reserve, busy=())
    assert store.room().bytes > 0 and store.room().inodes > 0
    try:
        for n in range(100_000):
            path = root / f"ballast-{n}"
            path.write_bytes(b"x" * (1 << 16) if what == "bytes" else b"")
    except OSError:
        pass
    try:
        while what == "bytes":
            (root / "small").open("ab", buffering=0).write(b"x" * 512)
    except OSError:
        pass
    try:
        store.put_once("cases/public/new/received.json", b"x")
    except DermisError as full:
        assert (full.kind, full.reason) == (Kind.FULL, "STORE_FULL")
    else:
        raise AssertionError("the disk is not full")
    if reserve:
        for case in cases:  # what ends accepted work
            store.put_once(f"cases/public/{case}/outcome.json", b"x" * 2000, reserved=True)
    for case in cases:
        erase(store, owner="public", case_id=case, at=datetime.now(UTC))
        assert list(store.list(f"cases/public/{case}/")) == [fact_key("public", case, "erased")]
    print("ok")
""")


@pytest.mark.parametrize("reserve", [0, 1 << 20])
@pytest.mark.parametrize("what", ["bytes", "inodes"])
def test_a_case_is_erased_and_accepted_work_ended_on_a_disk_without_anything_free(
    tmp_path: Path, what: str, reserve: int
) -> None:
    mounted = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]
    options = "size=3m,nr_inodes=100000" if what == "bytes" else "size=64m,nr_inodes=600"
    small_disk = [*mounted, "sh", "-c", f'mount -t tmpfs -o {options} none "$0" && shift 0 && exec "$@"', str(tmp_path)]
    if (
        not shutil.which("unshare")
        or subprocess.run([*small_disk, "true"], check=False, capture_output=True).returncode
    ):
        pytest.skip("no right to mount a small disk here")
    command = [*small_disk, sys.executable, "-c", RESERVED, str(tmp_path), what, str(reserve)]
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (result.stdout, result.returncode) == ("ok\n", 0), result.stderr
