"""Train, calibrate, evaluate, export: one script, read it from top to bottom."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from scipy.special import softmax

from dermis.data.dataset import Dataset, conditions_of
from dermis.shared.errors import DermisError, Kind
from dermis.shared.manifest import FEATURE_SCHEMA_FILE, MANIFEST_FILE, OUTLIERS_FILE, Condition, Manifest
from dermis.trainer.calibration.fit import Wanted, fit_trust
from dermis.trainer.config import Config
from dermis.trainer.evaluation.decisions import by_other_folds
from dermis.trainer.evaluation.predict import open_bundle, predict, predictions
from dermis.trainer.evaluation.predictions import SHOWN_TO_SERVE, Predictions, Shown
from dermis.trainer.evaluation.report import evaluate
from dermis.trainer.evaluation.seen_in_training import EVERY_CASE
from dermis.trainer.evaluation.slices import fitzpatrick_groups
from dermis.trainer.model import bundle
from dermis.trainer.model.backbones.graph import fold_batch_norm
from dermis.trainer.model.card import model_card
from dermis.trainer.model.export import check_agreement, export
from dermis.trainer.model.head import build_head, join, mirrored
from dermis.trainer.model.inputs import arrays, targets, without_answers, without_images
from dermis.trainer.records.runs import Run
from dermis.trainer.training.stages import Parts, fit_stages, moved, new_backbone
from dermis.worker.core.outliers import to_bytes

BATCH = 16


def train(
    config: Config,
    parts: Parts,
    folder: Path,
    *,
    cache: Path,
    version: int = 1,
    data: str = "",
    lineage: Mapping[str, str] | None = None,
    run: Run | None = None,
    tensorboard: Path | None = None,
    quiet: bool = False,
) -> Manifest:
    """Build a bundle in `folder`, which must not exist yet; a `run` that was resumed goes on after its last checkpoint."""
    conditions = known_conditions(parts.train, config)
    parts = parts.of(conditions)
    model, _ = fit_model(config, parts, conditions, cache=cache, run=run, tensorboard=tensorboard, quiet=quiet)
    calibration = ask(model, config, parts.calibration, conditions)
    about: dict[str, Any] = {"version": version, "data": data, "lineage": dict(lineage or {}), "quiet": quiet}
    return pack(config, model, parts.train, parts.test, calibration, None, folder, **about)


def train_on_all(
    config: Config,
    dataset: Dataset,
    folder: Path,
    *,
    folds: int,
    cache: Path,
    version: int = 1,
    data: str = "",
    lineage: Mapping[str, str] | None = None,
    run: Run | None = None,
    tensorboard: Path | None = None,
    quiet: bool = False,
) -> Manifest:
    """Build a bundle of a model that learned from every case.

    It is calibrated and evaluated by what models of the same config say of the folds that they did not see: each has learned from fewer
    cases than the model in the bundle, so the figures are, if anything, too low.
    """
    conditions = known_conditions(dataset, config)
    dataset = dataset.labelled([condition.name for condition in conditions])
    split = dataset.split(seed=config.seed, folds=folds)
    said = []
    for fold in range(folds):
        training, held = dataset.fold(split, fold)
        model, _ = fit_model(config, Parts(train=training, calibration=held, test=held), conditions, cache=cache, quiet=quiet)
        found = ask(model, config, held, conditions)
        said.append(replace(found, fold=np.full(len(found), fold, np.int64)))
    unseen = _joined(said)
    whole = Parts(train=dataset, calibration=dataset, test=dataset)
    model, _ = fit_model(config, whole, conditions, cache=cache, run=run, tensorboard=tensorboard, quiet=quiet)
    how = f"{data}; {folds}-fold, each case by a model that did not see it; the model of this bundle saw all"
    about: dict[str, Any] = {
        "version": version,
        "data": how,
        "lineage": {**(lineage or {}), "split": split.digest, "learned": EVERY_CASE},
        "quiet": quiet,
    }
    return pack(config, model, dataset, dataset, unseen, unseen, folder, **about)


def ask(model: keras.Model, config: Config, dataset: Dataset, conditions: tuple[Condition, ...]) -> Predictions:
    """Return what a trained model says of cases, before it is calibrated: one pass, as images and answers add up to the logits."""
    inputs = arrays(dataset, config.schema, config.image_size)
    found = model.predict(inputs, batch_size=BATCH, verbose=0)
    nothing = without_images(without_answers({name: rows[:1] for name, rows in inputs.items()}, config.schema))
    silent = model.predict(nothing, verbose=0)["answers_logits"]
    raw: dict[Shown, np.ndarray] = {
        "images and answers": found["probabilities"],
        "images alone": softmax(found["logits"] - found["answers_logits"] + silent, axis=1),
        "answers alone": softmax(found["answers_logits"], axis=1),
    }
    return predictions(dataset, conditions, raw, embedding=found["embedding"], model=config.name)


def _joined(said: Sequence[Predictions]) -> Predictions:
    first = said[0]
    return replace(
        first,
        ids=tuple(name for one in said for name in one.ids),
        groups=tuple(name for one in said for name in one.groups),
        target=np.concatenate([one.target for one in said]),
        labels=np.concatenate([one.labels for one in said]),
        raw={shown: np.concatenate([one.raw[shown] for one in said]) for shown in first.raw},
        embedding=np.concatenate([one.embedding for one in said]),
        slices={name: tuple(value for one in said for value in one.slices[name]) for name in first.slices},
        fold=np.concatenate([one.fold for one in said]),
    )


def pack(
    config: Config,
    model: keras.Model,
    training: Dataset,
    test: Dataset,
    calibration: Predictions,
    measured: Predictions | None,
    folder: Path,
    *,
    version: int,
    data: str,
    lineage: dict[str, str],
    quiet: bool,
) -> Manifest:
    """Calibrate, export and evaluate; `measured`: predictions to evaluate, by default what the bundle says of `test`.

    Either way the model is shown every image that can be read, as with the calibration cases: what temperature, sets and abstention
    promise holds for cases like these. Serving leaves UNUSABLE images out: `dermis evaluate` measures that.
    """
    conditions = calibration.conditions
    embedding = known = calibration.embedding
    if config.false_alarms:
        known = model.predict(arrays(training, config.schema, config.image_size), batch_size=BATCH, verbose=0)["embedding"]
    if config.false_alarms and measured:  # pooled folds spoke with other embeddings than this model: every other group stands in
        _, place = np.unique([sample.group for sample in training.samples], return_inverse=True)
        known, embedding = known[place % 2 == 0], known[place % 2 == 1]
    wanted = Wanted(coverage=config.coverage, abstention=config.abstention, risk=config.risk, false_alarms=config.false_alarms)
    trust = fit_trust(
        wanted,
        raw=calibration.raw[SHOWN_TO_SERVE],
        target=calibration.target,
        labels=calibration.labels,
        groups=fitzpatrick_groups(calibration),
        embedding=embedding,
        training_embedding=known,
    )

    # Export, and make sure that what serves is what was trained.
    folder.mkdir(parents=True)
    export(model, folder)
    some = arrays(replace(test, samples=test.samples[:16]), config.schema, config.image_size)
    off = check_agreement(folder, model, some)
    if not quiet:
        print(f"largest difference of TensorFlow and OpenVINO to the trained model: {off:.2g}", flush=True)
    bundle.write_json(folder / FEATURE_SCHEMA_FILE, config.schema.model_dump(mode="json"))
    if trust.known:
        (folder / OUTLIERS_FILE).write_bytes(to_bytes(trust.known))
    height, width, channels = model.output["cam"].shape[2:4] + model.output["embedding"].shape[1:]
    manifest = Manifest(
        version=version,
        purpose=config.purpose,
        image_size=config.image_size,
        conditions=conditions,
        feature_schema=config.schema.id,
        embedding_size=channels,
        cam_size=(height, width),
        calibration=trust.calibration,
        prediction_sets=trust.prediction_sets,
        abstention=trust.abstention,
        outliers=trust.outliers,
        lineage=lineage,
        files={},
    )
    _write_manifest(manifest, folder)

    # Evaluate: decided as serving decides, on the images that calibration saw.
    said = measured or predict(open_bundle(folder), test, quality_filter=False)
    labels = targets(training.samples, conditions)[1]
    prior = np.bincount(labels, minlength=len(conditions)) / len(labels)
    graders = {sample.id: sample.graders for sample in test.samples}
    report = evaluate(
        manifest,
        said,
        prior=prior,
        calibrated_on=len(calibration),
        data=data,
        outliers=None if measured else trust.known,
        by_fold=by_other_folds(manifest, measured, wanted) if measured else None,
        graders=[graders[name] for name in said.ids],
    )
    bundle.write_json(folder / bundle.EVALUATION_FILE, report)
    (folder / bundle.MODEL_CARD_FILE).write_text(model_card(manifest, report), encoding="utf-8")
    return _write_manifest(manifest.model_copy(update={"files": bundle.digests(folder)}), folder)


def _write_manifest(manifest: Manifest, folder: Path) -> Manifest:
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return manifest


def known_conditions(training: Dataset, config: Config) -> tuple[Condition, ...]:
    """Return the conditions that at least `least_cases` training cases name; INVALID where fewer than two remain."""
    found = conditions_of(training.samples)
    counts = {name: sum(name in sample.target for sample in training.samples) for name in (condition.name for condition in found)}
    known = tuple(condition for condition in found if counts[condition.name] >= config.least_cases)
    if len(known) < 2:
        detail = f"{len(known)} conditions have {config.least_cases} training cases: lower least_cases, or bring more labelled cases"
        raise DermisError(Kind.INVALID, "CONDITIONS", detail)
    return known


def fit_model(
    config: Config,
    parts: Parts,
    conditions: tuple[Condition, ...],
    *,
    cache: Path,
    run: Run | None = None,
    tensorboard: Path | None = None,
    quiet: bool = False,
) -> tuple[keras.Model, dict[str, float]]:
    """Return the trained model with the manifest's signature, batch norm folded, and the last epoch's metrics."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(config.seed)
    tf.config.experimental.enable_op_determinism()
    keras.config.set_dtype_policy(config.precision or ("mixed_bfloat16" if tf.config.list_physical_devices("GPU") else "float32"))
    try:
        backbone = new_backbone(config)
        head, last = fit_stages(config, parts, conditions, backbone, cache=cache, run=run, tensorboard=tensorboard, quiet=quiet)
    finally:
        keras.config.set_dtype_policy("float32")
    return served(config, backbone, head), last


def served(config: Config, backbone: keras.Model, head: keras.Model) -> keras.Model:
    """Return backbone and head as one model, as it is exported: in float32, however it was trained."""
    folded = fold_batch_norm(backbone)
    if config.mirrored:
        folded = mirrored(folded)
    columns, conditions = head.input["features"].shape[-1], head.output["logits"].shape[-1]
    whole = build_head(folded.output.shape[1:], columns=columns, conditions=conditions, head=config.head)
    return join(folded, moved(head, whole))
