"""The evaluation report: every figure with its n, its floor and what a perfect model would show."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from dermis.shared.case import OutcomeKind
from dermis.shared.manifest import Manifest
from dermis.shared.vocabulary import FitzpatrickSkinType
from dermis.trainer.core import measures
from dermis.trainer.core.calibrate import Floats
from dermis.trainer.core.predictions import Predictions
from dermis.trainer.core.samples import NOT_GIVEN
from dermis.worker.core.differential import Decision, decide


def evaluate(manifest: Manifest, predictions: Predictions, *, prior: Floats, calibrated_on: int, data: str) -> dict[str, Any]:
    """Return the report.

    Each case is decided as the worker decides it. The same input gives the same report.
    """
    rng = np.random.default_rng(0)
    labels, n, raw = predictions.labels, len(predictions), predictions.raw
    types = [None if value == NOT_GIVEN else FitzpatrickSkinType(value) for value in predictions.slices["fitzpatrick_self"]]
    decisions = [decide(row, manifest, fst) for row, fst in zip(raw["images and answers"], types, strict=True)]
    probabilities, sets = _tables(decisions, manifest)
    first, third = (measures.hits(probabilities, labels, top=top) for top in (1, 3))
    covered = sets[np.arange(n), labels]
    confidence = probabilities.max(1)
    mean, high = measures.perfect_calibration_error(confidence, rng)
    fst = [value or "not answered" for value in types]

    def slices(values: Sequence[str]) -> list[dict[str, Any]]:
        rows = []
        for value in sorted(set(values), key=lambda text: (len(text), text)):
            here = np.array([other == value for other in values])
            rows.append({"value": value, "n": int(here.sum())})
            for name, figure in (("top_1", first), ("top_3", third), ("set_coverage", covered)):
                rows[-1][name] = _round(figure[here].mean())
                rows[-1][f"{name}_interval"] = _round(measures.interval(figure[here], rng))
        return rows

    return {
        "format": "dermis.evaluation/1",
        "purpose": manifest.purpose,
        "data": data,
        "n": n,
        "interval": "95 % bootstrap over cases",
        "metrics": {
            "top_1": _round(first.mean()),
            "top_3": _round(third.mean()),
            "expected_calibration_error": _round(measures.calibration_error(confidence, first)),
            "set_coverage": _round(covered.mean()),
            "abstained": _round(np.mean([decision.kind is OutcomeKind.ABSTENTION for decision in decisions])),
        },
        "mean_set_size": _round(sets.sum(1).mean()),
        "intervals": {"top_1": _round(measures.interval(first, rng)), "top_3": _round(measures.interval(third, rng))},
        "floors": {
            "top_1": _round(measures.floor(labels, prior, top=1)),
            "top_3": _round(measures.floor(labels, prior, top=3)),
            "meaning": "the best constant list, by the training cases' prior",
        },
        "shown": {
            what: {f"top_{top}": _round(measures.hits(table, labels, top=top).mean()) for top in (1, 3)} for what, table in raw.items()
        },
        "perfect_model_at_this_n": {
            "expected_calibration_error": _round((mean, high)),
            "set_coverage": _round(measures.perfect_coverage(manifest.prediction_sets.coverage, rng, calibrated_on=calibrated_on, n=n)),
            "meaning": "calibration error: mean and 95th percentile; coverage: middle 95 %, one threshold for all; "
            "sets hold at least the most probable condition, so coverage is at least top-1",
        },
        "slices": {
            "condition": slices([manifest.conditions[label].name for label in labels]),
            "monk_skin_tone": slices(predictions.slices["monk_skin_tone"]),
            "fitzpatrick_skin_type": slices(fst),
            "images": slices(predictions.slices["images"]),
        },
    }


def _tables(decisions: Sequence[Decision], manifest: Manifest) -> tuple[Floats, measures.Hits]:
    """Return calibrated probabilities and set membership [N,K], conditions in the manifest's order."""
    column = {condition.id: k for k, condition in enumerate(manifest.conditions)}
    probabilities = np.zeros((len(decisions), len(column)))
    sets = np.zeros(probabilities.shape, bool)
    for row, decision in enumerate(decisions):
        for ranked in decision.differential:
            probabilities[row, column[ranked.condition]] = ranked.probability
            sets[row, column[ranked.condition]] = ranked.in_prediction_set
    return probabilities, sets


def _round(value: Any) -> Any:
    return [_round(item) for item in value] if isinstance(value, tuple) else round(float(value), 4)
