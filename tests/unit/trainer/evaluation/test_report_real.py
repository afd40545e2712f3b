"""The report on real SCIN rows: a constant answer scores its floor exactly, and graders agree as far as they do."""

import json
from pathlib import Path

import numpy as np
import pytest

from dermis.data.dataset import conditions_of, open_dataset
from dermis.shared.manifest import PredictionSets
from dermis.trainer.evaluation.predict import predictions
from dermis.trainer.evaluation.report import evaluate
from dermis.trainer.model.bundle import as_json
from dermis.trainer.model.inputs import targets
from tests.unit.trainer.made import manifest

pytestmark = pytest.mark.trainer


def test_a_constant_answer_scores_its_floor_and_graders_score_above_it(real_data: Path) -> None:
    dataset = open_dataset((real_data / "scin").as_uri(), policy="scin-grouped").labelled()
    conditions = conditions_of(dataset.samples)
    prior = targets(dataset.samples, conditions)[0].mean(0)
    raw = np.tile(prior, (len(dataset), 1)).astype(np.float32)
    made = predictions(
        dataset,
        conditions,
        {"images and answers": raw},
        embedding=np.zeros((len(dataset), 4), np.float32),
        model="prior/1",
    )
    of = manifest(conditions=conditions, prediction_sets=PredictionSets(coverage=0.9, thresholds={}))
    graders = [sample.graders for sample in dataset.samples]
    report = json.loads(
        as_json(evaluate(of, made, prior=prior, calibrated_on=None, data="SCIN", graders=graders, draws=100))
    )
    for top in (1, 3, 5):
        for kind in ("", "_soft"):
            assert report["overall"][f"top_{top}{kind}"]["value"] == report["floors"][f"top_{top}{kind}"]
    assert report["overall"]["macro_auroc"]["value"] == 0.5
    assert report["n"] == len(dataset) > 900
    assert report["groups"] < report["n"]
    assert sum(row["n"] for row in report["slices"]["monk_bin"]) == report["n"]
    people = report["human_agreement"]
    assert (
        100 < people["n"] <= 209
    )  # of the cases that three dermatologists graded, those in which two or more named something
    assert report["floors"]["top_1_soft"] < people["soft"] < 1
    assert people["top_1_interval"][0] < people["top_1"] < people["top_1_interval"][1]
