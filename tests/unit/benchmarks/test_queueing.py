"""The queueing formula against known values and against a simulated queue."""

import heapq
import math
import random
from typing import Any

import pytest

from benchmarks.queueing import Fit, fit, must_wait, needed, queue_s, time_in_system


@pytest.mark.parametrize(
    ("load", "servers", "chance"), [(0.5, 1, 0.5), (1.0, 2, 1 / 3), (8.0, 10, 0.4092), (0.0, 3, 0.0), (5.0, 4, 1.0)]
)
def test_erlangs_c(load: float, servers: int, chance: float) -> None:
    assert must_wait(load=load, servers=servers) == pytest.approx(chance, abs=1e-4)


def test_more_than_can_be_served_never_ends() -> None:
    assert math.isinf(queue_s(rate=10, service_s=0.2, servers=2))
    with pytest.raises(ValueError, match="more than the servers can do"):
        fit([(10, 0.2, 1.0)], servers=2)


def test_a_fit_finds_what_it_was_made_of() -> None:
    true = Fit(service_s=0.06, idle_s=0.2, fixed_s=0.02, spread=0.7, servers=2)
    found = fit([(rate, true.work_s(rate), time_in_system(true, rate)) for rate in (8, 14, 18)], servers=2)
    assert (found.service_s, found.idle_s) == pytest.approx((0.06, 0.2))
    assert found.fixed_s == pytest.approx(0.02)
    assert found.spread == pytest.approx(0.7)


@pytest.mark.parametrize(("cv2", "draw"), [(1.0, lambda chance: chance.expovariate(10)), (0.0, lambda _: 0.1)])
def test_the_formula_agrees_with_a_simulated_queue(cv2: float, draw: Any) -> None:
    chance = random.Random(1)  # noqa: S311
    free, now, total, cases = [0.0, 0.0], 0.0, 0.0, 100_000
    for _ in range(cases):
        now += chance.expovariate(14)
        begun = max(now, heapq.heappop(free))
        heapq.heappush(free, begun + draw(chance))
        total += begun - now
    said = (1 + cv2) / 2 * queue_s(rate=14, service_s=0.1, servers=2)
    assert total / cases == pytest.approx(said, rel=0.1)


def test_cores_are_never_fewer_than_one() -> None:
    assert needed(rate=0.1, service_s=0.001, busy=0.6) == 1
    assert needed(rate=1000, service_s=0.05, busy=0.6) == 84
