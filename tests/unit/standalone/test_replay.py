"""`dermis replay`: a failed case's next attempt."""

from datetime import UTC, datetime

import pytest

from dermis.shared.case import (
    Erased,
    Fact,
    Failed,
    OpenCase,
    Outcome,
    OutcomeKind,
    Received,
    ReceivedImage,
    fact_key,
    failed_key,
    open_key,
)
from dermis.shared.errors import DermisError
from dermis.shared.jobs import AssessJob
from dermis.shared.ports import Versioned
from dermis.shared.stores.memory import MemoryStore
from dermis.shared.vocabulary import SelfReport
from dermis.standalone.commands.replay import reopen

NOW = datetime(2026, 11, 1, tzinfo=UTC)
ID = "case_01k9anw0rye7gvfhd5wbzcpzph"
IMAGE = ReceivedImage(n=1, content_type="image/jpeg", bytes=1, sha256="0", width=1, height=1)
RECEIVED = Received(case_id=ID, owner="public", received_at=NOW, images=(IMAGE,), self_report=SelfReport())


def failed(attempt: int) -> tuple[str, Fact]:
    return failed_key("public", ID, attempt), Failed(case_id=ID, attempt=attempt, failed_at=NOW, reason="R", detail="d")


def store(*facts: tuple[str, Fact], received: bool = True) -> MemoryStore:
    blobs = MemoryStore()
    for key, fact in (*([(fact_key("public", ID, "received"), RECEIVED)] if received else []), *facts):
        blobs.put_once(key, fact.model_dump_json().encode())
    return blobs


def marker(blobs: MemoryStore) -> OpenCase:
    return OpenCase.model_validate_json(blobs.get(open_key(ID)))


@pytest.mark.parametrize("attempts", [1, 2, 11])
def test_the_next_attempt_is_opened(attempts: int) -> None:
    blobs = store(*(failed(n) for n in range(1, attempts + 1)))
    assert reopen(blobs, ID, now=NOW) == AssessJob(case_id=ID, owner="public", attempt=attempts + 1)
    assert marker(blobs) == OpenCase(case_id=ID, owner="public", opened_at=NOW, attempt=attempts + 1)


def test_the_marker_of_the_failed_attempt_gives_way() -> None:
    blobs = store(failed(1), (open_key(ID), OpenCase(case_id=ID, owner="public", opened_at=NOW, attempt=1)))
    reopen(blobs, ID, now=NOW)
    assert marker(blobs).attempt == 2


def test_the_case_keeps_its_line() -> None:
    opened = OpenCase(case_id=ID, owner="public", opened_at=NOW, line="public:0123")
    blobs = store(failed(1), (open_key(ID), opened))
    assert reopen(blobs, ID, now=NOW).line == "public:0123"
    assert marker(blobs).line == "public:0123"


def test_a_marker_that_is_cleared_away_meanwhile_is_no_fault() -> None:
    class Cleared(MemoryStore):
        def get_versioned(self, key: str) -> Versioned:
            self._objects.pop(key, None)
            return super().get_versioned(key)

    blobs = Cleared()
    for key, fact in ((fact_key("public", ID, "received"), RECEIVED), failed(1)):
        blobs.put_once(key, fact.model_dump_json().encode())
    blobs.put_once(open_key(ID), OpenCase(case_id=ID, owner="public", opened_at=NOW).model_dump_json().encode())
    assert reopen(blobs, ID, now=NOW).attempt == 2
    assert marker(blobs).attempt == 2


def test_to_replay_twice_opens_one_attempt() -> None:
    blobs = store(failed(1))
    first = reopen(blobs, ID, now=NOW)
    later = NOW.replace(hour=1)
    assert reopen(blobs, ID, now=later) == first
    assert marker(blobs).opened_at == NOW


@pytest.mark.parametrize(
    ("blobs", "case_id", "said"),
    [
        (store(), ID, "has not failed"),
        (store(received=False), ID, "there is no case"),
        (store(failed(1)), "../../etc", "is no id of a case"),
        (
            store(
                failed(1),
                (fact_key("public", ID, "outcome"), Outcome(case_id=ID, finished_at=NOW, kind=OutcomeKind.REJECTION)),
            ),
            ID,
            "outcome",
        ),
        (store(failed(1), (fact_key("public", ID, "erased"), Erased(case_id=ID, erased_at=NOW))), ID, "erased"),
    ],
)
def test_only_a_failed_case_is_replayed(blobs: MemoryStore, case_id: str, said: str) -> None:
    with pytest.raises(DermisError, match=said):
        reopen(blobs, case_id, now=NOW)
    assert list(blobs.list("open/")) == []


def test_the_owner_is_looked_up() -> None:
    blobs = MemoryStore()
    received = RECEIVED.model_copy(update={"owner": "key_a"})
    for key, fact in ((fact_key("key_a", ID, "received"), received), (failed_key("key_a", ID, 1), failed(1)[1])):
        blobs.put_once(key, fact.model_dump_json().encode())
    assert reopen(blobs, ID, now=NOW).owner == "key_a"
