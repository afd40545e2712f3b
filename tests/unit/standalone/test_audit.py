"""`dermis audit verify`"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dermis.shared.audit import CHECKPOINTS, Act, Audit, AuditCheckpoint, checkpoint_key, digest_of, last_checkpoint
from dermis.shared.ids import first_id
from dermis.shared.ports import BlobStore
from dermis.shared.stores.disk import DiskStore
from dermis.standalone import cli

START = datetime.now(UTC)


@pytest.fixture
def store(tmp_path: Path) -> DiskStore:
    """Two processes with six objects each; checkpoints of the first two, the next two, and two that none names."""
    store = DiskStore(tmp_path / "store")
    processes = [Audit(store, "gateway"), Audit(store, "sweep")]
    store.put_once("audit/2026-01-01/gateway-old.ndjson", b'{"act": "READ", "case_id": "case_1"}\n')
    for number in (1, 2, 3):
        for n in range(2):
            for audit in processes:
                audit.note(Act.READ, by="key_1", case_id=f"case_{number}{n}")
                audit.flush()
        if number < 3:
            put_checkpoint(store, number)
    return store


def put_checkpoint(store: BlobStore, number: int, **changes: object) -> None:
    named = set(store.list("audit/2"))
    previous = ""
    for key in store.list(CHECKPOINTS):
        data = store.get(key)
        named -= AuditCheckpoint.model_validate_json(data).objects.keys()
        previous = digest_of(data)
    checkpoint = AuditCheckpoint(
        number=number,
        made_at=datetime.now(UTC),
        previous=previous,
        objects={key: digest_of(store.get(key)) for key in sorted(named)},
    )
    store.put_once(checkpoint_key(number), checkpoint.model_copy(update=changes).model_dump_json().encode())


def verify(store_folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli.main, ["audit", "verify", *arguments, "--store", store_folder.as_uri()])


def change(store: BlobStore, key: str, data: bytes) -> None:
    store.replace(key, data, generation=store.get_versioned(key).generation)


def first_line(result: Result) -> str:
    return result.stdout.splitlines()[0]


def test_a_whole_audit_is_intact_and_its_head_printed(tmp_path: Path, store: DiskStore) -> None:
    result = verify(tmp_path / "store")
    assert result.exit_code == 0, result.output
    last = last_checkpoint(store)
    assert last
    assert result.stdout.startswith("intact: 13 objects, 4 since checkpoint 2 of ")
    assert result.stdout.endswith(f"head {last[1]}\n")
    for number in (1, 2):
        head = digest_of(store.get(checkpoint_key(number)))
        assert verify(tmp_path / "store", "--head", head).exit_code == 0


def test_without_a_checkpoint_the_chains_alone_are_followed(tmp_path: Path) -> None:
    store = DiskStore(tmp_path / "store")
    store.put_once("models/x", b"{}")
    assert verify(tmp_path / "store").stdout == "intact: 0 objects, no checkpoint yet\n"
    audit = Audit(store, "gateway")
    for n in range(3):
        audit.note(Act.READ, by="key_1", case_id=f"case_{n}")
        audit.flush()
    assert verify(tmp_path / "store").exit_code == 0
    keys = list(store.list("audit/"))
    store.delete(keys[1])
    assert first_line(verify(tmp_path / "store")).startswith(f"missing: {keys[2]}: before it, object 2 of process_")
    store.delete(keys[0])
    assert first_line(verify(tmp_path / "store")).startswith(f"missing: {keys[2]}: before it, object 2 of process_")


@pytest.mark.parametrize(("n", "number"), [(0, 1), (1, 1), (3, 2), (8, 1)])
def test_a_byte_changed_is_named(tmp_path: Path, store: DiskStore, n: int, number: int) -> None:
    key = list(store.list("audit/2"))[n]
    data = store.get(key)
    change(store, key, data.replace(b"case_", b"cose_"))
    result = verify(tmp_path / "store")
    assert result.exit_code == 1
    assert first_line(result) == f"changed: {key}: checkpoint {number} names another digest of it"
    assert "BROKEN: 13 objects" in result.stdout


def since(store: DiskStore) -> list[str]:
    """Return the objects of the gateway that no checkpoint names."""
    named = {k for n in (1, 2) for k in AuditCheckpoint.model_validate_json(store.get(checkpoint_key(n))).objects}
    return [key for key in store.list("audit/2") if key not in named and "gateway" in key]


def test_a_byte_changed_since_the_last_checkpoint_is_named_by_the_next_object(tmp_path: Path, store: DiskStore) -> None:
    first, second = since(store)
    change(store, first, store.get(first).replace(b"case_", b"cose_"))
    assert first_line(verify(tmp_path / "store")) == f"changed: {first}: {second} names another digest of it"


def test_an_object_taken_out_is_named(tmp_path: Path, store: DiskStore) -> None:
    key = list(store.list("audit/2"))[3]
    store.delete(key)
    assert first_line(verify(tmp_path / "store")).startswith(f"missing: {key}: checkpoint ")


def test_an_object_put_in_is_named(tmp_path: Path, store: DiskStore) -> None:
    past = Audit(store, "gateway", clock=lambda: START - timedelta(days=9))
    past.note(Act.READ, by="key_2", case_id="case_9")
    past.flush()
    (key,) = (key for key in store.list("audit/2") if f"{(START - timedelta(days=9)).date()}" in key)
    early = key.partition("gateway-")[0] + "gateway-audit_01k9anw0rye7gvfhd5wbzcpzph.ndjson"
    data = store.get(key).replace(key.removeprefix("audit/").encode(), early.removeprefix("audit/").encode())
    store.delete(key)
    store.put_once(early, data)
    assert first_line(verify(tmp_path / "store")).startswith(f"added: {early}: ")
    put_checkpoint(store, 3)  # as the sweep does, which takes it for late
    assert first_line(verify(tmp_path / "store")).startswith(f"added: {early}: ")


def test_a_second_object_in_one_place_of_a_chain_is_named(tmp_path: Path, store: DiskStore) -> None:
    first, _ = since(store)
    copy = f"{first.removesuffix('.ndjson')[:-1]}0.ndjson"
    store.put_once(copy, store.get(first).replace(first[6:].encode(), copy[6:].encode()))
    assert "added: " in verify(tmp_path / "store").stdout


@pytest.mark.parametrize("pick", [since, lambda store: [k for k in store.list("audit/2") if "sweep" in k][:2]])
def test_two_objects_that_changed_places_are_named(
    tmp_path: Path, store: DiskStore, pick: Callable[[DiskStore], list[str]]
) -> None:
    first, second = pick(store)
    one, other = store.get(first), store.get(second)
    change(store, first, other)
    change(store, second, one)
    assert first_line(verify(tmp_path / "store")).startswith(f"changed: {first}: ")


class TestCutOff:
    def test_the_end_is_told_by_a_published_head_alone(self, tmp_path: Path, store: DiskStore) -> None:
        last = last_checkpoint(store)
        assert last
        gone = {*last[0].objects, *since(store), *(key for key in store.list("audit/2") if "sweep" in key)}
        for key in gone - AuditCheckpoint.model_validate_json(store.get(checkpoint_key(1))).objects.keys():
            store.delete(key)
        store.delete(checkpoint_key(2))
        assert verify(tmp_path / "store").exit_code == 0  # nothing in the store can tell
        result = verify(tmp_path / "store", "--head", last[1])
        assert result.exit_code == 1
        assert first_line(result).startswith(f"missing: {checkpoint_key(2)}: no checkpoint has the digest {last[1]}: ")

    def test_a_checkpoint_taken_out_or_changed_is_named(self, tmp_path: Path, store: DiskStore) -> None:
        put_checkpoint(store, 3)
        data = store.get(checkpoint_key(2))
        change(store, checkpoint_key(2), data.replace(b'"complete":true', b'"complete":false'))
        assert first_line(verify(tmp_path / "store")).startswith(f"changed: {checkpoint_key(2)}: checkpoint 3 names")
        change(store, checkpoint_key(2), b"{")
        assert first_line(verify(tmp_path / "store")) == f"changed: {checkpoint_key(2)}: it can't be read"
        store.delete(checkpoint_key(2))
        assert first_line(verify(tmp_path / "store")).startswith(f"missing: {checkpoint_key(2)}: ")


def test_what_was_ended_by_its_time_is_not_missing(tmp_path: Path, store: DiskStore) -> None:
    put_checkpoint(store, 3, kept_from="2026-02-01")
    store.delete("audit/2026-01-01/gateway-old.ndjson")
    assert verify(tmp_path / "store").exit_code == 0


def test_a_chain_goes_on_from_what_is_kept(tmp_path: Path) -> None:
    store, clock = DiskStore(tmp_path / "store"), START - timedelta(days=9)
    audit = Audit(store, "gateway", clock=lambda: clock)
    old = f"process_{first_id('process', clock).partition('_')[2]}"
    audit._process = old
    for days in (9, 8, 0):
        clock = START - timedelta(days=days)
        audit.note(Act.READ, by="key_1", case_id=f"case_{days}")
        audit.flush()
    first, second, _ = store.list("audit/")
    put_checkpoint(store, 1)
    put_checkpoint(store, 2, kept_from=f"{START.date()}", first=1)
    for key in (first, second):
        store.delete(key)
    result = verify(tmp_path / "store")
    assert result.exit_code == 0, result.output


def test_a_head_that_is_none_and_a_store_that_is_empty_are_told_of(tmp_path: Path, store: DiskStore) -> None:
    store.put_once("models/x", b"{}")
    result = verify(tmp_path, "--head", "7d1a")
    assert (result.exit_code, "is no head" in result.stderr) == (2, True)
    result = verify(tmp_path / "nowhere")
    assert (result.exit_code, "the store is empty" in result.stderr) == (2, True)
