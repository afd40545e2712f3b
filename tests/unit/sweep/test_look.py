"""The sweep's decisions, and what it does with them over a store in memory."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermis.shared.audit import Audit
from dermis.shared.batches import BatchJob
from dermis.shared.case import (
    CaseState,
    Erased,
    Fact,
    FactName,
    Failed,
    OpenCase,
    Outcome,
    OutcomeKind,
    Received,
    ReceivedImage,
    fact_key,
    failed_key,
    image_key,
    open_key,
)
from dermis.shared.erasing import IdempotencyRecord
from dermis.shared.errors import DermisError, Kind
from dermis.shared.jobs import AssessJob
from dermis.shared.stores.memory import MemoryStore
from dermis.shared.vocabulary import SelfReport
from dermis.sweep.core.decide import CaseAction, Resent, SweepPolicy, decide, is_due, most_resends
from dermis.sweep.look import CaseSweep
from dermis.sweep.retention import RetentionSweep

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
POLICY = SweepPolicy()
OWNER = "public"


def received(case_id: str = "c") -> Received:
    image = ReceivedImage(n=1, content_type="image/jpeg", bytes=1, sha256="0", width=1, height=1)
    return Received(case_id=case_id, owner=OWNER, received_at=NOW, images=(image,), self_report=SelfReport())


def outcome(case_id: str = "c") -> Outcome:
    return Outcome(case_id=case_id, finished_at=NOW, kind=OutcomeKind.REJECTION)


def failed(attempt: int, case_id: str = "c") -> Failed:
    return Failed(case_id=case_id, attempt=attempt, failed_at=NOW, reason="R", detail="d")


def marker(age_s: float = 60, *, attempt: int = 1, case_id: str = "c") -> OpenCase:
    return OpenCase(case_id=case_id, owner=OWNER, opened_at=NOW - timedelta(seconds=age_s), attempt=attempt)


@pytest.mark.parametrize(
    ("state", "age_s", "attempt", "action"),
    [
        (CaseState(received=received()), 60, 1, CaseAction.RESEND),
        (CaseState(outcome=outcome()), 60, 1, CaseAction.CLOSE),
        (CaseState(failed=failed(1)), 60, 1, CaseAction.CLOSE),
        (CaseState(failed=failed(1), received=received()), 60, 2, CaseAction.RESEND),
        (CaseState(failed=failed(2)), 60, 1, CaseAction.CLOSE),
        (
            CaseState(erased=Erased(case_id="c", erased_at=NOW - timedelta(seconds=45)), outcome=outcome()),
            60,
            1,
            CaseAction.DISCARD,
        ),
        (
            CaseState(erased=Erased(case_id="c", erased_at=NOW - timedelta(seconds=44)), outcome=outcome()),
            60,
            1,
            CaseAction.WAIT,
        ),
        (CaseState(), 599, 1, CaseAction.WAIT),
        (CaseState(), 600, 1, CaseAction.DISCARD),
        (CaseState(outcome=outcome()), 6000, 1, CaseAction.CLOSE),
    ],
)
def test_what_is_decided(state: CaseState, age_s: float, attempt: int, action: CaseAction) -> None:
    assert decide(marker(age_s, attempt=attempt), state, now=NOW, policy=POLICY) is action


def test_a_case_is_due_after_45_seconds_and_then_every_minute() -> None:
    assert not is_due(marker(44.9), None, now=NOW, policy=POLICY)
    assert is_due(marker(45), None, now=NOW, policy=POLICY)
    at = [NOW]
    for times in range(1, 8):
        resent = Resent(times=times, at=at[-1])
        seconds = next(
            s for s in range(15, 2000, 15) if is_due(marker(), resent, now=at[-1] + timedelta(seconds=s), policy=POLICY)
        )
        at.append(at[-1] + timedelta(seconds=seconds))
    assert [(b - a).seconds for a, b in pairwise(at)] == [45, 60, 60, 60, 60, 60, 60]


def test_a_clock_that_is_set_back_keeps_no_case_waiting() -> None:
    assert not is_due(marker(-44), None, now=NOW, policy=POLICY)
    assert is_due(marker(-3600), None, now=NOW, policy=POLICY)
    assert is_due(marker(), Resent(times=1, at=NOW + timedelta(hours=1)), now=NOW, policy=POLICY)


@given(times=st.integers(1, 10_000))
def test_no_number_of_resends_ends_them(times: int) -> None:
    resent = Resent(times=times, at=NOW)
    assert is_due(marker(), resent, now=NOW + POLICY.longest_wait, policy=POLICY)
    assert not is_due(marker(), resent, now=NOW + timedelta(seconds=44), policy=POLICY)


def test_no_more_jobs_are_sent_than_can_be_missing() -> None:
    assert [most_resends(open_cases=10, waiting_jobs=n) for n in (0, 4, 10, 11)] == [10, 6, 0, 0]


class FakeQueue:
    def __init__(self, waiting: int = 0) -> None:
        self.sent: list[AssessJob] = []
        self.held = waiting
        self.down = False

    def waiting(self) -> int:
        self._check()
        return self.held

    def send(self, job: AssessJob) -> None:
        self._check()
        self.sent.append(job)

    def waiting_steps(self) -> int:
        raise AssertionError("no batch is looked at here")

    def send_step(self, job: BatchJob) -> None:
        raise AssertionError(job)

    def _check(self) -> None:
        if self.down:
            raise DermisError(Kind.UNAVAILABLE, "BROKER", "gone")


class Bench:
    """A store with cases in it, a queue that remembers, and a sweep."""

    def __init__(self) -> None:
        self.put_at = datetime(2020, 1, 1, tzinfo=UTC)
        self.store = MemoryStore(lambda: self.put_at)
        self.queue = FakeQueue()
        self.audit = Audit(self.store, "sweep", clock=lambda: NOW)
        self.sweep = CaseSweep(self.store, self.queue, POLICY)
        self.retention = RetentionSweep(self.store, POLICY, self.audit)

    def put(self, key: str, fact: Fact) -> None:
        self.store.put_once(key, fact.model_dump_json().encode())

    def open(self, case_id: str, *, age_s: float = 60, attempt: int = 1, whole: bool = True) -> None:
        self.put(open_key(case_id), marker(age_s, attempt=attempt, case_id=case_id))
        self.store.put_once(image_key(OWNER, case_id, 1, "original"), b"image")
        if whole:
            self.put(fact_key(OWNER, case_id, "received"), received(case_id))

    def look(self, after_s: float = 0) -> Counter[CaseAction]:
        return self.sweep.look(NOW + timedelta(seconds=after_s))

    @property
    def keys(self) -> set[str]:
        return set(self.store.list(""))


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_an_open_case_is_sent_again_with_its_attempt(bench: Bench) -> None:
    bench.open("a", attempt=3)
    assert bench.look() == {CaseAction.RESEND: 1}
    assert bench.queue.sent == [AssessJob(case_id="a", owner=OWNER, attempt=3)]
    assert open_key("a") in bench.keys


def test_it_is_not_sent_at_every_look(bench: Bench) -> None:
    bench.open("a")
    sent = []
    for seconds in range(0, 600, 30):
        bench.look(seconds)
        sent.append(len(bench.queue.sent))
    assert sent[-1] == 10  # every minute: a peer that is back gets its cases soon


def test_a_young_case_is_left_alone(bench: Bench) -> None:
    bench.open("a", age_s=10)
    assert bench.look() == {}


def test_a_closed_case_loses_its_marker_and_nothing_else(bench: Bench) -> None:
    bench.open("a")
    bench.put(fact_key(OWNER, "a", "outcome"), outcome("a"))
    bench.open("b")
    bench.put(failed_key(OWNER, "b", 1), failed(1, "b"))
    before = bench.keys
    assert bench.look() == {CaseAction.CLOSE: 2}
    assert before - bench.keys == {open_key("a"), open_key("b")}
    assert bench.queue.sent == []


def test_a_replayed_case_is_sent_although_an_earlier_attempt_failed(bench: Bench) -> None:
    bench.open("a", attempt=2)
    bench.put(failed_key(OWNER, "a", 1), failed(1, "a"))
    bench.look()
    assert [job.attempt for job in bench.queue.sent] == [2]


def test_a_submit_that_was_never_whole_leaves_nothing(bench: Bench) -> None:
    bench.open("a", age_s=599, whole=False)
    assert bench.look() == {CaseAction.WAIT: 1}
    assert bench.look(1) == {CaseAction.DISCARD: 1}
    assert bench.keys == set()


def test_an_erased_case_keeps_its_tombstone_alone(bench: Bench) -> None:
    bench.open("a")
    bench.put(fact_key(OWNER, "a", "outcome"), outcome("a"))
    bench.put(fact_key(OWNER, "a", "erased"), Erased(case_id="a", erased_at=NOW - POLICY.resend_after))
    bench.open("ab")
    bench.look()
    assert {key for key in bench.keys if key.startswith("cases/")} == {
        fact_key(OWNER, "a", "erased"),
        fact_key(OWNER, "ab", "received"),
        image_key(OWNER, "ab", 1, "original"),
    }
    assert open_key("a") not in bench.keys


def test_a_case_that_is_erased_while_it_is_closed_leaves_nothing(bench: Bench) -> None:
    bench.open("a")
    bench.put(fact_key(OWNER, "a", "outcome"), outcome("a"))
    delete = bench.store.delete

    def erased_before(key: str, *, generation: int | None = None) -> None:
        """Put the tombstone, as who is killed before the rest of the erasure does."""
        bench.put(fact_key(OWNER, "a", "erased"), Erased(case_id="a", erased_at=NOW))
        bench.store.delete = delete  # type: ignore[method-assign]
        delete(key, generation=generation)

    bench.store.delete = erased_before  # type: ignore[method-assign]
    assert bench.look() == {CaseAction.CLOSE: 1}
    assert bench.keys == {fact_key(OWNER, "a", "erased")}


def test_a_deep_queue_gets_only_what_it_can_have_lost_oldest_first(bench: Bench) -> None:
    for n in range(10):
        bench.open(f"c{n}")
    bench.queue.held = 8
    assert bench.look() == {CaseAction.RESEND: 2, CaseAction.WAIT: 8}
    assert [job.case_id for job in bench.queue.sent] == ["c0", "c1"]
    bench.queue.held = 0
    assert bench.look() == {CaseAction.RESEND: 8}
    assert len({job.case_id for job in bench.queue.sent}) == 10


def test_without_redis_closed_cases_are_still_ended(bench: Bench) -> None:
    bench.open("a")
    bench.put(fact_key(OWNER, "a", "outcome"), outcome("a"))
    bench.open("b")
    bench.queue.down = True
    assert bench.look() == {CaseAction.CLOSE: 1, CaseAction.WAIT: 1}
    bench.queue.down = False
    assert bench.look(30) == {CaseAction.RESEND: 1}


def test_a_broken_marker_does_not_stop_the_others(bench: Bench) -> None:
    bench.store.put_once(open_key("a"), b"{")
    bench.open("b")
    assert bench.look() == {CaseAction.RESEND: 1}


@pytest.mark.parametrize("name", ["received", "outcome", "erased"])
def test_a_fact_of_another_version_does_not_stop_the_others(bench: Bench, name: FactName) -> None:
    bench.open("a", whole=False)
    bench.store.put_once(fact_key(OWNER, "a", name), b'{"case_id": "a", "what": "a later version wrote this"}')
    bench.open("b")
    assert bench.look() == {CaseAction.RESEND: 1}
    assert open_key("a") in bench.keys


def test_what_is_closed_is_forgotten(bench: Bench) -> None:
    bench.open("a")
    bench.look()
    bench.store.delete(open_key("a"))
    bench.look()
    bench.put(open_key("a"), marker(60, case_id="a"))
    assert bench.look(1) == {CaseAction.RESEND: 1}


@pytest.mark.parametrize(("of", "stays"), [("c", False), ("another", True), (None, False)])
def test_a_clients_record_goes_with_its_case_that_was_never_stored(bench: Bench, of: str | None, stays: bool) -> None:
    record = "idempotency/public/hash"
    bench.put(open_key("c"), marker(900).model_copy(update={"record": record}))
    data = IdempotencyRecord(case_id=of, digest="d").model_dump_json() if of else "broken"
    bench.store.put_once(record, data.encode())
    assert bench.look() == {CaseAction.DISCARD: 1}
    assert bench.keys == ({record} if stays else set())


def test_the_index_of_a_clients_reference_goes_with_its_case_that_was_never_stored(bench: Bench) -> None:
    reference = "references/public/hash/c"
    bench.put(open_key("c"), marker(900).model_copy(update={"reference": reference}))
    bench.store.put_once(reference, b"{}")
    bench.look()
    assert bench.keys == set()


def test_a_case_is_sent_again_in_the_line_that_it_was_in(bench: Bench) -> None:
    bench.put(open_key("c"), marker().model_copy(update={"line": "public:0123"}))
    bench.put(fact_key(OWNER, "c", "received"), received())
    bench.look()
    assert bench.queue.sent == [AssessJob(case_id="c", owner=OWNER, line="public:0123")]


def test_a_case_that_is_reopened_while_the_look_closes_it_stays_open(bench: Bench) -> None:
    bench.put(open_key("c"), marker())
    bench.put(fact_key(OWNER, "c", "received"), received())
    bench.put(failed_key(OWNER, "c", 1), failed(1))
    read, later = bench.sweep._state, marker(attempt=2)

    def reopened(marker: OpenCase) -> CaseState:
        state = read(marker)
        bench.store.delete(open_key("c"))
        bench.put(open_key("c"), later)
        return state

    bench.sweep._state = reopened  # type: ignore[method-assign]
    assert bench.look() == {CaseAction.CLOSE: 1}
    assert open_key("c") in bench.keys
