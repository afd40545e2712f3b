from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from dermis.shared.batches import BatchRow
from dermis.shared.case import (
    AnyFact,
    Assessed,
    CaseState,
    Erased,
    Failed,
    Outcome,
    OutcomeKind,
    Received,
    ReceivedImage,
    Status,
    fact_key,
    failed_key,
    fold,
    image_key,
    open_key,
)
from dermis.shared.stores.keys import checked
from dermis.shared.vocabulary import SelfReport

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CASE = "case_01jd3v2e8jf6ar8m2zq0n5w1xk"
IMAGE = ReceivedImage(n=1, content_type="image/jpeg", bytes=1, sha256="0" * 64, width=1, height=1)
RECEIVED = Received(case_id=CASE, owner="public", received_at=NOW, images=(IMAGE,), self_report=SelfReport())
ASSESSED = Assessed(case_id=CASE, assessed_at=NOW, images=())
OUTCOME = Outcome(case_id=CASE, finished_at=NOW, kind=OutcomeKind.REJECTION)
ERASED = Erased(case_id=CASE, erased_at=NOW)


def failed(attempt: int) -> Failed:
    return Failed(
        case_id=CASE, attempt=attempt, failed_at=NOW + timedelta(seconds=attempt), reason="STORE_FULL", detail=""
    )


ALL: list[AnyFact] = [RECEIVED, ASSESSED, OUTCOME, ERASED, *map(failed, (1, 2, 3, 10))]
some_facts = st.lists(st.sampled_from(ALL), unique_by=id)


@given(some_facts, st.data())
def test_order_and_repetition_do_not_matter(facts: list[AnyFact], data: st.DataObject) -> None:
    again = data.draw(st.lists(st.sampled_from(facts), max_size=6)) if facts else []
    shuffled = data.draw(st.permutations([*facts, *again, None]))
    assert fold(shuffled) == fold(facts)


@given(some_facts, some_facts)
def test_a_fold_in_two_steps_is_the_fold_of_all(first: list[AnyFact], second: list[AnyFact]) -> None:
    state = fold(first)
    kept = [fact for fact in (state.received, state.assessed, state.outcome, state.failed, state.erased) if fact]
    assert fold([*kept, *second]) == fold([*first, *second])


@given(some_facts)
def test_nothing_is_invented_and_the_last_failure_counts(facts: list[AnyFact]) -> None:
    state = fold(facts)
    assert (state.received is RECEIVED) == (RECEIVED in facts)
    assert (state.outcome is OUTCOME) == (OUTCOME in facts)
    attempts = [fact.attempt for fact in facts if isinstance(fact, Failed)]
    assert (state.failed.attempt if state.failed else None) == max(attempts, default=None)


@given(some_facts)
def test_the_status_follows_from_which_facts_are_there(facts: list[AnyFact]) -> None:
    """In this order of precedence; also: a fact more never takes a case back, but for a late outcome over a failure."""
    kinds = {type(fact) for fact in facts}
    expected = next(
        (
            status
            for kind, status in (
                (Erased, Status.ERASED),
                (Outcome, Status.FINISHED),
                (Failed, Status.FAILED),
                (Assessed, Status.ASSESSED),
                (Received, Status.RECEIVED),
            )
            if kind in kinds
        ),
        None,
    )
    state = fold(facts)
    assert state.status == expected
    assert state.closed == (state.status in {Status.ERASED, Status.FINISHED, Status.FAILED})


@given(some_facts, st.sampled_from(ALL))
def test_a_closed_case_stays_closed_and_an_erased_one_erased(facts: list[AnyFact], more: AnyFact) -> None:
    before, after = fold(facts), fold([*facts, more])
    assert after.closed >= before.closed
    assert after.status is Status.ERASED or before.status is not Status.ERASED
    assert not (before.status is Status.FINISHED and after.status is Status.FAILED)


def test_every_service_folds_facts_and_makes_no_state_by_hand() -> None:
    sources = (Path(__file__).parents[3] / "services").glob("*/src/**/*.py")
    assert [str(source) for source in sources if "CaseState(" in source.read_text()] == []


def test_no_fact_no_status() -> None:
    assert fold([]) == CaseState()
    assert CaseState().status is None
    assert not CaseState().closed


def test_keys_are_where_the_design_says() -> None:
    assert fact_key("public", CASE, "received") == f"cases/public/{CASE}/received.json"
    assert failed_key("public", CASE, 2) == f"cases/public/{CASE}/failed/2.json"
    assert image_key("public", CASE, 3, "original") == f"cases/public/{CASE}/images/3/original"
    assert image_key("public", CASE, 1, "prepared") == f"cases/public/{CASE}/images/1/prepared"
    assert open_key(CASE) == f"open/{CASE}"
    for key in (fact_key("public", CASE, "erased"), failed_key("public", CASE, 1), open_key(CASE)):
        assert checked(key) == key


def test_a_case_has_at_most_three_images_and_may_be_answers_alone() -> None:
    case = RECEIVED.model_copy(update={"images": ()})
    assert Received.model_validate_json(case.model_dump_json()) == case
    with pytest.raises(ValueError, match="images"):
        Received(case_id=CASE, owner="public", received_at=NOW, images=(IMAGE,) * 4, self_report=SelfReport())


@pytest.mark.parametrize("kind", [Received, BatchRow])
def test_what_is_wrong_with_a_fact_is_told_without_what_a_person_answered(kind: type[BaseModel]) -> None:
    with pytest.raises(ValidationError) as caught:
        kind.model_validate({"self_report": {"related_category": "MY_ANSWER"}})
    assert "self_report.related_category" in str(caught.value)
    assert "MY_ANSWER" not in str(caught.value)
