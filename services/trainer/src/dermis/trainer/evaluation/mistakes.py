"""The worst mistakes of an evaluation: answers of which the model was sure and that no grader named."""

import numpy as np

from dermis.shared.evaluation import Mistake
from dermis.shared.manifest import Manifest
from dermis.trainer.evaluation.predictions import Predictions
from dermis.trainer.metrics import Judged

MOST = 20


def worst_mistakes(manifest: Manifest, predictions: Predictions, judged: Judged) -> tuple[Mistake, ...]:
    """Return at most `MOST` cases of the evaluation data, the most confident first; abstentions are none."""
    every = np.arange(len(judged))
    first = np.argsort(-judged.probabilities, axis=1, kind="stable")[:, 0]
    wrong = judged.answered & (judged.target[every, first] == 0)
    confidence = np.where(wrong, judged.probabilities[every, first], -1.0)
    rows = np.argsort(-confidence, kind="stable")[: min(MOST, int(wrong.sum()))]
    names = [condition.name for condition in manifest.conditions]
    return tuple(
        Mistake(
            case=predictions.ids[row],
            reference=names[judged.labels[row]],
            first=names[first[row]],
            probability=round(float(confidence[row]), 4),
            of_reference=round(float(judged.probabilities[row, judged.labels[row]]), 4),
        )
        for row in rows
    )
