"""Checkpoints of the audit: what they name, and when records end."""

from dataclasses import replace
from datetime import timedelta

import pytest

from dermis.shared.audit import (
    CHECKPOINTS,
    Act,
    Audit,
    checkpoint_key,
    digest_of,
    last_checkpoint,
    read_checkpoint,
)
from dermis.shared.errors import DermisError
from dermis.shared.stores.memory import MemoryStore
from dermis.sweep import checkpoints
from dermis.sweep.checkpoints import CheckpointSweep
from tests.unit.sweep.test_look import NOW, POLICY

HOUR = timedelta(hours=1)


def note(store: MemoryStore, audit: Audit | None = None) -> None:
    audit = audit or Audit(store, "gateway", clock=lambda: NOW)
    audit.note(Act.READ, by="key_1", case_id="case_1")
    audit.flush()


def test_each_names_what_none_before_it_does_and_the_one_before() -> None:
    store = MemoryStore()
    sweep = CheckpointSweep(store, POLICY)
    for hours, notes in ((0, 2), (0.5, 1), (1, 0), (2, 1), (3, 0)):
        for _ in range(notes):
            note(store)
        sweep.look(NOW + hours * HOUR)
    (first, digest), (second, _), (third, head) = (read_checkpoint(store, key) for key in store.list(CHECKPOINTS))
    assert [len(each.objects) for each in (first, second, third)] == [2, 1, 1]
    assert (first.previous, second.previous) == ("", digest)
    objects = first.objects | second.objects | third.objects
    assert objects == {key: digest_of(store.get(key)) for key in store.list("audit/2")}
    assert last_checkpoint(store) == (third, head)


def test_another_sweep_goes_on_from_the_last() -> None:
    store = MemoryStore()
    note(store)
    CheckpointSweep(store, POLICY).look(NOW)
    note(store)
    CheckpointSweep(store, POLICY).look(NOW + HOUR)
    assert [len(read_checkpoint(store, key)[0].objects) for key in store.list(CHECKPOINTS)] == [1, 1]


def test_many_objects_are_named_over_several_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "_MOST_NAMED", 2)
    store = MemoryStore()
    for day in range(10, 15):
        store.put_once(f"audit/2026-01-{day}/gateway-1.ndjson", b"{}")
    for _ in range(4):
        CheckpointSweep(store, POLICY).look(NOW)
    each = [read_checkpoint(store, key)[0] for key in store.list(CHECKPOINTS)]
    assert [(len(one.objects), one.complete) for one in each] == [(2, False), (2, False), (1, True)]


def test_records_go_after_a_year_once_a_checkpoint_says_so() -> None:
    store = MemoryStore()
    days = ("2025-10-31", "2025-11-01", "2026-10-31")
    for day in days:
        store.put_once(f"audit/{day}/gateway-1.ndjson", b"")
    sweep = CheckpointSweep(store, POLICY)
    assert sweep.look(NOW) == 1
    assert list(store.list("audit/2")) == [f"audit/{day}/gateway-1.ndjson" for day in days[1:]]
    assert read_checkpoint(store, checkpoint_key(1))[0].kept_from == "2025-11-01"


def test_checkpoints_whose_objects_are_all_over_go_too() -> None:
    store = MemoryStore()
    sweep = CheckpointSweep(store, replace(POLICY, audit_for=timedelta(days=2)))
    for day in range(6):
        at = NOW + timedelta(days=day)
        note(store, Audit(store, "gateway", clock=lambda at=at: at))  # type: ignore[misc]
        sweep.look(at)
    kept = [read_checkpoint(store, key)[0] for key in store.list(CHECKPOINTS)]
    assert [one.number for one in kept] == [4, 5, 6]
    assert kept[-1].first == 4
    assert len(list(store.list("audit/2"))) == 3


def test_one_that_cant_be_read_stops_the_chain_with_words() -> None:
    store = MemoryStore()
    store.put_once(checkpoint_key(1), b"{")
    with pytest.raises(DermisError, match=r"00000001.json can't be read; `dermis audit verify`"):
        CheckpointSweep(store, POLICY).look(NOW)
