"""The outlier rule is fitted to a number of cases that doesn't grow with the data."""

import pytest

from dermis.data.dataset import open_dataset
from dermis.trainer.training.calibrate import at_most

pytestmark = pytest.mark.trainer


def test_no_more_cases_than_asked_for_are_taken_evenly() -> None:
    dataset = open_dataset("generated:3:50:16")
    assert at_most(dataset, 50) is dataset
    few = at_most(dataset, 10)
    places = [dataset.samples.index(sample) for sample in few.samples]
    assert len(places) == 10
    assert places == sorted(set(places))
    assert (places[0], places[-1]) == (0, 49)
