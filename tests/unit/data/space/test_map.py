"""What a space sorts by: the measures by hand and against scikit-learn, on spaces whose answer is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import silhouette_samples

from dermis.data.space.sorting import Sorted, _permuted, alike, case_vectors, directions, nearest, silhouettes, sorts_by

N = 160


def planted(by: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return directions that differ by label and by nothing else but noise."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(by.max() + 1, 16))
    return directions(centres[by] + rng.normal(size=(len(by), 16)))


def measures(
    vectors: np.ndarray, labels: np.ndarray, *, clusters: np.ndarray, within: np.ndarray | None = None
) -> dict[str, Sorted]:
    found = sorts_by(vectors, np.arange(len(vectors)), clusters, labels, k=5, within=within)
    return {one.measure.partition(",")[0].partition(" ")[0]: one for one in found}


def test_a_space_of_conditions_sorts_by_condition_and_not_by_tone() -> None:
    rng = np.random.default_rng(1)
    condition, tone = rng.integers(0, 4, N), rng.integers(0, 3, N)
    for sorted_by, other in ((condition, tone), (tone, condition)):
        vectors = planted(sorted_by)
        own, foreign = (measures(vectors, labels, clusters=sorted_by) for labels in (sorted_by, other))
        assert own.keys() == {"neighbours", "silhouette", "adjusted"}
        assert all(one.estimate > one.chance_high and one.above > 0.2 for one in own.values())
        assert own["adjusted"].estimate == pytest.approx(1)
        assert abs(foreign["neighbours"].above) < 0.06
        assert abs(foreign["adjusted"].estimate) < 0.05
        low, high = own["neighbours"].low, own["neighbours"].high
        assert low is not None
        assert high is not None
        assert low < own["neighbours"].estimate < high


def test_what_tone_owes_to_condition_is_no_merit_of_the_space() -> None:
    """Tone follows condition here and the space knows conditions alone: among equals of a condition tone is chance."""
    rng = np.random.default_rng(2)
    condition = rng.integers(0, 4, N)
    tone = np.where(rng.random(N) < 0.8, condition % 2, rng.integers(0, 2, N))
    vectors = planted(condition)
    assert measures(vectors, tone, clusters=condition)["neighbours"].above > 0.2
    among_equals = measures(vectors, tone, clusters=condition, within=condition)
    assert all(one.estimate <= one.chance_high + 0.02 for one in among_equals.values())
    assert among_equals["neighbours"].chance > measures(vectors, tone, clusters=condition)["neighbours"].chance + 0.1


def test_who_has_no_label_is_left_out() -> None:
    labels = np.array([0, 1] * 20 + [-1] * 20)
    vectors = planted(np.array([0, 1] * 30))
    assert {one.n for one in measures(vectors, labels, clusters=labels).values()} == {40}
    assert measures(vectors, np.zeros(60, int), clusters=labels) == {}


@given(st.lists(st.integers(0, 3), min_size=4, max_size=30).filter(lambda labels: 2 <= len(set(labels)) < len(labels)))
def test_silhouettes_are_scikit_learns(labels: list[int]) -> None:
    vectors = directions(np.random.default_rng(len(labels)).normal(size=(len(labels), 5)))
    assert silhouettes(vectors, np.array(labels)) == pytest.approx(
        silhouette_samples(vectors, labels, metric="cosine"), abs=1e-9
    )


def test_nearest_are_of_other_groups_and_in_order() -> None:
    vectors = directions(np.array([[1, 0], [1, 0.01], [1, 0.1], [1, 0.3], [0, 1]], float))
    near, cosines = nearest(vectors, np.array([0, 0, 1, 2, 3]), 2)
    assert near.tolist() == [[2, 3], [2, 3], [1, 0], [2, 1], [3, 2]]
    assert (np.diff(cosines, axis=1) <= 0).all()
    assert nearest(vectors, np.zeros(5, int), 2)[0].shape == (5, 0)
    assert nearest(vectors, np.arange(5), 99)[0].shape == (5, 4)
    assert alike(np.array([0, 0, 0, 1, 1]), near).tolist() == [0.5, 0.5, 1, 0, 0.5]


def test_nearest_of_more_than_a_block() -> None:
    vectors = directions(np.random.default_rng(0).normal(size=(1500, 4)))
    near, _ = nearest(vectors, np.arange(1500), 1)
    for place in (0, 1023, 1024, 1499):
        cosines = vectors @ vectors[place]
        cosines[place] = -1
        assert near[place, 0] == cosines.argmax()


def test_a_case_is_the_mean_direction_of_its_images() -> None:
    owners, vectors = case_vectors(np.array([[2.0, 0], [0, 1], [5, 5], [0, 3]]), [7, 7, 2, 9])
    assert owners.tolist() == [2, 7, 9]
    assert vectors == pytest.approx(np.array([[0.5**0.5, 0.5**0.5], [0.5**0.5, 0.5**0.5], [0, 1]]))


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), min_size=1, max_size=40), st.integers(0, 9))
def test_labels_are_permuted_within_their_stratum(drawn: list[tuple[int, int]], seed: int) -> None:
    labels, strata = np.array(drawn).T
    found = _permuted(labels, strata, np.random.default_rng(seed))
    assert sorted(zip(found.tolist(), strata.tolist(), strict=True)) == sorted(
        zip(labels.tolist(), strata.tolist(), strict=True)
    )
