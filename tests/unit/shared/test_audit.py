"""Audit records: held, folded, written, held on."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from dermis.shared import audit as module
from dermis.shared.audit import Act, Audit
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
    return [json.loads(line) for key in store.list("audit/") for line in store.get(key).splitlines()]


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
    (record,) = written(store)
    assert (record["times"], record["at"], record["last_at"]) == (
        2,
        "2026-11-01T12:00:01.000+00:00",
        "2026-11-01T12:00:03.000+00:00",
    )


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
