"""Predictions of a model that is right as often as it says, and a manifest for it."""

import dataclasses
from typing import Any

import numpy as np

from dermis.data.samples import NOT_GIVEN, SLICES
from dermis.shared.manifest import AbstentionRule, Condition, Manifest, PredictionSets
from dermis.trainer.evaluation.predictions import Predictions

CONDITIONS = tuple(Condition(id=name.upper(), name=name) for name in ("Acne", "Eczema", "Psoriasis", "Tinea"))
TYPES = ("FST1", "FST2", "FST3", "FST4", "FST5", "FST6", NOT_GIVEN)


def manifest(**update: Any) -> Manifest:
    made = Manifest(
        version=1,
        purpose="research",
        image_size=64,
        conditions=CONDITIONS,
        feature_schema="sha256:x",
        embedding_size=5,
        cam_size=(2, 2),
        prediction_sets=PredictionSets(
            coverage=0.9, thresholds={"FST_I_II": 0.1, "FST_III_IV": 0.12, "FST_V_VI": 0.08}
        ),
        abstention=AbstentionRule(min_probability=0.4, max_set_size=3),
        files={},
    )
    return made.model_copy(update=update)


def predictions(
    n: int = 400, seed: int = 0, *, sharp: float = 0.5, soft: bool = True, per_group: int = 1
) -> Predictions:
    rng = np.random.default_rng(seed)
    raw = rng.dirichlet(np.full(len(CONDITIONS), sharp), n).astype(np.float32)
    labels = (rng.uniform(size=(n, 1)) > raw.cumsum(1)).sum(1).clip(0, len(CONDITIONS) - 1)
    target = np.eye(len(CONDITIONS))[labels]
    if soft:
        target = 0.8 * target + 0.2 / len(CONDITIONS)
    slices = dict.fromkeys(SLICES, (NOT_GIVEN,) * n)
    slices["fitzpatrick_self"] = tuple(str(value) for value in rng.choice(TYPES, n))
    slices["monk_bin"] = tuple(str(value) for value in rng.choice(["MST_1_3", "MST_4_6", "MST_7_10", NOT_GIVEN], n))
    slices["monk_skin_tone"] = tuple(f"MST{value}" for value in rng.integers(1, 11, n))
    slices["sex_at_birth"] = tuple(str(value) for value in rng.choice(["FEMALE", "MALE"], n))
    return Predictions(
        model="dermis/1",
        data="d" * 64,
        ids=tuple(str(k) for k in range(n)),
        groups=tuple(f"g{k // per_group}" for k in range(n)),
        conditions=CONDITIONS,
        target=target,
        labels=labels.astype(np.int64),
        raw={
            "images and answers": raw,
            "images alone": np.roll(raw, 1, axis=0),
            "answers alone": np.roll(raw, 2, axis=0),
        },
        embedding=rng.normal(size=(n, 5)).astype(np.float32),
        slices=slices,
        fold=np.zeros(n, np.int64),
    )


def worse(made: Predictions, share: float, *, among: Any = None, seed: int = 5) -> Predictions:
    """Return the predictions of a model that says something else in a share of the cases, or of those `among`."""
    rng = np.random.default_rng(seed)
    broken = (rng.uniform(size=len(made)) < share) & (True if among is None else np.asarray(among))
    raw = made.raw["images and answers"].copy()
    raw[broken] = np.roll(raw[broken], 1, axis=1)
    return dataclasses.replace(made, model="dermis/2", raw={**made.raw, "images and answers": raw})
