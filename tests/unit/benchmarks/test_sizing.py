"""The measured part of the page on sizing, from loads as they would be measured."""

import pytest

from benchmarks import sizing
from benchmarks.queueing import Fit
from benchmarks.sizing import Load

CPU_S = {"gateway": 10.0, "worker": 40.0, "metadata": 2.0, "serving": 20.0, "redis": 1.0, "sweep": 0.1}
FITTED = Fit(service_s=0.06, idle_s=0.01, fixed_s=0.02, spread=0.5, servers=2)


def load(share: float, rate: float) -> Load:
    return Load(share=share, cases=1000, wall_s=1000 / rate, taken=(0.1, 0.2, 0.3), cpu_s=CPU_S)


def test_the_page_states_each_load_the_costs_and_what_growth_asks_for() -> None:
    loads = [load(0.3, 8.0), load(0.75, 20.0)]
    text = sizing.report(loads, fitted=FITTED, operations=dict.fromkeys(sizing.DOLLARS, 2.0))
    assert text.startswith("Measured 20")
    assert "| 8.0 | 30% | 1000 | 200 | 200 |" in text
    assert text.count("| **predicted** |") == 1
    assert "8.0 writes" not in text
    assert "2.0 writes" in text
    assert "| 1,000 | 17 | 67 | 4 | 34 | 100% | 8,000 |" in text


def test_a_case_costs_its_parts_cpu_time() -> None:
    assert load(0.3, 8.0).cpu_ms["worker"] == pytest.approx(40)
    assert (load(0.3, 8.0) + load(0.3, 8.0)).work_s == pytest.approx(load(0.3, 8.0).work_s)
