"""Audit records: held, folded, written, held on."""

from datetime import UTC, datetime, timedelta

import pytest

from dermis.shared import audit as module
from dermis.shared.audit import Act, Audit, digest_of, link_of, records_of
from dermis.shared.errors import DermisError, Kind
from dermis.shared.stores.memory import MemoryStore

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


class Ticking:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


def written(store: MemoryStore) -> list[dict[str, object]]:
    return [record for key in store.list("audit/") for record in records_of(store.get(key))]


def test_the_same_within_a_minute_is_one_record_and_other_things_are_others() -> None:
    store = MemoryStore()
    audit = Audit(store, "gateway", clock=Ticking())
    for _ in range(3):
        audit.note(Act.READ, by="key_1", route="/v1/cases/{case_id}", case_id="case_1")
    audit.note(Act.READ, by="key_2", route="/v1/cases/{case_id}", case_id="case_1")
    audit.flush()
    audit.flush()
    first, second = written(store)
    assert first == {
        "at": "2026-11-01T12:00:01.000+00:00",
        "last_at": "2026-11-01T12:00:03.000+00:00",
        "times": 3,
        "act": "READ",
        "by": "key_1",
        "part": "gateway",
        "route": "/v1/cases/{case_id}",
        "case_id": "case_1",
    }
    assert (second["by"], second["times"]) == ("key_2", 1)
    (key,) = store.list("audit/")
    assert key.startswith("audit/2026-11-01/gateway-audit_")


def test_what_the_store_refuses_is_written_later() -> None:
    store = MemoryStore()
    audit, put_once = Audit(store, "gateway"), store.put_once

    def refuse(_key: str, _data: bytes) -> bool:
        raise DermisError(Kind.UNAVAILABLE, "STORE_FULL", "the store refused")

    store.put_once = refuse  # type: ignore[assignment, method-assign]
    audit.note(Act.ERASE, by="key_1", case_id="case_1")
    audit.flush()
    store.put_once = put_once  # type: ignore[method-assign]
    audit.flush()
    assert [record["case_id"] for record in written(store)] == ["case_1"]


def test_the_same_thing_done_again_while_the_store_refuses_is_counted() -> None:
    store = MemoryStore()
    audit, put_once = Audit(store, "gateway", clock=Ticking()), store.put_once

    def refuse(_key: str, _data: bytes) -> bool:
        audit.note(Act.READ, by="key_1", case_id="case_1")
        raise DermisError(Kind.UNAVAILABLE, "STORE_FULL", "the store refused")

    store.put_once = refuse  # type: ignore[assignment, method-assign]
    audit.note(Act.READ, by="key_1", case_id="case_1")
    audit.flush()
    store.put_once = put_once  # type: ignore[method-assign]
    audit.flush()
    audit.flush()
    assert [(record["times"], record["at"]) for record in written(store)] == [
        (1, "2026-11-01T12:00:01.000+00:00"),
        (1, "2026-11-01T12:00:03.000+00:00"),
    ]


def test_an_object_that_was_put_though_the_store_said_no_is_put_once() -> None:
    store = MemoryStore()
    audit, put_once = Audit(store, "gateway"), store.put_once

    def answer_lost(key: str, data: bytes) -> bool:
        put_once(key, data)
        raise DermisError(Kind.UNAVAILABLE, "STORE_UNAVAILABLE", "no answer came")

    store.put_once = answer_lost  # type: ignore[assignment, method-assign]
    audit.note(Act.READ, by="key_1", case_id="case_1")
    audit.flush()
    store.put_once = put_once  # type: ignore[method-assign]
    audit.note(Act.READ, by="key_1", case_id="case_2")
    for _ in range(2):
        audit.flush()
    assert [record["case_id"] for record in written(store)] == ["case_1", "case_2"]


def test_each_object_names_the_one_that_its_process_put_before() -> None:
    store = MemoryStore()
    one, other = Audit(store, "gateway"), Audit(store, "gateway")
    for n in range(3):
        for audit in (one, other):
            audit.note(Act.READ, by="key_1", case_id=f"case_{n}")
            audit.flush()
    chains: dict[str, list[bytes]] = {}
    for key in store.list("audit/"):
        data = store.get(key)
        chains.setdefault(link_of(data).process, []).append(data)
    for chain in chains.values():
        links = [link_of(data) for data in chain]
        assert [link.sequence for link in links] == [1, 2, 3]
        assert [link.previous for link in links] == ["", *map(digest_of, chain[:2])]
    assert len(chains) == 2


def test_an_object_of_an_older_version_is_read() -> None:
    old = b'{"act": "READ", "case_id": "case_1"}\n'
    assert link_of(old) is None
    assert [record["case_id"] for record in records_of(old)] == ["case_1"]


def test_what_is_held_is_bounded_and_a_loss_is_logged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "_MOST_HELD", 2)
    store = MemoryStore()
    audit = Audit(store, "gateway")
    for n in range(5):
        audit.note(Act.READ, by="key_1", case_id=f"case_{n}")
    audit.flush()
    assert len(written(store)) == 2
    assert "audit records lost" in capsys.readouterr().out
