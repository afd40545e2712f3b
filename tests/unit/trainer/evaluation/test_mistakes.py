"""The worst mistakes: confident, answered, named by nobody, and only of the evaluation data."""

from dataclasses import replace

import numpy as np
import pytest

from dermis.data.dataset import open_dataset
from dermis.shared.evaluation import Mistake
from dermis.trainer.evaluation.decisions import decided
from dermis.trainer.evaluation.mistakes import MOST, mistake_pictures, worst_mistakes
from tests.unit.trainer.made import manifest, predictions

pytestmark = pytest.mark.trainer


def test_the_most_confident_wrong_answers_come_first_and_abstentions_not_at_all() -> None:
    made = predictions(n=400)
    made = replace(made, target=np.eye(made.target.shape[1])[made.labels])
    judged, _ = decided(manifest(), made)
    mistakes = worst_mistakes(manifest(), made, judged)
    assert len(mistakes) == MOST
    names = [condition.name for condition in manifest().conditions]
    first = judged.probabilities.argmax(1)
    wrong = judged.answered & (judged.target[np.arange(len(judged)), first] == 0)
    sure = np.sort(judged.probabilities.max(1)[wrong])[::-1][:MOST]
    assert [mistake.probability for mistake in mistakes] == pytest.approx(sure, abs=1e-4)
    for mistake in mistakes:
        row = made.ids.index(mistake.case)
        assert wrong[row]
        assert (mistake.reference, mistake.first) == (names[made.labels[row]], names[first[row]])
        assert mistake.of_reference == pytest.approx(judged.probabilities[row, made.labels[row]], abs=1e-4)


def test_a_model_that_is_never_wrong_has_none() -> None:
    made = predictions(n=40)
    judged, _ = decided(manifest(), made)
    right = replace(judged, target=np.ones_like(judged.target) / judged.target.shape[1])
    assert worst_mistakes(manifest(), made, right) == ()


def test_its_photos_are_of_the_evaluated_data_set_and_a_missing_one_leaves_none() -> None:
    drawn = open_dataset("generated:3:4:64")
    first, second = (
        Mistake(case=case, reference="Acne", first="Tinea", probability=0.9, of_reference=0.1)
        for case in (drawn.samples[2].id, "of another data set")
    )
    (picture,) = mistake_pictures(drawn, (first, second))
    assert picture.jpeg[:2] == b"\xff\xd8"
    assert picture.caption == f"Acne; answered Tinea, 90% (case {drawn.samples[2].id})"
    gone = replace(drawn, samples=tuple(replace(sample, images=()) for sample in drawn.samples))
    assert mistake_pictures(gone, (first,)) == ()
