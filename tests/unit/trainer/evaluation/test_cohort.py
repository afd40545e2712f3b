"""The last steps of a cohort's flow: photos that were not shown, first conditions nobody knows, and abstentions."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from dermis.trainer.evaluation.cohort import evaluated_steps
from dermis.trainer.evaluation.decisions import at, decided
from dermis.trainer.evaluation.page import as_html
from dermis.trainer.evaluation.predictions import ImageFate, concatenate, from_bytes, to_bytes
from dermis.trainer.evaluation.report import evaluate
from tests.unit.trainer.made import manifest, predictions

pytestmark = pytest.mark.trainer


def test_what_is_evaluated_and_answered_adds_up() -> None:
    made = predictions(n=60)
    labels = made.labels.copy()
    labels[:3] = -1
    several: list[tuple[ImageFate, ...]] = [("SHOWN",)] * 60
    several[0], several[-1] = ("SHOWN", "MISSING"), ("UNUSABLE", "SHOWN", "SHOWN")
    fates = tuple(several)
    made = replace(made, labels=labels, images=fates)
    labelled = labels >= 0
    judged, _ = decided(manifest(), at(made, labelled))
    evaluated, answered = evaluated_steps(made, labelled, judged)
    assert (evaluated.cases, evaluated.images) == (57, 58)
    assert [(drop.reason, drop.cases, drop.images) for drop in evaluated.dropped] == [
        ("UNKNOWN_FIRST_CONDITION", 3, 4),
        ("UNUSABLE", 0, 1),
    ]
    assert answered.cases == judged.answered.sum()
    assert {drop.reason: drop.cases for drop in answered.dropped} == Counter(filter(None, judged.reasons))
    assert answered.images + sum(drop.images for drop in answered.dropped) == 58
    assert from_bytes(to_bytes(made)).images == fates
    assert concatenate([made, made]).images == fates * 2
    page = as_html(evaluate(manifest(), made, prior=np.full(4, 0.25), calibrated_on=None, data="made", draws=20))
    flow = page.split('<article id="cohort"')[1].split("</article>")[0]
    assert "57 cases, 58 photos" in flow
    assert "photo of unusable quality, not shown to the model" in flow


def test_photos_that_nobody_counted_are_not_stated() -> None:
    made = predictions(n=20)
    judged, _ = decided(manifest(), made)
    steps = evaluated_steps(made, made.labels >= 0, judged)
    assert [step.images for step in steps] == [None, None]
