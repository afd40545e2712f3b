"""`dermis backup` and `dermis restore`"""

import hashlib
import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dermis.shared.audit import Act, Audit, records_of
from dermis.shared.batches import OPEN_BATCHES
from dermis.shared.case import Consent, OpenCase, case_key, fact_key, open_key
from dermis.shared.erasing import (
    IdempotencyLink,
    IdempotencyRecord,
    RetentionMark,
    erase,
    erase_batch,
    first_put,
    link_key,
    retention_key,
)
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ids import first_id, new_id
from dermis.shared.manifest import CURRENT_KEY
from dermis.shared.ports import BlobStore, has
from dermis.shared.stores import open_store
from dermis.shared.stores.disk import DiskStore
from dermis.shared.stores.memory import MemoryStore
from dermis.standalone import cli
from dermis.standalone.backup.erasures import forget
from dermis.standalone.backup.index import last_backup
from dermis.standalone.backup.restore import Restored, restore
from dermis.standalone.backup.save import Saver, save

NOW = datetime(2026, 11, 1, tzinfo=UTC)
OWNER = "key_a"


def put_case(store: BlobStore, *, facts: tuple[str, ...] = ("outcome.json",), is_open: bool = False) -> str:
    """Put a case as gateway and worker do, with a client's record."""
    case_id = new_id("case")
    folder, record = case_key(OWNER, case_id), f"idempotency/{OWNER}/{hashlib.sha256(case_id.encode()).hexdigest()}"
    if is_open:
        store.put_once(open_key(case_id), marker_of(case_id))
    store.put_once(record, IdempotencyRecord(case_id=case_id, digest="d").model_dump_json().encode())
    store.put_once(f"{folder}/images/1/original", case_id.encode() * 9)
    store.put_once(retention_key(Consent.ASSESS_ONLY, case_id), RetentionMark(owner=OWNER).model_dump_json().encode())
    store.put_once(link_key(OWNER, case_id), IdempotencyLink(key=record).model_dump_json().encode())
    for name in ("received.json", *facts):
        store.put_once(f"{folder}/{name}", f'{{"case_id": "{case_id}"}}'.encode())
    return case_id


def marker_of(case_id: str, attempt: int = 1) -> bytes:
    return OpenCase(case_id=case_id, owner=OWNER, opened_at=NOW, attempt=attempt).model_dump_json().encode()


def back_up(source: BlobStore, target: BlobStore) -> Saver:
    return save(source, target, dermis="0", say=lambda _objects, _bytes: None)[1]


def bring_back(source: BlobStore, target: BlobStore, **more: object) -> Restored:
    return restore(source, target, say=lambda _objects, _bytes: None, **more)  # type: ignore[arg-type]


def contents(store: BlobStore, *, but: tuple[str, ...] = ("backups/", "retention/")) -> dict[str, bytes]:
    return {key: store.get(key) for key in store.list("") if not key.startswith(but)}


@pytest.fixture
def source() -> MemoryStore:
    store = MemoryStore()
    for _ in range(3):
        put_case(store)
    store.put_once("models/dermis/1/manifest.json", b"{}")
    store.replace(CURRENT_KEY, b'{"current": 1}', generation=0)
    store.put_once("keys/key_a", b"{}")
    store.put_once("scratch/image", b"for an hour")
    store.put_once("sweep/doubt.json", b"{}")
    return store


def test_all_but_what_ends_within_the_hour_comes_back(source: MemoryStore) -> None:
    backup, target = MemoryStore(), MemoryStore()
    back_up(source, backup)
    done = bring_back(backup, target)
    assert (done.damaged, done.kept, done.cases) == ([], [], 3)
    left = ("backups/", "retention/", "scratch/", "sweep/")
    assert contents(target, but=left) == contents(source, but=left)
    assert set(target.list("retention/")) == set(source.list("retention/"))


@pytest.mark.parametrize(
    ("facts", "attempt", "goes_on"),
    [((), 1, 1), (("assessed.json",), 1, 1), (("failed/1.json",), 2, 2), (("failed/1.json",), 1, 0)],
)
def test_a_case_in_work_goes_on_in_its_attempt(facts: tuple[str, ...], attempt: int, goes_on: int) -> None:
    source, backup, target = MemoryStore(), MemoryStore(), MemoryStore()
    case_id = put_case(source, facts=facts)
    source.put_once(open_key(case_id), marker_of(case_id, attempt))
    back_up(source, backup)
    bring_back(backup, target)
    attempts = [OpenCase.model_validate_json(target.get(key)).attempt for key in target.list("open/")]
    assert attempts == [goes_on] * bool(goes_on)


def test_a_case_that_is_accepted_and_closed_while_it_is_copied_is_open_in_the_backup() -> None:
    """Neither its marker was there when markers were read, nor its outcome when it was listed."""

    class Meanwhile(MemoryStore):
        late = ""

        def get(self, key: str, *, most: int | None = None) -> bytes:
            if self.late and key == fact_key(OWNER, self.late, "received"):
                late, self.late = self.late, ""
                self.put_once(fact_key(OWNER, late, "outcome"), b"{}")
                self.delete(open_key(late))
            return super().get(key, most=most)

        def list(self, prefix: str, *, after: str = "") -> Iterator[str]:
            listed = super().list(prefix, after=after)
            if prefix == "open/":
                self.late = put_case(self, facts=(), is_open=True)
            return listed

    source, backup = Meanwhile(), MemoryStore()
    put_case(source)
    back_up(source, backup)
    (late,) = (key.removeprefix("open/") for key in backup.list("open/"))
    assert has(source, fact_key(OWNER, late, "outcome"))
    assert not has(backup, fact_key(OWNER, late, "outcome"))


def test_a_pointer_never_names_a_version_that_was_published_after_the_models_were_listed(source: MemoryStore) -> None:
    listed = source.list

    def promoted_meanwhile(prefix: str, *, after: str = "") -> Iterator[str]:
        keys = list(listed(prefix, after=after))
        if prefix == "" and not has(source, "models/dermis/2/manifest.json") and has(backup, "deployment.json"):
            source.put_once("models/dermis/2/manifest.json", b"{}")
            source.replace(CURRENT_KEY, b'{"current": 2}', generation=source.get_versioned(CURRENT_KEY).generation)
        return iter(keys)

    backup = MemoryStore()
    source.list = promoted_meanwhile  # type: ignore[method-assign]
    back_up(source, backup)
    assert backup.get(CURRENT_KEY) == b'{"current": 1}'
    back_up(source, backup)
    assert backup.get(CURRENT_KEY) == b'{"current": 2}'


def test_what_was_not_wholly_submitted_is_left_out(source: MemoryStore) -> None:
    case_id, backup = new_id("case"), MemoryStore()
    source.put_once(f"cases/{OWNER}/{case_id}/images/1/original", b"image")
    back_up(source, backup)
    assert not [key for key in backup.list("") if case_id in key]


class TestErased:
    def test_it_goes_from_the_backup_at_the_next_one(self, source: MemoryStore) -> None:
        backup, case_id = MemoryStore(), put_case(source)
        back_up(source, backup)
        erase(source, owner=OWNER, case_id=case_id, at=NOW)
        back_up(source, backup)
        holding = {key for key, data in contents(backup, but=("backups/",)).items() if case_id in key + data.decode()}
        assert holding == {fact_key(OWNER, case_id, "erased")}

    def test_it_goes_by_the_audit_alone(self, source: MemoryStore) -> None:
        backup, case_id, kept, batch_id = MemoryStore(), put_case(source), put_case(source), new_id("batch")
        source.put_once(f"batches/{batch_id}/manifest.json", b"{}")
        back_up(source, backup)
        audit = Audit(source, "gateway")
        erase(source, owner=OWNER, case_id=case_id, at=NOW)
        erase_batch(source, batch_id, at=NOW)
        audit.note(Act.ERASE, by=OWNER, route="/v1/cases/{case_id}", case_id=case_id)
        audit.note(Act.ERASE, by=OWNER, route="/v1/cases/{case_id}/shares/{share_id}", case_id=kept, share_id="share_1")
        audit.note(Act.EXPIRE, by="sweep", batch_id=batch_id)
        audit.flush()
        assert forget(source, backup) == [case_id, batch_id]
        assert forget(source, backup) == []
        holding = {key for key in backup.list("") if case_id in key or batch_id in key}
        assert holding == {fact_key(OWNER, case_id, "erased"), f"batches/{batch_id}/erased.json"}
        target = MemoryStore()
        done = bring_back(backup, target)
        assert (done.erased, done.damaged) == ({case_id, batch_id}, [])
        assert has(target, fact_key(OWNER, kept, "received"))

    def test_another_store_can_have_nothing_forgotten(self, source: MemoryStore) -> None:
        with pytest.raises(DermisError, match="make one first"):
            forget(source, MemoryStore())

    def test_it_does_not_come_back_from_a_backup_of_an_earlier_day(self, source: MemoryStore) -> None:
        backup, case_id = MemoryStore(), put_case(source, facts=(), is_open=True)
        back_up(source, backup)
        erase(source, owner=OWNER, case_id=case_id, at=NOW)
        source.delete(open_key(case_id))
        assert bring_back(backup, source).erased == {case_id}
        assert {key for key in source.list("") if case_id in key} == {fact_key(OWNER, case_id, "erased")}

    def test_it_does_not_come_back_if_a_file_names_it(self, tmp_path: Path) -> None:
        store = DiskStore(tmp_path / "store")
        case_id = put_case(store)
        dermis("backup", (tmp_path / "backup").as_uri(), store=tmp_path / "store")
        names = tmp_path / "erased.txt"
        names.write_text(f"{case_id}\n\n")
        arguments = ("restore", (tmp_path / "backup").as_uri(), "--erased", str(names))
        result = dermis(*arguments, store=tmp_path / "other")
        assert (result.exit_code, "1 erased cases" in result.stdout) == (0, True), result.output
        left = {key for key in DiskStore(tmp_path / "other").list("") if case_id in key}
        assert left == {fact_key(OWNER, case_id, "erased")}
        names.write_text("case_1\n")
        assert "line 1" in dermis(*arguments, store=tmp_path / "other").stderr

    def test_what_the_store_lost_without_a_tombstone_stays_in_the_backup(self, source: MemoryStore) -> None:
        backup, case_id = MemoryStore(), put_case(source)
        back_up(source, backup)
        for key in list(source.list(case_key(OWNER, case_id))):
            source.delete(key)
        back_up(source, backup)
        assert has(backup, fact_key(OWNER, case_id, "outcome"))


def test_an_original_that_may_not_stay_goes_from_the_backup(source: MemoryStore) -> None:
    backup, case_id = MemoryStore(), put_case(source)
    original = f"{case_key(OWNER, case_id)}/images/1/original"
    back_up(source, backup)
    source.delete(original)
    back_up(source, backup)
    assert not has(backup, original)


def test_a_restored_case_is_kept_no_longer_than_it_was_to_be() -> None:
    old = NOW - timedelta(days=29)
    source, backup, target = MemoryStore(lambda: old), MemoryStore(lambda: NOW), MemoryStore(lambda: NOW)
    mark = retention_key(Consent.ASSESS_ONLY, put_case(source))
    source.put_once(f"retention/batches/{first_id('batch', old)}", b"{}")
    back_up(source, backup)
    bring_back(backup, target)
    assert {first_put(target, key) for key in target.list("retention/")} == {old}
    assert RetentionMark.model_validate_json(target.get(mark)).owner == OWNER


def test_what_is_there_is_not_read_again(source: MemoryStore) -> None:
    backup = MemoryStore()
    assert back_up(source, backup).new > 20
    reads: list[str] = []
    get = source.get

    def noted(key: str, *, most: int | None = None) -> bytes:
        reads.append(key)
        return get(key, most=most)

    source.get = noted  # type: ignore[method-assign]
    assert back_up(source, backup).new == 0
    assert not [key for key in reads if key.startswith("cases/")]


def test_what_may_change_is_read_again(source: MemoryStore) -> None:
    backup = MemoryStore()
    for data in (b"attempt 1", b"attempt 2"):
        source.replace("deliveries/x", data, generation=source.get_versioned("deliveries/x").generation)
        back_up(source, backup)
        assert backup.get("deliveries/x") == data
    source.delete("deliveries/x")
    back_up(source, backup)
    assert not has(backup, "deliveries/x")


def test_of_two_backups_at_once_the_later_one_counts(source: MemoryStore) -> None:
    backup = MemoryStore()
    again: list[str] = []
    get = source.get

    def meanwhile(key: str, *, most: int | None = None) -> bytes:
        if key.startswith("cases/") and not again:
            again.append(key)
            back_up(source, backup)
        return get(key, most=most)

    source.get = meanwhile  # type: ignore[method-assign]
    with pytest.raises(DermisError, match="began meanwhile"):
        back_up(source, backup)
    back_up(source, backup)
    assert bring_back(backup, MemoryStore()).damaged == []


class TestRefused:
    def test_a_backup_without_its_index_is_unfinished(self, source: MemoryStore) -> None:
        backup = MemoryStore()
        back_up(source, backup)
        for key in list(backup.list("backups/")):
            backup.delete(key)
        with pytest.raises(DermisError, match="no finished backup"):
            bring_back(backup, MemoryStore())
        case_id, target = put_case(backup, facts=()), MemoryStore()
        assert bring_back(backup, target, partial=True).cases == 4
        assert list(target.list("open/")) == [open_key(case_id)]

    @pytest.mark.parametrize("key", ["cases/public/x", "keys/key_b", "notes.txt", "photos/1.jpg"])
    def test_a_store_in_use(self, source: MemoryStore, key: str) -> None:
        backup, target = MemoryStore(), MemoryStore()
        back_up(source, backup)
        target.put_once(key, b"{}")
        with pytest.raises(DermisError, match="restore into an empty store"):
            bring_back(backup, target)

    def test_another_deployments_store_and_backup(self, source: MemoryStore) -> None:
        backup, other, of_other = MemoryStore(), MemoryStore(), MemoryStore()
        put_case(other)
        back_up(source, backup)
        back_up(other, of_other)
        with pytest.raises(DermisError, match="restore into an empty store"):
            bring_back(backup, other)
        with pytest.raises(DermisError, match="name another target"):
            back_up(source, of_other)

    def test_a_folder_of_other_things_and_an_empty_store(self, source: MemoryStore) -> None:
        target = MemoryStore()
        target.put_once("notes.txt", b"mine")
        with pytest.raises(DermisError, match="name an empty folder"):
            back_up(source, target)
        with pytest.raises(DermisError, match="the store is empty"):
            back_up(MemoryStore(), MemoryStore())

    def test_a_target_in_the_store(self, tmp_path: Path) -> None:
        put_case(DiskStore(tmp_path / "store"))
        for command in ("backup", "restore"):
            result = dermis(command, (tmp_path / "store" / "inside").as_uri(), store=tmp_path / "store")
            assert (result.exit_code, "lies in the store" in result.stderr) == (2, True)


def test_a_fresh_store_with_a_shipped_model_takes_the_backups_pointer(source: MemoryStore) -> None:
    backup, target = MemoryStore(), MemoryStore()
    back_up(source, backup)
    target.put_once(CURRENT_KEY, b"of dermis init")
    bring_back(backup, target)
    assert target.get(CURRENT_KEY) == source.get(CURRENT_KEY)
    target.replace(CURRENT_KEY, b"promoted since", generation=target.get_versioned(CURRENT_KEY).generation)
    assert bring_back(backup, target).kept == [CURRENT_KEY]
    assert target.get(CURRENT_KEY) == b"promoted since"


def test_a_damaged_backup_is_told_and_the_damage_is_not_restored(tmp_path: Path) -> None:
    store, backup = DiskStore(tmp_path / "store"), DiskStore(tmp_path / "backup")
    first, second = put_case(store), put_case(store)
    assert dermis("backup", (tmp_path / "backup").as_uri(), store=tmp_path / "store").exit_code == 0
    changed, lost = (f"{case_key(OWNER, case_id)}/images/1/original" for case_id in (first, second))
    backup.replace(changed, b"other", generation=backup.get_versioned(changed).generation)
    backup.delete(lost)
    result = dermis("restore", (tmp_path / "backup").as_uri(), store=tmp_path / "other")
    assert result.exit_code == 1
    assert all(f"damaged or missing in the backup: {key}" in result.stderr for key in (changed, lost))
    assert not has(DiskStore(tmp_path / "other"), changed)


def test_an_index_that_was_changed_is_refused(source: MemoryStore) -> None:
    backup = MemoryStore()
    back_up(source, backup)
    (part,) = (key for key in backup.list("backups/") if key.endswith(".ndjson"))
    backup.replace(part, backup.get(part)[1:], generation=backup.get_versioned(part).generation)
    with pytest.raises(DermisError, match="was changed since the backup"):
        bring_back(backup, MemoryStore())


def _back_up(source: str, target: str) -> None:
    back_up(open_store(source), open_store(target))


def _restore(source: str, target: str) -> None:
    bring_back(open_store(source), open_store(target))


def kill_often(work: Callable[[str, str], None], source: Path, target: Path) -> int:
    """Run it in a process that is killed after ever more milliseconds, until it ends; return how often it was."""
    context = multiprocessing.get_context("fork")
    for kills in range(200):
        process = context.Process(target=work, args=(source.as_uri(), target.as_uri()))
        process.start()
        process.join(0.02 + 0.02 * kills)
        if process.exitcode is None:
            assert process.pid
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        process.join()
        if process.exitcode == 0:
            return kills
        assert process.exitcode == -signal.SIGKILL
    raise AssertionError("it never came to its end")


def test_what_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    store = DiskStore(tmp_path / "store")
    for n in range(120):
        put_case(store, facts=("outcome.json",) if n % 4 else (), is_open=not n % 4)
    store.put_once(f"{OPEN_BATCHES}{new_id('batch')}", b"{}")
    assert kill_often(_back_up, tmp_path / "store", tmp_path / "backup") > 1
    assert last_backup(DiskStore(tmp_path / "backup")) is not None
    assert kill_often(_restore, tmp_path / "backup", tmp_path / "other") > 1
    assert contents(DiskStore(tmp_path / "other")) == contents(store)


def test_the_command_says_what_it_did_and_up_to_when(tmp_path: Path) -> None:
    put_case(DiskStore(tmp_path / "store"))
    result = dermis("backup", (tmp_path / "backup").as_uri(), store=tmp_path / "store")
    assert result.exit_code == 0, result.output
    assert "7 objects" in result.stdout
    assert "every case that was accepted before 20" in result.stdout
    store = DiskStore(tmp_path / "store")
    (record,) = (record for key in store.list("audit/") for record in records_of(store.get(key)))
    assert (record["act"], record["by"]) == ("BACKUP", "operator")
    result = dermis("backup", (tmp_path / "backup").as_uri(), "--erasures", store=tmp_path / "store")
    assert result.stdout == "0 cases and batches erased in the backup\n"
    receipt = last_backup(DiskStore(tmp_path / "store"))
    assert receipt == last_backup(DiskStore(tmp_path / "backup"))
    assert receipt is not None
    assert json.loads(DiskStore(tmp_path / "store").get("deployment.json"))["id"] == receipt.deployment


def test_a_store_in_which_parts_looked_before_it_had_a_model_is_fresh(source: MemoryStore) -> None:
    backup, target = MemoryStore(), MemoryStore()
    back_up(source, backup)
    for key in ("clock/x", "sweep/x", "audit/2026-11-01/sweep-x.ndjson"):
        target.put_once(key, b"{}")
    assert bring_back(backup, target).damaged == []


def test_states_of_several_days_stand_side_by_side_and_none_keeps_what_was_erased(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, target, day = DiskStore(tmp_path / "store"), tmp_path / "backup", datetime.now(UTC)
    monkeypatch.setattr(DiskStore, "clock", lambda _: day)
    cases = []

    def back_up_today(*more: str) -> Result:
        result = dermis("backup", target.as_uri(), "--states", "3", *more, store=tmp_path / "store")
        assert result.exit_code == 0, result.output
        return result

    for _ in range(4):
        cases.append(put_case(store))
        folder = day.date().toordinal() % 3
        assert f"restore it from {target.as_uri()}/{folder}\n" in back_up_today().stdout
        day += timedelta(days=1)

    def held() -> list[list[str]]:
        """Return the cases of the states, the oldest state first."""
        states = [DiskStore(target / str((day.date().toordinal() + n) % 3)) for n in range(3)]
        return [[case for case in cases if has(state, fact_key(OWNER, case, "received"))] for state in states]

    assert held() == [cases[:2], cases[:3], cases]
    erase(store, owner=OWNER, case_id=cases[0], at=day)
    audit = Audit(store, "gateway")
    audit.note(Act.ERASE, by="operator", case_id=cases[0])
    audit.flush()
    assert back_up_today("--erasures").stdout == "1 cases and batches erased in the backup\n"
    assert held() == [cases[1:2], cases[1:3], cases[1:]]
    last = target / str((day.date().toordinal() - 1) % 3)
    assert dermis("restore", last.as_uri(), store=tmp_path / "new").exit_code == 0


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_a_command_that_is_broken_off_says_that_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    put_case(DiskStore(tmp_path / "store"))
    dermis("backup", (tmp_path / "backup").as_uri(), store=tmp_path / "store")

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(
        f"dermis.standalone.commands.{command}.{'save' if command == 'backup' else 'restore'}", interrupted
    )
    where = tmp_path / ("store" if command == "backup" else "new")
    result = dermis(command, (tmp_path / "backup").as_uri(), store=where)
    assert result.exit_code == 1
    assert f"{command} is broken off; the same command goes on where it was" in result.stderr


def test_a_full_target_and_one_that_is_away_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_case(DiskStore(tmp_path / "store"))
    target = (tmp_path / "backup").as_uri()

    def refuse(kind: Kind) -> str:
        def put_once(*_: object, **__: object) -> bool:
            raise DermisError(kind, "STORE", "the store refused")

        monkeypatch.setattr(DiskStore, "put_once", put_once)
        result = dermis("backup", target, store=tmp_path / "store")
        assert result.exit_code == 75
        assert result.stderr.endswith(": the same command goes on where it was\n")
        return result.stderr

    assert f"{target} has no space" in refuse(Kind.FULL)
    assert f"and {target}" in refuse(Kind.UNAVAILABLE)


def dermis(*arguments: str, store: Path) -> Result:
    return CliRunner().invoke(cli.main, [*arguments, "--store", store.as_uri()])
