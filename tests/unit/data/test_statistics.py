"""Intervals and agreement against independent implementations and their laws."""

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from dermis.data.statistics import (
    agreement,
    cohen_kappa,
    fleiss_kappa,
    holm_differences,
    mean_interval,
    share_difference,
    share_interval,
    wilson,
)


def test_wilsons_interval_has_its_textbook_values() -> None:
    low, high = wilson([8, 0, 10], [10, 10, 10])
    assert low == pytest.approx([0.4901625, 0, 0.7224672], abs=1e-6)
    assert high == pytest.approx([0.9433178, 0.2775328, 1], abs=1e-6)


@given(st.integers(0, 50), st.integers(0, 50))
def test_wilsons_interval_holds_the_share(successes: int, failures: int) -> None:
    n = successes + failures
    low, high = wilson(successes, n)
    assert 0 <= low <= (successes / n if n else 0) <= high <= 1


def test_newcombes_difference_has_its_published_values() -> None:
    # Newcombe 1998, table II, method 10, case (a): 56/70 - 48/80.
    difference, low, high = share_difference(48, 80, 56, 70)
    assert difference == pytest.approx(0.2)
    assert low == pytest.approx(0.0524, abs=5e-5)
    assert high == pytest.approx(0.3339, abs=5e-5)


def test_agreement_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    one = rng.integers(0, 5, 300)
    other = np.clip(one + rng.integers(-1, 2, 300), 0, 4)
    pairs = np.zeros((300, 5, 5))
    pairs[np.arange(300), one, other] = 1
    measures = agreement(pairs)
    assert measures["exact"][0] == pytest.approx((one == other).mean())
    assert measures["within one"][0] == 1
    assert measures["mean absolute difference"][0] == pytest.approx(np.abs(one - other).mean())
    assert measures["quadratic-weighted kappa"][0] == pytest.approx(cohen_kappa_score(one, other, weights="quadratic"))
    for value, low, high in measures.values():
        assert low <= value <= high
    assert measures["exact"][2] - measures["exact"][1] == pytest.approx(
        2 * 1.96 * np.std(one == other) / np.sqrt(300), rel=0.15
    )


def test_agreement_without_any_spread_has_no_kappa() -> None:
    pairs = np.zeros((4, 2, 2))
    pairs[:, 1, 1] = 1
    measures = agreement(pairs)
    assert measures["exact"] == (1, 1, 1)
    assert np.isnan(measures["quadratic-weighted kappa"]).all()


def test_a_mean_lies_in_its_interval() -> None:
    value, low, high = mean_interval(np.array([0.0, 1.0] * 50))
    assert value == 0.5
    assert (low, high) == pytest.approx((0.4, 0.6), abs=0.03)


def test_intervals_of_several_differences_are_wider_and_the_most_certain_is_the_widest() -> None:
    pairs = {"none": (5, 100, 6, 100), "clear": (2, 200, 40, 200), "some": (5, 100, 20, 100)}
    together = holm_differences(pairs)
    assert list(together) == list(pairs)
    alone = {name: [float(each) for each in share_difference(*pair)] for name, pair in pairs.items()}
    wider = {name: (together[name][2] - together[name][1]) / (alone[name][2] - alone[name][1]) for name in pairs}
    assert wider["clear"] > wider["some"] > 1
    assert wider["none"] == pytest.approx(1)
    assert together["clear"][1] > 0 > together["none"][1]


def test_a_level_stays_from_the_first_difference_that_may_be_none() -> None:
    pairs = {"a": (5, 100, 6, 100), "b": (5, 100, 7, 100)}
    z = NormalDist().inv_cdf(1 - 0.05 / 4)
    assert holm_differences(pairs) == {
        name: tuple(map(float, share_difference(*pair, z=z))) for name, pair in pairs.items()
    }


@pytest.mark.parametrize("seed", range(5))
def test_cohens_kappa_is_scikit_learns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one = rng.choice(["a", "b", "c", "d"], 200, p=[0.5, 0.3, 0.15, 0.05])
    other = np.where(rng.uniform(size=200) < 0.6, one, rng.choice(["a", "b", "c", "e"], 200))
    kappa = cohen_kappa(list(one), list(other))
    assert kappa.kappa == pytest.approx(cohen_kappa_score(one, other))
    assert kappa.observed == pytest.approx(float(np.mean(one == other)))
    draws = [rng.integers(200, size=200) for _ in range(400)]
    theirs = np.quantile([cohen_kappa_score(one[draw], other[draw]) for draw in draws], [0.025, 0.975])
    assert (kappa.low, kappa.high) == pytest.approx(tuple(theirs), abs=0.03)


def test_fleiss_kappa_is_that_of_his_method_on_the_textbooks_table() -> None:
    # Fourteen raters, ten subjects, five categories: 0.210 (the worked example of Fleiss' kappa that textbooks show).
    counts = [
        *([0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1]),
        *([7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7]),
    ]
    ratings = [[str(value) for value, count in enumerate(row) for _ in range(count)] for row in counts]
    kappa = fleiss_kappa(ratings)
    assert kappa.kappa == pytest.approx(0.2099, abs=5e-5)
    assert kappa.low < kappa.kappa < kappa.high


def test_fleiss_kappa_of_two_ratings_each_is_scotts_pi() -> None:
    # By hand: agreement 3/4, shares 5/8 and 3/8, so (0.75 - 0.53125) / (1 - 0.53125).
    kappa = fleiss_kappa([["a", "a"], ["a", "a"], ["b", "b"], ["a", "b"]])
    assert kappa.kappa == pytest.approx((0.75 - 0.53125) / (1 - 0.53125))
    more = fleiss_kappa([["a", "a"], ["a", "a", "a"], ["b", "b"], ["a", "b"]])
    assert more.n == 4
    assert more.observed == pytest.approx(0.75)  # a case's pairs count as one case, however many read it


def test_kappa_is_undefined_where_only_one_value_was_given() -> None:
    assert np.isnan(cohen_kappa(["a", "a"], ["a", "a"]).kappa)
    assert np.isnan(fleiss_kappa([["a", "a"], ["a", "a"]]).kappa)


def test_a_share_of_none_or_all_has_an_interval_with_a_width() -> None:
    value, low, high = share_interval(np.ones(20))
    assert (value, high) == (1.0, 1.0)
    assert 0.8 < low < 0.9
    assert share_interval(np.array([0.0, 0.5, 1.0]))[0] == pytest.approx(0.5)
