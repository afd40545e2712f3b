"""Answers over condition groups in the evaluation report: counted as the worker gives them, beside two floors."""

from typing import Any

import numpy as np
import pytest

from dermis.shared.manifest import ConditionGroup, GroupedAnswers, Manifest
from dermis.trainer.evaluation.decisions import decided
from dermis.trainer.evaluation.grouped_answers import FLAT, GROUPED, LEVELS, OF_PRIOR
from dermis.trainer.evaluation.page import as_html
from dermis.trainer.evaluation.predictions import SERVED
from dermis.trainer.evaluation.report import evaluate
from dermis.trainer.evaluation.slices import fitzpatrick_types
from dermis.trainer.model.card import model_card
from dermis.worker.core.differential import decide
from tests.unit.trainer.made import CONDITIONS, manifest, predictions

pytestmark = pytest.mark.trainer
PRIOR = np.array([0.4, 0.3, 0.2, 0.1])
GROUPS = (
    ConditionGroup(id="A", name="Acne or eczema", conditions=("ACNE", "ECZEMA")),
    ConditionGroup(id="B", name="Scales", conditions=("PSORIASIS", "TINEA")),
)


def grouped(threshold: float = 0.7) -> Manifest:
    rule = GroupedAnswers(
        coverage=0.9, threshold=threshold, calibrated_on=300, groups=GROUPS, most_entries=1, largest_share=0.5
    )
    return manifest(grouped_answers=rule)


def rows_of(of: Manifest, made: Any) -> Any:
    report = evaluate(of, made, prior=PRIOR, calibrated_on=300, data="made", draws=50)
    return report, {(row.answers, row.slice, row.value): row for row in report.grouped_answers}


def test_rows_count_what_the_worker_answers() -> None:
    made = predictions()
    of = grouped()
    report, rows = rows_of(of, made)
    answers = [decide(raw, of, skin) for raw, skin in zip(made.raw[SERVED], fitzpatrick_types(made), strict=True)]
    row = rows[GROUPED, "", ""]
    assert row.n == report.n == len(made)
    level = {"CONDITION": "conditions", "GROUP": "groups", "BROAD_GROUP": "broad groups", None: "abstained"}
    seen = [level[answer.grouped_answer.level if answer.grouped_answer else None] for answer in answers]
    assert row.levels == pytest.approx({name: seen.count(name) / len(seen) for name in LEVELS}, abs=1e-4)
    places = {condition.id: k for k, condition in enumerate(CONDITIONS)}
    covered, held = [], []
    for answer, target in zip(answers, made.target, strict=True):
        inside = (
            [places[name] for entry in answer.grouped_answer.entries for name in entry.conditions]
            if answer.grouped_answer
            else list(range(4))
        )
        covered.append(target[inside].sum())
        held.append(len(inside))
    assert row.coverage.value == pytest.approx(np.mean(covered), abs=1e-4)
    assert row.leaves.value == pytest.approx(np.mean(held), abs=1e-4)
    assert 0 < row.levels["abstained"] < 1


def test_flat_sets_and_the_priors_answers_stand_beside_by_tone() -> None:
    made = predictions()
    of = grouped()
    _, rows = rows_of(of, made)
    judged, _ = decided(of, made)
    assert rows[FLAT, "", ""].leaves.value == pytest.approx(judged.sets.sum(1).mean(), abs=1e-4)
    assert rows[FLAT, "", ""].answered.value == 1
    prior = rows[OF_PRIOR, "", ""]
    assert prior.coverage.value is not None
    assert prior.coverage.value >= 0.9
    assert sorted(prior.levels.values()) == [0, 0, 0, 1], "it says the same of every case"
    tones = [row.n for (name, scale, _), row in rows.items() if (name, scale) == (GROUPED, "monk_bin")]
    assert sum(tones) == len(made)
    assert len(tones) == 4


def test_page_and_card_show_them_and_other_bundles_have_none() -> None:
    made = predictions()
    report, _ = rows_of(grouped(), made)
    assert "Answers over condition groups" in as_html(report)
    assert f"| all | {GROUPED} | 400 |" in model_card(grouped(), report)
    plain, rows = rows_of(manifest(), made)
    assert rows == {}
    assert "Answers over condition groups" not in as_html(plain) + model_card(manifest(), plain)
