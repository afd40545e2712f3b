"""A model's predictions for the cases of a data set: training hands them to evaluation, and evaluation to promotion."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from dermis.shared.errors import DermisError, Kind
from dermis.shared.manifest import Condition

Modality = Literal["images and answers", "images alone", "answers alone"]
SERVED: Modality = "images and answers"
FORMAT = "dermis.predictions/1"
ImageFate = Literal["SHOWN", "MISSING", "UNDECODABLE", "UNREADABLE", "UNUSABLE"]
"""Shown to the model, or why not; UNREADABLE is missing or can't be decoded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """N cases, K conditions, in the order of `conditions`.

    `model`: name/version, or the name of a run. `data`: digest of the data set. `ids`, `groups`: of the samples.
    `target` float64[N,K]: reference differentials, rows adding up to 1; `labels` int64[N]: the place of the top
    condition. `raw`: probabilities float32[N,K] before calibration, by what the model was shown. `embedding`
    float32[N,E]. `slices`: name -> N values (`samples.SLICES` and more).
    `fold` int64[N]: the fold whose model spoke, 0 where there is but one. `texture_score` float64[N], by the bundle's
    textures, NaN for a case without an image; None where it has none. `images`: what became of each of a case's images,
    None where nobody counted.
    """

    model: str
    data: str
    ids: tuple[str, ...]
    groups: tuple[str, ...]
    conditions: tuple[Condition, ...]
    target: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]
    raw: Mapping[Modality, npt.NDArray[np.float32]]
    embedding: npt.NDArray[np.float32]
    slices: Mapping[str, tuple[str, ...]]
    fold: npt.NDArray[np.int64]
    texture_score: npt.NDArray[np.float64] | None = None
    images: tuple[tuple[ImageFate, ...], ...] | None = None

    def __len__(self) -> int:
        return len(self.ids)


def concatenate(parts: Sequence[Predictions]) -> Predictions:
    """Return several predictions of one model or its folds as one, in their order."""
    first = parts[0]
    scores = [one.texture_score for one in parts if one.texture_score is not None]
    return replace(
        first,
        ids=tuple(name for one in parts for name in one.ids),
        groups=tuple(name for one in parts for name in one.groups),
        target=np.concatenate([one.target for one in parts]),
        labels=np.concatenate([one.labels for one in parts]),
        raw={modality: np.concatenate([one.raw[modality] for one in parts]) for modality in first.raw},
        embedding=np.concatenate([one.embedding for one in parts]),
        slices={name: tuple(value for one in parts for value in one.slices[name]) for name in first.slices},
        fold=np.concatenate([one.fold for one in parts]),
        texture_score=np.concatenate(scores) if len(scores) == len(parts) else None,
        images=tuple(case for one in parts for case in one.images or ()) if all(one.images for one in parts) else None,
    )


def to_bytes(predictions: Predictions) -> bytes:
    """Return an .npz without pickles: a JSON head and the arrays."""
    head = {
        "format": FORMAT,
        "model": predictions.model,
        "data": predictions.data,
        "ids": predictions.ids,
        "groups": predictions.groups,
        "conditions": [condition.model_dump() for condition in predictions.conditions],
        "slices": dict(predictions.slices),
        "images": predictions.images,
    }
    arrays: dict[str, npt.NDArray[Any]] = {f"raw {modality}": values for modality, values in predictions.raw.items()}
    if predictions.texture_score is not None:
        arrays["texture_score"] = predictions.texture_score
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        head=np.frombuffer(json.dumps(head).encode(), np.uint8),
        target=predictions.target,
        labels=predictions.labels,
        embedding=predictions.embedding,
        fold=predictions.fold,
        **arrays,  # type: ignore[arg-type]
    )
    return buffer.getvalue()


def from_bytes(data: bytes) -> Predictions:
    """Read what `to_bytes` wrote; INVALID if it is something else."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            head = json.loads(arrays["head"].tobytes())
            if head["format"] != FORMAT:
                raise ValueError(f"its format is {head['format']!r}")
            return Predictions(
                model=head["model"],
                data=head["data"],
                ids=tuple(head["ids"]),
                groups=tuple(head["groups"]),
                conditions=tuple(Condition.model_validate(condition) for condition in head["conditions"]),
                target=arrays["target"],
                labels=arrays["labels"],
                raw={
                    modality: arrays[f"raw {modality}"]
                    for modality in get_args(Modality)
                    if f"raw {modality}" in arrays
                },
                embedding=arrays["embedding"],
                slices={name: tuple(values) for name, values in head["slices"].items()},
                fold=arrays["fold"],
                texture_score=arrays.get("texture_score"),
                images=None if (images := head.get("images")) is None else tuple(map(tuple, images)),
            )
    except (ValueError, KeyError, OSError) as error:
        raise DermisError(
            Kind.INVALID, "PREDICTIONS", f"these are no predictions of dermis evaluate: {error}"
        ) from error
