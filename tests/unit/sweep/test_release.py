"""A canary ends by itself where it fails or abstains too often, and not by chance."""

import itertools
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dermis.shared.ids import new_id
from dermis.shared.manifest import CURRENT_KEY, Canary, Current, VersionRef
from dermis.shared.promotions import PromotionAction, promotions
from dermis.shared.releases import RELEASES, Arm, ReleaseAnswer, mark_key
from dermis.shared.stores.memory import MemoryStore
from dermis.sweep import metrics
from dermis.sweep.core.release import FEWEST, MOST_FAILURES, difference, rates, wilson
from dermis.sweep.release import ReleaseSweep

NOW = datetime(2026, 1, 2, tzinfo=UTC)
EVERY = timedelta(minutes=2)
PROMOTION = new_id("promotion")
OLD = new_id("promotion")
CURRENT, TRIED, SHADOW = (VersionRef(name="dermis", version=version) for version in (1, 2, 3))
POINTER = Current(current=CURRENT, shadow=SHADOW, canary=Canary(ref=TRIED, percent=10, promotion=PROMOTION))


def marked(*, promotion: str = PROMOTION, **counts: int) -> MemoryStore:
    """Return a store with so many marks, by names such as CANARY_FAILED."""
    store = MemoryStore()
    store.put_once(CURRENT_KEY, POINTER.model_dump_json().encode())
    for name, count in counts.items():
        arm, _, answer = name.partition("_")
        for n in range(count):
            store.put_once(mark_key(promotion, Arm(arm), ReleaseAnswer(answer), f"{name} {n}"), b"")
    return store


def pointer(store: MemoryStore) -> Current:
    return Current.model_validate_json(store.get(CURRENT_KEY))


def test_a_canary_that_fails_is_ended_with_a_record_of_why_and_the_shadow_goes_on() -> None:
    store = marked(CANARY_FAILED=20, CANARY_ANSWERED=80, CONTROL_ANSWERED=100)
    ended = metrics.canaries_ended._value.get()
    assert ReleaseSweep(store, EVERY).look(NOW)
    assert pointer(store) == Current(current=CURRENT, shadow=SHADOW)
    (record,) = promotions(store)
    assert (record.action, record.by, record.ref, record.over) == (
        PromotionAction.CANARY_ENDED,
        "sweep",
        TRIED,
        CURRENT,
    )
    failed, abstained = record.rates
    assert (failed.canary, failed.canary_n, failed.current, failed.current_n) == (20, 100, 0, 100)
    assert (failed.interval[0] > failed.bound, abstained.interval[0] > abstained.bound) == (True, False)
    assert record.reasons[0].startswith("FAILED: 20 of 100 cases of the canary, 0 of 100 of the current version")
    assert metrics.canaries_ended._value.get() == ended + 1
    assert list(store.list(RELEASES)) == []
    assert list(store.list("audit/"))


def test_a_canary_that_abstains_too_often_is_ended() -> None:
    store = marked(CANARY_ABSTAINED=50, CANARY_ANSWERED=50, CONTROL_ABSTAINED=20, CONTROL_ANSWERED=80)
    assert ReleaseSweep(store, EVERY).look(NOW)
    (record,) = promotions(store)
    assert record.reasons[0].startswith("ABSTAINED")


@pytest.mark.parametrize(
    "counts",
    [
        {"CANARY_FAILED": FEWEST - 1, "CONTROL_ANSWERED": 100},
        {"CANARY_FAILED": 2, "CANARY_ANSWERED": 98, "CONTROL_ANSWERED": 100},
        {"CANARY_ABSTAINED": 30, "CANARY_ANSWERED": 70, "CONTROL_ABSTAINED": 20, "CONTROL_ANSWERED": 80},
        {"CANARY_FAILED": 100},
        {},
    ],
)
def test_few_cases_and_chance_end_nothing_and_marks_stay(counts: dict[str, Any]) -> None:
    store = marked(**counts)
    assert not ReleaseSweep(store, EVERY).look(NOW)
    assert (pointer(store), list(promotions(store))) == (POINTER, [])
    assert len(list(store.list(RELEASES))) == sum(counts.values())


def test_marks_of_a_canary_that_is_over_are_cleared() -> None:
    store = marked(promotion=OLD, CANARY_FAILED=50, CONTROL_ANSWERED=50)
    assert not ReleaseSweep(store, EVERY).look(NOW)
    assert list(store.list(RELEASES)) == []


def test_marks_are_listed_every_two_minutes_only_and_again_once_a_clock_was_set_back() -> None:
    store = marked()
    sweep = ReleaseSweep(store, EVERY)
    sweep.look(NOW)
    for n in range(100):
        store.put_once(mark_key(PROMOTION, Arm.CANARY, ReleaseAnswer.FAILED, str(n)), b"")
        store.put_once(mark_key(PROMOTION, Arm.CONTROL, ReleaseAnswer.ANSWERED, str(n)), b"")
    assert not sweep.look(NOW + EVERY - timedelta(seconds=1))
    assert sweep.look(NOW - timedelta(seconds=1))


class MovedMeanwhile(MemoryStore):
    """The pointer moves once the sweep's record was put."""

    def put_once(self, key: str, data: bytes, *, reserved: bool = False) -> bool:
        done = super().put_once(key, data, reserved=reserved)
        if key.startswith("promotions/"):
            standing = self.get_versioned(CURRENT_KEY)
            self.replace(CURRENT_KEY, MOVED.model_dump_json().encode(), generation=standing.generation)
        return done


MOVED = Current(current=TRIED, previous=CURRENT)


def test_a_pointer_that_moved_meanwhile_is_left_alone() -> None:
    store = MovedMeanwhile()
    for key, data in ((key, marked(CANARY_FAILED=50, CONTROL_ANSWERED=50)) for key in ("",)):
        for name in data.list(key):
            store.put_once(name, data.get(name))
    assert not ReleaseSweep(store, EVERY).look(NOW)
    assert pointer(store) == MOVED


def test_without_a_model_there_is_nothing_to_end() -> None:
    assert not ReleaseSweep(MemoryStore(), EVERY).look(NOW)


def test_intervals_are_newcombes() -> None:
    """Table II of Newcombe (1998): 56/70 and 48/80, method 10."""
    assert difference(56, 70, 48, 80) == pytest.approx((0.0524, 0.3339), abs=5e-4)
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-4)


def test_rates_never_end_a_canary_that_is_no_worse_than_the_bound_lets_it_be() -> None:
    for n, failed in itertools.product((20, 50, 100, 1_000), range(3)):
        if failed / n <= MOST_FAILURES:
            marks = Counter(
                {
                    (Arm.CANARY, ReleaseAnswer.FAILED): failed,
                    (Arm.CANARY, ReleaseAnswer.ANSWERED): n - failed,
                    (Arm.CONTROL, ReleaseAnswer.ANSWERED): n,
                }
            )
            assert not any(rate.too_high for rate in rates(marks))
