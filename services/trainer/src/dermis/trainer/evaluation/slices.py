"""Slices of an evaluation: Monk and Fitzpatrick groups, cuts of cases by them, and the pairs that are compared."""

from collections.abc import Iterator, Sequence
from typing import get_args

import numpy as np

from dermis.data.samples import NOT_GIVEN
from dermis.shared.manifest import FitzpatrickGroup, Manifest
from dermis.shared.vocabulary import FitzpatrickSkinType
from dermis.trainer.evaluation.predictions import Predictions
from dermis.trainer.metrics import Hits
from dermis.worker.core.differential import FITZPATRICK_GROUPS

TONE_SCALES = ("monk_bin", "fitzpatrick_group", "fitzpatrick_estimated_group")
"""Each scale stands for itself: none is converted into another."""


TYPE_SCALES = {
    "self_reported": "fitzpatrick_self",
    "painted": "fitzpatrick_self",
    "estimated": "fitzpatrick_estimated",
}
"""The slice that a manifest's knowledge counts people by, by its scale."""
_GROUPS: tuple[str, ...] = ("", *get_args(FitzpatrickGroup))


def fitzpatrick_types(predictions: Predictions, scale: str = "fitzpatrick_self") -> list[FitzpatrickSkinType | None]:
    types = set(FitzpatrickSkinType)
    return [FitzpatrickSkinType(value) if value in types else None for value in predictions.slices[scale]]


def fitzpatrick_groups(predictions: Predictions, scale: str = "fitzpatrick_self") -> list[FitzpatrickGroup | None]:
    """Return each case's Fitzpatrick group, None where no type is given."""
    return [FITZPATRICK_GROUPS.get(fitzpatrick) for fitzpatrick in fitzpatrick_types(predictions, scale)]


def slices(manifest: Manifest, predictions: Predictions) -> dict[str, tuple[str, ...]]:
    """Return the slices of the report by name, a value for each of the N cases."""
    groups = {
        grouped: tuple(group or NOT_GIVEN for group in fitzpatrick_groups(predictions, scale))
        for grouped, scale in (
            ("fitzpatrick_group", "fitzpatrick_self"),
            ("fitzpatrick_estimated_group", "fitzpatrick_estimated"),
        )
    }
    condition = tuple(manifest.conditions[label].name if label >= 0 else NOT_GIVEN for label in predictions.labels)
    return {"condition": condition, **groups, **predictions.slices}


def by_tone(manifest: Manifest, predictions: Predictions) -> Iterator[tuple[str, str, Hits]]:
    """Yield (scale, value, bool[N]) of each value of each tone scale that the data set knows."""
    cut = slices(manifest, predictions)
    for scale in TONE_SCALES:
        yield from ((scale, value, here) for value, here in cut_by(cut[scale]) if value != NOT_GIVEN)


def cut_by(values: Sequence[str]) -> list[tuple[str, Hits]]:
    """Yield each value, in the order that people count in, and which cases have it, bool[N]."""
    array = np.asarray(values, str)
    return [(value, array == value) for value in sorted(set(values), key=_place)]


def _place(value: str) -> tuple[bool, int, str]:
    """Sort values as people count: MST2 before MST10, FST_III_IV before FST_V_VI, what is not given last."""
    numbered = _GROUPS.index(value) if value in _GROUPS else 1 if ": " in value else len(value)
    return value == NOT_GIVEN, numbered, value


_PAIRS = {"I_II": ("FST1", "FST2"), "III_IV": ("FST3", "FST4"), "V_VI": ("FST5", "FST6")}


TONE_GROUPS: dict[str, dict[str, tuple[str, ...]]] = {
    "monk_bin": {name: (name,) for name in ("MST_1_3", "MST_4_6", "MST_7_10")},
    "fitzpatrick_self": {f"FST_{name}": types for name, types in _PAIRS.items()},
    "fitzpatrick_estimated": {f"FST_{name}": types for name, types in _PAIRS.items()},
}
"""Scale -> group -> the values of the slice. Each scale stands for itself: none is converted into another."""
