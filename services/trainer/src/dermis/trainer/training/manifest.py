"""The manifest of a trained model's bundle."""

from collections.abc import Mapping

import keras

from dermis.shared.manifest import MODEL_NAME, Condition, Knowledge, Manifest
from dermis.trainer.calibration.fit import Trust
from dermis.trainer.config import Config


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
        lineage=dict(lineage),
        files={},
    )
