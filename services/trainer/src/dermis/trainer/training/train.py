"""How a model is made, from the data to the published version, in the order in which things happen.

`train` is what `dermis train` calls. `build_bundle` is the part of it that needs no store: from cases to a bundle in a
folder. Below them each step has a heading: data, search, backbone, stages, loss, optimizer and schedule, loop, resume,
calibrate, export, evaluate, publish.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import keras
import numpy as np
import tensorflow as tf

from dermis.data.dataset import Dataset, open_datasets
from dermis.data.objects import read_object
from dermis.data.split.groups import read_duplicates
from dermis.data.split.split import Split, from_text
from dermis.shared.errors import DermisError, Kind
from dermis.shared.evaluation import LearnedEpoch
from dermis.shared.manifest import (
    FEATURE_SCHEMA_FILE,
    MODEL_NAME,
    OUTLIERS_FILE,
    Condition,
    Manifest,
)
from dermis.shared.stores import open_store
from dermis.trainer.calibration.fit import CalibrationTargets, Trust
from dermis.trainer.config import Config, Stage, load_config, parse_setting, with_settings
from dermis.trainer.evaluation.decisions import by_other_folds
from dermis.trainer.evaluation.predict import open_bundle, predict, predict_uncalibrated
from dermis.trainer.evaluation.predictions import Predictions, concatenate
from dermis.trainer.evaluation.report import evaluate
from dermis.trainer.evaluation.seen_in_training import EVERY_CASE
from dermis.trainer.model import bundle
from dermis.trainer.model.backbones import make_backbone
from dermis.trainer.model.backbones.graph import fold_batch_norm
from dermis.trainer.model.card import model_card
from dermis.trainer.model.export import check_agreement, export, rounded_to_float16, serving_model
from dermis.trainer.model.head import answer_weights, with_middle, with_taps
from dermis.trainer.model.inputs import arrays, targets
from dermis.trainer.records.runs import Run
from dermis.trainer.registry.publish import publish_next
from dermis.trainer.training.answers import fit_at_once
from dermis.trainer.training.batches import Cases
from dermis.trainer.training.calibrate import calibrate
from dermis.trainer.training.epoch_log import EpochLog
from dermis.trainer.training.grid_search import grid_search
from dermis.trainer.training.loop import TrainedPart, TrainState, devices, fit, steps_per_epoch
from dermis.trainer.training.losses import cross_entropy
from dermis.trainer.training.manifest import add_textures, make_manifest, measured_knowledge
from dermis.trainer.training.optimizer import make_optimizer
from dermis.trainer.training.options import TrainOptions, Workspace
from dermis.trainer.training.parts import Parts, known_conditions, split_parts, training_record, whole
from dermis.trainer.training.run_record import failures_recorded, open_run, record_stop, run_config
from dermis.trainer.training.signals import Stop
from dermis.trainer.training.stages import StagePlan, check_order, plan_stage, stage_cases
from dermis.worker.core import answer_shares
from dermis.worker.core.outliers import to_bytes

CHECKPOINT_FILE = "progress.npz"


def train(options: TrainOptions, *, stop: Stop) -> None:
    """Train a model by a config, under a run of the store, and publish it; `stop` gets what records a stopped run."""
    # Open the data, split it
    config = with_settings(load_config(options.config), dict(map(parse_setting, options.settings)))
    dataset = open_data(config, options)
    split = from_text(read_object(options.split)) if options.split else dataset.split(seed=config.seed)
    parts = split_parts(dataset, split)
    if options.grid and not options.resume:
        config = search_settings(config, parts, options)
    folds = options.on_all or (None if options.split else config.folds)
    if folds:
        parts = whole(dataset)

    # Start a run, or resume one
    store = open_store(options.store)
    run = open_run(store, run_config(config, dataset, split), resume=options.resume)
    run.learns(training_record(parts, on_all=bool(folds)))
    workspace = Workspace(cache=options.cache, run=run, tensorboard=options.tensorboard, quiet=options.quiet)
    lineage = {
        "config": options.config,
        "data": dataset.digest,
        "split": split.digest,
        "run": run.id,
        "code": run.started.code,
    }

    # Train, calibrate, export, evaluate; publish
    with TemporaryDirectory() as scratch, failures_recorded(run):
        stop.on_signal = partial(record_stop, run, scratch)
        folder, data = Path(scratch, "bundle"), f"{dataset.source}; label policy {dataset.policy}"
        build_bundle(config, parts, folder, workspace, folds=folds, data=data, lineage=lineage)
        version = publish_next(store, folder)
    run.finish(version)
    click.echo(f"published {version.name}/{version.version} in {options.store}")


def build_bundle(
    config: Config,
    parts: Parts,
    folder: Path,
    workspace: Workspace,
    *,
    name: str = MODEL_NAME,
    folds: int | None = None,
    version: int = 1,
    data: str = "",
    lineage: Mapping[str, str] | None = None,
    textures: tuple[Sequence[Dataset], Sequence[Dataset]] | None = None,
) -> Manifest:
    """Build a bundle in `folder`, which must not exist yet; a resumed run goes on after its last checkpoint.

    `folds`: the model learns from all of `parts.train`. It is calibrated and evaluated by the predictions of models of
    the same config for folds that they did not see; each has learned from fewer cases, so the figures are, if anything,
    too low. `textures`: images of the same kind at several sizes; on the texture of the first an
    out-of-distribution rule is fitted, on that of the second it is calibrated.
    """
    conditions = known_conditions(parts.train, config)
    parts, lineage = parts.of(conditions), dict(lineage or {})

    # Train; with folds, a model of each fold's training cases before the one of all cases
    unseen = None
    if folds:
        split = parts.train.split(seed=config.seed, folds=folds)
        unseen = out_of_fold(config, parts.train, split, conditions, workspace, folds=folds)
        data = f"{data}; {folds}-fold, each case by a model that did not see it; the model of this bundle saw all"
        lineage |= {"split": split.digest, "learned": EVERY_CASE}
    model, epochs = fit_model(config, parts, conditions, workspace)

    # Calibrate, export, evaluate
    calibration = unseen or predict_uncalibrated(model, config, parts.calibration, conditions)
    wanted = CalibrationTargets(
        coverage=config.coverage,
        abstention=config.abstention,
        risk=config.risk,
        false_alarms=config.false_alarms,
        malignant=config.malignant,
        malignant_coverage=config.malignant_coverage,
        taxonomy=config.taxonomy,
    )
    trust = calibrate(wanted, config, model, parts.train, calibration, pooled_folds=unseen is not None)
    knowledge = measured_knowledge(config, unseen or parts.test)
    manifest = make_manifest(
        config, model, conditions, trust, name=name, knowledge=knowledge, version=version, lineage=lineage
    )
    export_bundle(model, config, manifest, trust, parts.test, folder, quiet=workspace.quiet)
    if textures:
        manifest = add_textures(config, manifest, textures, folder)
    write_evaluation(
        *(wanted, manifest, trust, parts, folder),
        unseen=unseen,
        learning=epochs,
        calibrated_on=len(calibration),
        data=data,
    )
    return bundle.write_manifest(manifest.model_copy(update={"files": bundle.digests(folder)}), folder)


# ----------------------------------------------------------------------------------------------------------------------
# Open the data


def open_data(config: Config, options: TrainOptions) -> Dataset:
    """Return the data sets that the options or the config name, as one; NOT_FOUND if no image can be read."""
    urls = options.data or ((config.data,) if config.data else ())
    if not urls:
        raise DermisError(Kind.INVALID, "DATA", f"the config {config.name} names no data: give --data")
    duplicates = read_duplicates(read_object(options.duplicates)) if options.duplicates else None
    mapping = options.mapping or (config.mapping if len(urls) == 1 else None)
    dataset = open_datasets(urls, mapping=mapping, policy=options.policy or config.policy, duplicates=duplicates)
    dataset.check_images()
    return dataset


# ----------------------------------------------------------------------------------------------------------------------
# Search, with --grid


def search_settings(config: Config, parts: Parts, options: TrainOptions) -> Config:
    """Return the config with the best of the options' grid; INVALID without validation cases."""
    conditions = known_conditions(parts.train, config)
    parts, workspace = parts.of(conditions), Workspace(cache=options.cache, quiet=options.quiet)
    if not parts.validation:
        raise DermisError(Kind.INVALID, "GRID", "a grid needs validation cases: split with a share for them")
    return grid_search(
        config,
        list(map(parse_setting, options.grid)),
        lambda one: fit_model(one, parts, conditions, workspace)[1][-1].metrics,
    )


# ----------------------------------------------------------------------------------------------------------------------
# Backbone


def fit_model(
    config: Config, parts: Parts, conditions: tuple[Condition, ...], workspace: Workspace
) -> tuple[keras.Model, tuple[LearnedEpoch, ...]]:
    """Return the trained model with the manifest's signature, batch norm folded, and what each epoch came to."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(config.seed)
    tf.config.experimental.enable_op_determinism()
    keras.config.set_dtype_policy(
        config.precision or ("mixed_bfloat16" if tf.config.list_physical_devices("GPU") else "float32")
    )
    try:
        backbone = new_backbone(config)
        head, epochs = fit_stages(config, parts, conditions, backbone, workspace)
    finally:
        keras.config.set_dtype_policy("float32")
    return serving_model(backbone, head, settings=config.head, mirror=config.mirrored), epochs


def new_backbone(config: Config) -> keras.Model:
    """Return the backbone that training starts from; of a trained one batch norm is folded, and stays so."""
    with devices().scope():
        backbone = with_taps(make_backbone(config.backbone, config.image_size, weights=config.weights), config.taps)
        backbone = with_middle(backbone) if config.middle else backbone
        backbone = fold_batch_norm(backbone) if config.weights else backbone
    return rounded_to_float16(backbone) if config.storage == "float16" else backbone


# ----------------------------------------------------------------------------------------------------------------------
# Stages: each trains the head and, from a layer on, the backbone


def fit_stages(
    config: Config, parts: Parts, conditions: tuple[Condition, ...], backbone: keras.Model, workspace: Workspace
) -> tuple[keras.Model, tuple[LearnedEpoch, ...]]:
    """Train a new head, and `backbone` in place as the stages say; return head and what each epoch came to."""
    check_order(config, backbone)
    plans = [plan_stage(config, number, backbone, len(conditions)) for number in range(len(config.stages))]
    log = EpochLog(config, run=workspace.run, tensorboard=workspace.tensorboard, quiet=workspace.quiet)
    save = partial(save_checkpoint, workspace.run)
    state = resume_state(workspace.run, plans)
    for plan in plans[state.stage :]:
        if plan.number:
            plan.part.head.set_weights(plans[plan.number - 1].part.head.get_weights())
        training, validation = stage_cases(config, plan, parts, conditions, state, workspace)
        fit_stage(
            plan.part, training, validation, config=config, stage=plan.stage, state=state, on_epoch=log, save=save
        )
        state = state.next_stage(plan.part.values())
        if plan is not plans[-1]:
            save(state)
    return plans[-1].part.head, log.epochs()


def fit_stage(
    part: TrainedPart,
    training: Cases,
    validation: Cases | None,
    *,
    config: Config,
    stage: Stage,
    state: TrainState,
    on_epoch: Callable[[TrainState, Mapping[str, float]], None] = lambda _state, _metrics: None,
    save: Callable[[TrainState], None] = lambda _state: None,
) -> None:
    """Train one stage from where `state` stands; see `loop.fit` for `on_epoch`, `save` and the errors."""
    if stage.solver == "lbfgs":
        fit_at_once(part, training, validation, config=config, state=state, on_epoch=on_epoch)
        return

    # Loss: cross-entropy to the reference differential, focal and smoothed where the config says so
    loss = cross_entropy(focal_gamma=config.focal, label_smoothing=config.smoothing)

    # Optimizer and schedule: AdamW; the learning rate falls along a cosine to 0 at the stage's last step
    optimizer = make_optimizer(part, config, stage, steps=stage.epochs * steps_per_epoch(training, config))

    # Loop: epochs of steps, validation after each, early stopping, the best weights at the end
    fit(
        part,
        training,
        validation,
        loss=loss,
        optimizer=optimizer,
        config=config,
        stage=stage,
        state=state,
        on_epoch=on_epoch,
        save=save,
    )


# ----------------------------------------------------------------------------------------------------------------------
# Resume: a checkpoint holds the state of its stage; the stages before it are done


def resume_state(run: Run | None, plans: Sequence[StagePlan]) -> TrainState:
    """Return the state of the run's last checkpoint, and give the stage before it the weights that it ended with."""
    if run is None or (checkpoint := run.last_checkpoint()) is None:
        return TrainState()
    state = TrainState.from_bytes(run.read_checkpoint(checkpoint)[CHECKPOINT_FILE])
    if state.stage:
        plans[state.stage - 1].part.assign(state.start)
    return state


def save_checkpoint(run: Run | None, state: TrainState) -> None:
    """Keep the state in the run, unless it has a checkpoint of this epoch."""
    if run and ((newest := run.last_checkpoint()) is None or newest.epoch < state.total):
        run.checkpoint(state.total, {CHECKPOINT_FILE: state.to_bytes()})


# ----------------------------------------------------------------------------------------------------------------------
# Calibrate


def out_of_fold(
    config: Config,
    dataset: Dataset,
    split: Split,
    conditions: tuple[Condition, ...],
    workspace: Workspace,
    *,
    folds: int,
) -> Predictions:
    """Return uncalibrated predictions of every case, each by a model that learned from the other folds."""
    by_fold = []
    for fold in range(folds):
        if not workspace.quiet:
            click.echo(f"fold {fold + 1} of {folds}")
        training, rest = dataset.fold(split, fold)
        parts = Parts(train=training, calibration=rest, test=rest)
        model, _ = fit_model(config, parts, conditions, replace(workspace, run=None, tensorboard=None))
        predicted = predict_uncalibrated(model, config, rest, conditions)
        by_fold.append(replace(predicted, fold=np.full(len(predicted), fold, np.int64)))
    return concatenate(by_fold)


# ----------------------------------------------------------------------------------------------------------------------
# Export


def export_bundle(
    model: keras.Model, config: Config, manifest: Manifest, trust: Trust, test: Dataset, folder: Path, *, quiet: bool
) -> None:
    """Write a bundle but for its evaluation into a new folder, and make sure that what serves is what was trained."""
    folder.mkdir(parents=True)
    export(model, folder, name=manifest.name, storage=config.storage)
    difference = check_agreement(
        folder,
        model,
        arrays(replace(test, samples=test.samples[:16]), config.schema, config.image_size, config.image_fit),
    )
    if not quiet:
        click.echo(f"largest difference of TensorFlow and OpenVINO to the trained model: {difference:.2g}")
    if manifest.answer_weights:
        (folder / manifest.answer_weights).write_bytes(answer_shares.to_bytes(answer_weights(model)))
    bundle.write_json(folder / FEATURE_SCHEMA_FILE, config.schema.model_dump(mode="json"))
    if trust.outlier_statistics:
        (folder / OUTLIERS_FILE).write_bytes(to_bytes(trust.outlier_statistics))
    bundle.write_manifest(manifest, folder)


# ----------------------------------------------------------------------------------------------------------------------
# Evaluate


def write_evaluation(
    wanted: CalibrationTargets,
    manifest: Manifest,
    trust: Trust,
    parts: Parts,
    folder: Path,
    *,
    unseen: Predictions | None,
    learning: tuple[LearnedEpoch, ...],
    calibrated_on: int,
    data: str,
) -> None:
    """Write evaluation and model card of the test cases, or of `unseen` predictions pooled over folds.

    Cases are decided as serving decides, on every image that can be read, as with the calibration cases.
    """
    tested = unseen or predict(open_bundle(folder), parts.test, quality_filter=False)
    labels = targets(parts.train.samples, manifest.conditions)[1]
    graders = {sample.id: sample.graders for sample in parts.test.samples}
    report = evaluate(
        manifest,
        tested,
        prior=np.bincount(labels, minlength=len(manifest.conditions)) / len(labels),
        calibrated_on=calibrated_on,
        data=data,
        outliers=None if unseen else trust.outlier_statistics,
        by_fold=by_other_folds(manifest, unseen, wanted) if unseen else None,
        graders=[graders[case] for case in tested.ids],
        cohort=parts.cohort([condition.name for condition in manifest.conditions]),
    ).model_copy(update={"learning": learning})
    bundle.write_json(folder / bundle.EVALUATION_FILE, report)
    (folder / bundle.MODEL_CARD_FILE).write_text(model_card(manifest, report), encoding="utf-8")
