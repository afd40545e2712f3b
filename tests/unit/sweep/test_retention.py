"""What may not be kept any longer goes, what may is kept, and what has no mark is given one."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from typeid import TypeID
from uuid_utils import UUID

from dermis.shared.audit import records_of
from dermis.shared.batches import batch_erased_key, open_batch_key
from dermis.shared.case import Consent, Erased, case_key, fact_key, image_key, open_key
from dermis.shared.erasing import (
    RETAINED_BATCHES,
    IdempotencyLink,
    IdempotencyRecord,
    RetentionMark,
    link_key,
    retention_key,
)
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ids import new_id
from dermis.shared.reviews import SECOND_READ_PREFIX, second_read_key
from dermis.sweep import retention
from dermis.sweep.core.decide import CaseAction, is_expired
from dermis.sweep.retention import RetentionSweep
from tests.unit.sweep.test_look import NOW, OWNER, POLICY, Bench, received


@pytest.fixture
def bench() -> Bench:
    return Bench()


def id_at(at: datetime, kind: str) -> str:
    milliseconds = int(at.timestamp() * 1000)
    return str(TypeID.from_uuid(UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62), prefix=kind))


def scratch_id(age_s: float, kind: str = "scratch") -> str:
    return id_at(NOW - timedelta(seconds=age_s), kind)


def test_an_image_to_judge_at_once_is_gone_after_an_hour(bench: Bench) -> None:
    kept, old = scratch_id(3599), scratch_id(3600)
    for name in (kept, old, "leftover"):
        bench.store.put_once(f"scratch/{name}", b"image")
    assert bench.retention.clear_scratch(NOW) == 2
    assert bench.keys == {f"scratch/{kept}"}


def test_an_upload_is_gone_after_an_hour_image_and_fact_and_a_fault_of_one_keeps_no_other(bench: Bench) -> None:
    kept, old, broken = (scratch_id(age, "upload") for age in (3599, 3600, 3700))
    for name in (kept, old, broken):
        for part in ("original", "profile", "uploaded.json"):
            bench.store.put_once(f"uploads/{OWNER}/{name}/{part}", b"x")
    bench.store.put_once("uploads/leftover", b"x")
    delete = bench.store.delete

    def refuse(key: str, *, generation: int | None = None) -> None:
        if broken in key:
            raise DermisError(Kind.UNAVAILABLE, "AWAY", key)
        delete(key, generation=generation)

    bench.store.delete = refuse  # type: ignore[method-assign]
    assert bench.retention.clear_uploads(NOW) == 4
    assert {key.split("/")[2] for key in bench.keys} == {kept, broken}


def test_the_time_of_a_new_id_is_now() -> None:
    assert not is_expired(new_id("scratch"), now=datetime.now(UTC) + timedelta(minutes=59), after=POLICY.scratch_for)
    assert is_expired(new_id("scratch"), now=datetime.now(UTC) + timedelta(minutes=61), after=POLICY.scratch_for)


class TestRetention:
    DAY = 86_400

    def case(self, bench: Bench, days: float, *, consent: Consent = Consent.ASSESS_ONLY, whole: bool = True) -> str:
        case_id = scratch_id(days * self.DAY, "case")
        bench.open(case_id, age_s=days * self.DAY, whole=whole)
        bench.store.delete(open_key(case_id))
        bench.put(retention_key(consent, case_id), RetentionMark(owner=OWNER))
        bench.store.put_once("idempotency/public/hash", b"{}")
        bench.put(link_key(OWNER, case_id), IdempotencyLink(key="idempotency/public/hash"))
        return case_id

    def test_a_case_is_erased_wholly_after_30_days_and_the_sweep_looks_again(self, bench: Bench) -> None:
        case_id = self.case(bench, 30)
        assert bench.retention.end_retention(NOW) == 1
        assert bench.keys == {fact_key(OWNER, case_id, "erased"), open_key(case_id)}
        assert json.loads(bench.store.get(fact_key(OWNER, case_id, "erased"))) == {
            "case_id": case_id,
            "erased_at": "2026-11-01T12:00:00Z",
        }
        bench.store.put_once(image_key(OWNER, case_id, 1, "prepared"), b"a worker was late")
        assert bench.look(75) == {CaseAction.DISCARD: 1}
        bench.audit.flush()
        (audit,) = (key for key in bench.keys if key.startswith("audit/2026-11-01/sweep-"))
        assert bench.keys == {fact_key(OWNER, case_id, "erased"), audit}
        (record,) = records_of(bench.store.get(audit))
        assert (record["act"], record["by"], record["case_id"]) == ("EXPIRE", "sweep", case_id)

    def test_before_that_it_stays_and_only_what_is_over_is_read(self, bench: Bench) -> None:
        self.case(bench, 31)
        young = [self.case(bench, days) for days in (29.9, 29, 1)]
        reads: list[str] = []
        get = bench.store.get

        def noted(key: str, *, most: int | None = None) -> bytes:
            reads.append(key)
            return get(key, most=most)

        bench.store.get = noted  # type: ignore[method-assign]
        assert bench.retention.end_retention(NOW) == 1
        assert not [key for key in reads if any(case_id in key for case_id in young)]
        assert all(fact_key(OWNER, case_id, "received") in bench.keys for case_id in young)

    def test_what_may_be_kept_for_improvement_stays_for_a_year(self, bench: Bench) -> None:
        kept = self.case(bench, 364, consent=Consent.KEEP_FOR_IMPROVEMENT)
        over = self.case(bench, 365, consent=Consent.KEEP_FOR_IMPROVEMENT)
        assert bench.retention.end_retention(NOW) == 1
        assert fact_key(OWNER, kept, "received") in bench.keys
        assert fact_key(OWNER, over, "erased") in bench.keys

    def test_a_case_that_another_version_wrote_is_erased_all_the_same(self, bench: Bench) -> None:
        case_id = self.case(bench, 30, whole=False)
        bench.store.put_once(fact_key(OWNER, case_id, "received"), b'{"self_report": {"textures": "a later word"}}')
        assert bench.retention.end_retention(NOW) == 1
        assert bench.keys == {fact_key(OWNER, case_id, "erased"), open_key(case_id)}

    @pytest.mark.parametrize("name", ["ASSESS_ONLY/00", "batches/00", "ASSESS_ONLY/batch_01k9anw0rye7gvfhd5wbzcpzph"])
    def test_what_is_no_mark_keeps_no_case(self, bench: Bench, name: str) -> None:
        case_id = self.case(bench, 30)
        bench.store.put_once(f"retention/{name}", b"{")
        assert bench.retention.end_retention(NOW) == 1
        assert fact_key(OWNER, case_id, "erased") in bench.keys

    def test_a_broken_mark_keeps_no_other_case(self, bench: Bench) -> None:
        bench.store.put_once(retention_key(Consent.ASSESS_ONLY, scratch_id(31 * self.DAY, "case")), b"{")
        case_id = self.case(bench, 30)
        assert bench.retention.end_retention(NOW) == 1
        assert fact_key(OWNER, case_id, "erased") in bench.keys

    def test_all_that_was_added_to_a_case_goes_with_it(self, bench: Bench) -> None:
        case_id = self.case(bench, 30)
        folder = case_key(OWNER, case_id)
        for name in (
            "images/1/prepared",
            "images/1/heatmaps/m-1-0.png",
            "feedback/1.json",
            "failed/1.json",
            "redelivered/1-1",
            "reviews/reader_1.json",
            "adjudication.json",
        ):
            bench.store.put_once(f"{folder}/{name}", b"{}")
        bench.put(second_read_key(case_id), RetentionMark(owner=OWNER))
        bench.retention.end_retention(NOW)
        assert bench.keys == {fact_key(OWNER, case_id, "erased"), open_key(case_id)}

    def test_a_batch_is_erased_wholly_after_30_days_and_no_other(self, bench: Bench) -> None:
        old, young = scratch_id(30 * self.DAY, "batch"), scratch_id(29 * self.DAY, "batch")
        for batch_id in (old, young):
            for name in ("manifest.json", "rows.ndjson", "results/0.ndjson", "failed/1", "redelivered/1-1"):
                bench.store.put_once(f"batches/{batch_id}/{name}", b"{}")
            bench.store.put_once(f"{RETAINED_BATCHES}{batch_id}", b"{}")
        kept = {key for key in bench.keys if young in key}
        assert len(kept) == 6
        assert bench.retention.end_retention(NOW) == 1
        assert bench.keys == {batch_erased_key(old), open_batch_key(old)} | kept
        assert bench.retention.end_retention(NOW) == 0
        bench.audit.flush()
        (audit,) = bench.store.list("audit/")
        (record,) = records_of(bench.store.get(audit))
        assert (record["act"], record["batch_id"]) == ("EXPIRE", old)

    def test_a_half_stored_case_leaves_nothing(self, bench: Bench) -> None:
        self.case(bench, 31, whole=False)
        bench.retention.end_retention(NOW)
        assert bench.keys == set()

    def test_a_look_takes_some_and_the_next_goes_on(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("dermis.sweep.retention._MOST_ENDED", 2)
        for days in (31, 32, 33):
            self.case(bench, days)
        assert [bench.retention.end_retention(NOW) for _ in range(3)] == [2, 1, 0]

    def test_zero_days_is_for_ever(self, bench: Bench) -> None:
        self.case(bench, 9999)
        policy = replace(POLICY, keep_for=timedelta(0))
        assert RetentionSweep(bench.store, policy, bench.audit).end_retention(NOW) == 0

    def test_a_restored_case_ends_when_it_was_to(self, bench: Bench) -> None:
        bench.put_at = NOW
        case_id = self.case(bench, 31)
        key = retention_key(Consent.ASSESS_ONLY, case_id)
        bench.store.delete(key)
        bench.put(key, RetentionMark(owner=OWNER, first_put_at=NOW - timedelta(days=31)))
        assert bench.retention.end_retention(NOW) == 1

    def test_a_case_of_a_gateway_whose_clock_lags_is_kept_its_time_from_when_it_was_put(self, bench: Bench) -> None:
        bench.put_at = NOW
        self.case(bench, 31)
        assert bench.retention.end_retention(NOW) == 0
        assert bench.retention.end_retention(NOW + timedelta(days=30)) == 1

    def test_one_case_that_cannot_be_erased_keeps_no_other(self, bench: Bench) -> None:
        cases = [self.case(bench, days) for days in (33, 32, 31)]
        delete = bench.store.delete

        def refuse(key: str, *, generation: int | None = None) -> None:
            if cases[0] in key:
                raise DermisError(Kind.UNAVAILABLE, "STORE_UNAVAILABLE", "the store refused: Input/output error")
            delete(key, generation=generation)

        bench.store.delete = refuse  # type: ignore[method-assign]
        assert bench.retention.end_retention(NOW) == 2

    @pytest.mark.parametrize("cap", [0, 2])
    def test_while_the_clock_is_in_doubt_a_cap_holds_over_all_looks(self, bench: Bench, cap: int) -> None:
        for days in (35, 34, 33, 32, 31):
            self.case(bench, days)
        retention = RetentionSweep(bench.store, replace(POLICY, erased_in_doubt=cap), bench.audit)
        assert sum(retention.end_retention(NOW, in_doubt=True) for _ in range(5)) == cap
        assert retention.end_retention(NOW) == 5 - cap

    def test_what_is_due_can_be_asked_without_erasing(self, bench: Bench) -> None:
        old = self.case(bench, 31)
        self.case(bench, 29)
        before = bench.keys
        assert [due.thing_id for due in bench.retention.due(NOW)] == [old]
        assert bench.keys == before


class TestMarks:
    """A case without a mark would stay for ever."""

    def case(self, bench: Bench, consent: Consent = Consent.ASSESS_ONLY, *, age_s: float = 3600) -> str:
        case_id = scratch_id(age_s, "case")
        bench.store.put_once(image_key(OWNER, case_id, 1, "original"), b"image")
        bench.put(fact_key(OWNER, case_id, "received"), received(case_id).model_copy(update={"consent": consent}))
        return case_id

    @pytest.mark.parametrize("livemode", [True, False])
    def test_a_case_that_lost_its_marks_may_be_read_again_by_who_it_let(self, bench: Bench, *, livemode: bool) -> None:
        ids = []
        for age_s, second_read in ((3600, True), (3700, False)):
            case_id = scratch_id(age_s, "case")
            fact = received(case_id).model_copy(update={"second_read": second_read, "livemode": livemode})
            bench.put(fact_key(OWNER, case_id, "received"), fact)
            ids.append(case_id)
        bench.put(second_read_key(ids[1]), RetentionMark(owner=OWNER))
        assert bench.retention.mend_marks(NOW) == 2
        assert set(bench.store.list(SECOND_READ_PREFIX)) == ({second_read_key(ids[0])} if livemode else set())

    @pytest.mark.parametrize("consent", Consent)
    def test_a_case_without_a_mark_is_given_the_one_that_its_person_agreed_to(
        self, bench: Bench, consent: Consent
    ) -> None:
        case_id = self.case(bench, consent, age_s=1)
        assert bench.retention.mend_marks(NOW) == 1
        assert RetentionMark.model_validate_json(bench.store.get(retention_key(consent, case_id))).owner == OWNER
        assert bench.retention.mend_marks(NOW + POLICY.incomplete_after) == 0

    @pytest.mark.parametrize("fact", [None, b"{"])
    def test_one_whose_first_fact_is_gone_or_broken_is_kept_the_shorter_time(
        self, bench: Bench, fact: bytes | None
    ) -> None:
        case_id = self.case(bench, Consent.KEEP_FOR_IMPROVEMENT)
        bench.store.delete(fact_key(OWNER, case_id, "received"))
        if fact:
            bench.store.put_once(fact_key(OWNER, case_id, "received"), fact)
        bench.retention.mend_marks(NOW)
        assert retention_key(Consent.ASSESS_ONLY, case_id) in bench.keys

    def test_a_mark_that_cannot_be_read_is_put_anew_and_then_ends_its_case(self, bench: Bench) -> None:
        case_id = self.case(bench, age_s=31 * 86_400)
        bench.store.put_once(retention_key(Consent.ASSESS_ONLY, case_id), b"{")
        assert bench.retention.end_retention(NOW) == 0
        assert bench.retention.mend_marks(NOW) == 1
        assert bench.retention.end_retention(NOW) == 1
        assert fact_key(OWNER, case_id, "erased") in bench.keys

    def test_a_case_that_is_being_stored_and_a_tombstone_get_none(self, bench: Bench) -> None:
        young, open_one, erased = (scratch_id(age, "case") for age in (60, 3600, 7200))
        for case_id in (young, open_one):
            bench.store.put_once(image_key(OWNER, case_id, 1, "original"), b"image")
        bench.store.put_once(open_key(open_one), b"{}")
        bench.store.put_once(fact_key(OWNER, erased, "erased"), b"{}")
        assert bench.retention.mend_marks(NOW) == 0
        assert not [key for key in bench.keys if key.startswith("retention/")]

    def test_an_object_that_is_of_no_case_keeps_no_mark_from_the_others(self, bench: Bench) -> None:
        case_id = self.case(bench)
        for stray in ("cases/README", "cases/aaa", "cases/public/notes"):
            bench.store.put_once(stray, b"")
        assert bench.retention.mend_marks(NOW) == 1
        assert retention_key(Consent.ASSESS_ONLY, case_id) in bench.keys

    def test_a_look_takes_some_and_the_next_goes_on_where_it_stopped(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("dermis.sweep.retention._MOST_LOOKED_AT", 2)
        for age in range(5):
            self.case(bench, age_s=3600 + age)
        assert [bench.retention.mend_marks(NOW) for _ in range(4)] == [2, 2, 1, 0]


class TestRecordsWithoutACase:
    RECORD = "idempotency/public/hash"

    def record(self, bench: Bench, key: str = RECORD) -> str:
        case_id = scratch_id(3600, "case")
        bench.store.put_once(key, IdempotencyRecord(case_id=case_id, digest="d").model_dump_json().encode())
        return case_id

    def test_one_whose_case_was_never_stored_is_taken_back_by_the_look(self, bench: Bench) -> None:
        case_id = self.record(bench)
        assert bench.retention.open_lost_records(NOW) == 1
        assert bench.keys == {self.RECORD, open_key(case_id)}
        assert bench.look(599) == {CaseAction.WAIT: 1}
        assert bench.look(600) == {CaseAction.DISCARD: 1}
        assert bench.keys == set()

    def test_one_whose_case_is_erased_goes_as_well(self, bench: Bench) -> None:
        case_id = self.record(bench)
        bench.put(fact_key(OWNER, case_id, "erased"), Erased(case_id=case_id, erased_at=NOW - timedelta(days=9)))
        bench.retention.open_lost_records(NOW)
        assert bench.look(60) == {CaseAction.DISCARD: 1}
        assert bench.keys == {fact_key(OWNER, case_id, "erased")}

    @pytest.mark.parametrize("sign", ["open", "received", "young"])
    def test_one_that_is_in_use_or_young_stays(self, bench: Bench, sign: str) -> None:
        if sign == "young":
            bench.put_at = NOW - timedelta(seconds=599)
        case_id = self.record(bench)
        if sign == "open":
            bench.open(case_id, whole=False)
        if sign == "received":
            bench.put(fact_key(OWNER, case_id, "received"), received(case_id))
        before = bench.keys
        assert bench.retention.open_lost_records(NOW) == 0
        assert bench.keys == before

    def test_a_broken_one_holds_up_no_other(self, bench: Bench) -> None:
        bench.store.put_once("idempotency/public/a", b"broken")
        case_id = self.record(bench)
        assert bench.retention.open_lost_records(NOW) == 1
        assert open_key(case_id) in bench.keys

    def test_some_are_looked_at_each_time_and_all_of_them_once_a_day(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(retention, "_MOST_RECORDS", 2)
        for n in range(5):
            case_id = id_at(NOW - timedelta(hours=2, seconds=n), "case")
            record = IdempotencyRecord(case_id=case_id, digest="d").model_dump_json().encode()
            bench.store.put_once(f"idempotency/public/{n}", record)
        assert [bench.retention.open_lost_records(NOW) for _ in range(4)] == [2, 2, 1, 0]
        self.record(bench)
        assert bench.retention.open_lost_records(NOW + timedelta(hours=23)) == 0
        assert bench.retention.open_lost_records(NOW + timedelta(hours=24)) == 0
        assert bench.retention.open_lost_records(NOW + timedelta(hours=24)) == 0
        assert bench.retention.open_lost_records(NOW + timedelta(hours=24)) == 1
