"""The worst mistakes of an evaluation: answers of which the model was sure and that no grader named."""

from collections.abc import Sequence

import numpy as np

from dermis.data.dataset import Dataset
from dermis.data.report.pictures import picture
from dermis.data.report.table import Picture
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


def mistake_pictures(dataset: Dataset, mistakes: Sequence[Mistake]) -> tuple[Picture, ...]:
    """Return the first photo of each mistake's case that can be read, small, of the data set that was evaluated."""
    images = {sample.id: sample.images for sample in dataset.samples}
    pictures = []
    for mistake in mistakes:
        caption = f"{mistake.reference}; answered {mistake.first}, {mistake.probability:.0%} (case {mistake.case})"
        photos = (picture(dataset.store, key, caption) for key in images.get(mistake.case, ()))
        pictures.append(next((each for each in photos if each), None))
    return tuple(each for each in pictures if each)
