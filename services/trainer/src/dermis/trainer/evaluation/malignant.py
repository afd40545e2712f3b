"""Counts malignant cases that a set misses, and benign ones that it alarms."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from dermis.shared.evaluation import (
    Figure,
    MalignantRow,
)
from dermis.shared.manifest import Manifest
from dermis.trainer import metrics as measures
from dermis.trainer.evaluation.intervals import with_interval
from dermis.trainer.metrics import Floats, Judged

EVERY_MALIGNANT = "all malignant conditions"


def malignant_rows(
    manifest: Manifest, judged: Judged, weights: Floats, groups: Sequence[str]
) -> tuple[MalignantRow, ...]:
    """Return how often each malignant condition is missed, and all of them together; none without a malignant rule."""
    if manifest.malignant is None:
        return ()
    malignant = np.array([condition.id in manifest.malignant.conditions for condition in manifest.conditions])
    in_set = judged.sets[:, malignant].any(1)
    missed = judged.answered & ~in_set
    benign_first = ~malignant[judged.probabilities.argmax(1)]
    rows = []
    cuts = [(manifest.conditions[k].name, judged.labels == k) for k in np.flatnonzero(malignant)]
    for name, here in (*cuts, (EVERY_MALIGNANT, malignant[judged.labels])):
        if not here.any():
            continue
        own = list(itertools.compress(groups, here))
        row: dict[str, Any] = {"condition": name, "n": int(here.sum()), "groups": len(set(own))}
        for measure, values in {
            "held": ~missed,
            "in_set": in_set,
            "benign_first": benign_first,
            "missed": missed,
        }.items():
            figure = with_interval(measures.mean(values[here], weights[:, here]), own)
            if measure == "missed":
                interval = figure.interval and (round(100 * figure.interval[0], 2), round(100 * figure.interval[1], 2))
                row["missed_per_100"], row["missed_per_100_interval"] = round(100 * (figure.value or 0.0), 2), interval
            else:
                row[measure], row[f"{measure}_interval"] = figure.value, figure.interval
        rows.append(MalignantRow.model_validate(row))
    return tuple(rows)


def benign_alarms(manifest: Manifest, judged: Judged, weights: Floats, groups: Sequence[str]) -> Figure | None:
    """Return the share of benign cases whose set holds a malignant condition, None without a malignant rule."""
    if manifest.malignant is None:
        return None
    malignant = np.array([condition.id in manifest.malignant.conditions for condition in manifest.conditions])
    benign = np.asarray(~malignant[judged.labels])
    if not benign.any():
        return None
    alarmed = np.asarray(judged.sets[:, malignant].any(1))[benign]
    return with_interval(measures.mean(alarmed, weights[:, benign]), list(itertools.compress(groups, benign)))
