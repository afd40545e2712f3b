"""The manifest of a trained model's bundle."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

import keras

from dermis.data.dataset import Dataset
from dermis.shared.manifest import (
    ANSWER_WEIGHTS_FILE,
    MODEL_NAME,
    TEXTURES_FILE,
    Condition,
    FitzpatrickGroup,
    Knowledge,
    Manifest,
)
from dermis.shared.vocabulary import FitzpatrickSkinType
from dermis.trainer.calibration.fit import Trust
from dermis.trainer.calibration.texture import fit_textures
from dermis.trainer.config import Config
from dermis.trainer.evaluation.predictions import Predictions
from dermis.trainer.evaluation.slices import TYPE_SCALES
from dermis.trainer.model.bundle import write_manifest
from dermis.trainer.registry.gate import N_MIN
from dermis.worker.core import texture
from dermis.worker.core.differential import FITZPATRICK_GROUPS


def make_manifest(
    config: Config,
    model: keras.Model,
    conditions: tuple[Condition, ...],
    trust: Trust,
    *,
    name: str = MODEL_NAME,
    knowledge: Knowledge | None = None,
    version: int,
    lineage: Mapping[str, str],
) -> Manifest:
    """Return the bundle's manifest, as yet without the digests of its files."""
    return Manifest(
        name=name,
        version=version,
        purpose=config.purpose,
        image_size=config.image_size,
        image_fit=config.image_fit,
        conditions=conditions,
        feature_schema=config.schema.id,
        embedding_size=model.output["embedding"].shape[1],
        cam_size=model.output["cam"].shape[2:4],
        calibration=trust.calibration,
        prediction_sets=trust.prediction_sets,
        abstention=trust.abstention,
        outliers=trust.outliers,
        malignant=trust.malignant,
        knowledge=knowledge,
        grouped_answers=trust.grouped_answers,
        urgency_threshold=trust.urgency_threshold,
        urgency_calibrated_on=trust.urgency_calibrated_on,
        answer_weights=None if config.head.answers_units else ANSWER_WEIGHTS_FILE,
        lineage=dict(lineage),
        files={},
    )


def measured_knowledge(config: Config, measured: Predictions | Dataset) -> Knowledge | None:
    """Return the config's knowledge with the independent cases that each Fitzpatrick group was measured on."""
    if config.knowledge is None:
        return None
    scale = TYPE_SCALES[config.knowledge.scale]
    if isinstance(measured, Predictions):
        types, groups = measured.slices[scale], measured.groups
    else:
        types = tuple(sample.slices[scale] for sample in measured.samples)
        groups = tuple(sample.group for sample in measured.samples)
    independent: dict[FitzpatrickGroup, set[str]] = {group: set() for group in get_args(FitzpatrickGroup)}
    for value, group in zip(types, groups, strict=True):
        if value in set(FitzpatrickSkinType) and (of := FITZPATRICK_GROUPS.get(FitzpatrickSkinType(value))):
            independent[of].add(group)
    counts = {group: len(members) for group, members in independent.items()}
    return config.knowledge.model_copy(update={"measured_on": counts, "needed": N_MIN})


def add_textures(
    config: Config, manifest: Manifest, textures: tuple[Sequence[Dataset], Sequence[Dataset]], folder: Path
) -> Manifest:
    """Write the bundle's texture file and its manifest with the rule, which is returned."""
    fitted, rule = fit_textures(
        *textures,
        image_size=config.image_size,
        how=config.image_fit,
        false_alarms=config.texture_alarms,
    )
    (folder / TEXTURES_FILE).write_bytes(texture.to_bytes(fitted))
    return write_manifest(manifest.model_copy(update={"textures": rule}), folder)
