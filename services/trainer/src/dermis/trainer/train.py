"""Train, calibrate, evaluate, export: one script, read it from top to bottom."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import keras
import numpy as np
import tensorflow as tf

from dermis.shared.manifest import (
    FEATURE_SCHEMA_FILE,
    MANIFEST_FILE,
    OUTLIERS_FILE,
    AbstentionRule,
    Condition,
    FeatureSchema,
    Manifest,
)
from dermis.trainer import bundle
from dermis.trainer.card import model_card
from dermis.trainer.core.predictions import Shown
from dermis.trainer.core.trust import Wanted, fit_trust
from dermis.trainer.evaluate import evaluate
from dermis.trainer.export import check_agreement, export
from dermis.trainer.inputs import Dataset, Inputs, arrays, fitzpatrick_groups, predictions, targets, without_answers, without_images
from dermis.trainer.model import build
from dermis.worker.core.outliers import to_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that a run depends on. `part` makes the cases of "train", "calibration" or "test"; `risk`, `false_alarms`: as of `trust.Wanted`."""

    version: int
    purpose: Literal["demo", "research", "release"]
    seed: int
    image_size: int
    backbone: Callable[[int], keras.Model]
    conditions: tuple[Condition, ...]
    schema: FeatureSchema
    part: Callable[[str], Dataset]
    data: str
    epochs: int
    batch: int
    learning_rate: float
    coverage: float
    abstention: AbstentionRule
    lineage: dict[str, str]
    risk: float | None = None
    false_alarms: float | None = None


def train(config: Config, folder: Path) -> Manifest:
    """Build a bundle in `folder`, which must not exist yet."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(config.seed)
    tf.config.experimental.enable_op_determinism()
    folder.mkdir(parents=True)

    print("cases ...", flush=True)
    training, calibration, test = (config.part(name) for name in ("train", "calibration", "test"))
    shown, shown_calibration, shown_test = (arrays(part, config.schema, config.image_size) for part in (training, calibration, test))
    labels = targets(training.samples, config.conditions)[1]

    # Fit.
    model = build(
        config.backbone(config.image_size),
        image_size=config.image_size,
        columns=len(config.schema.columns),
        conditions=len(config.conditions),
    )
    fitted = keras.Model(model.input, model({**model.input, "images": _flipped(model.input["images"])})["logits"])
    steps = config.epochs * -(-len(training) // config.batch)
    fitted.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(config.learning_rate, steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    fitted.fit(shown, labels, batch_size=config.batch, epochs=config.epochs, verbose=2)

    # Calibrate, on cases of its own.
    def outputs(inputs: Inputs) -> dict[str, np.ndarray]:
        return dict(model.predict(inputs, batch_size=config.batch, verbose=0))

    said = outputs(shown_calibration)
    target, labels_calibration = targets(calibration.samples, config.conditions)
    trust = fit_trust(
        Wanted(coverage=config.coverage, abstention=config.abstention, risk=config.risk, false_alarms=config.false_alarms),
        raw=said["probabilities"],
        target=target,
        labels=labels_calibration,
        groups=fitzpatrick_groups(calibration.samples),
        embedding=said["embedding"],
        training_embedding=outputs(shown)["embedding"] if config.false_alarms else said["embedding"],
    )
    if trust.known:
        (folder / OUTLIERS_FILE).write_bytes(to_bytes(trust.known))

    # Export, and make sure that what serves is what was trained.
    export(model, folder)
    some = {name: array[:16] for name, array in shown_test.items()}
    print(f"largest difference of TensorFlow and OpenVINO to the trained model: {check_agreement(folder, model, some):.2g}", flush=True)
    height, width, channels = model.output["cam"].shape[2:4] + model.output["embedding"].shape[1:]
    manifest = Manifest(
        version=config.version,
        purpose=config.purpose,
        image_size=config.image_size,
        conditions=config.conditions,
        feature_schema=config.schema.id,
        embedding_size=channels,
        cam_size=(height, width),
        calibration=trust.calibration,
        prediction_sets=trust.prediction_sets,
        abstention=trust.abstention,
        outliers=trust.outliers,
        lineage=config.lineage,
        files={},
    )
    bundle.write_json(folder / FEATURE_SCHEMA_FILE, config.schema.model_dump(mode="json"))

    # Evaluate, as the worker would answer.
    prior = np.bincount(labels, minlength=len(config.conditions)) / len(training)
    found = outputs(shown_test)
    raw: dict[Shown, np.ndarray] = {
        "images and answers": found["probabilities"],
        "images alone": outputs(without_answers(shown_test, config.schema))["probabilities"],
        "answers alone": outputs(without_images(shown_test))["probabilities"],
    }
    report = evaluate(
        manifest,
        predictions(test, config.conditions, raw, embedding=found["embedding"], model=f"{manifest.name}/{manifest.version}"),
        prior=prior,
        calibrated_on=len(calibration),
        data=config.data,
        outliers=trust.known,
        graders=[sample.graders for sample in test.samples],
    )
    bundle.write_json(folder / bundle.EVALUATION_FILE, report)
    (folder / bundle.MODEL_CARD_FILE).write_text(model_card(manifest, report), encoding="utf-8")

    manifest = manifest.model_copy(update={"files": bundle.digests(folder)})
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return manifest


def _flipped(images: keras.KerasTensor) -> keras.KerasTensor:
    """Flip each image at random, in training only; uint8[B,3,S,S,3]."""
    single = keras.ops.reshape(keras.ops.cast(images, "float32"), (-1, *images.shape[2:]))
    return keras.ops.cast(keras.ops.reshape(keras.layers.RandomFlip()(single), (-1, *images.shape[1:])), "uint8")
