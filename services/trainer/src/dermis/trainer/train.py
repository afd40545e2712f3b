"""Train, calibrate, evaluate, export: one script, read it from top to bottom."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from scipy.special import softmax

from dermis.shared.errors import DermisError, Kind
from dermis.shared.manifest import FEATURE_SCHEMA_FILE, MANIFEST_FILE, OUTLIERS_FILE, Condition, Manifest
from dermis.shared.vocabulary import FitzpatrickSkinType
from dermis.trainer import augment, bundle
from dermis.trainer.backbones import make_backbone
from dermis.trainer.backbones.graph import cut, cuts, fold_batch_norm
from dermis.trainer.card import model_card
from dermis.trainer.core.predictions import Predictions, Shown
from dermis.trainer.core.samples import NOT_GIVEN
from dermis.trainer.core.trust import Wanted, fit_trust
from dermis.trainer.embed import CachedViews, Changed, embed, keep_prepared
from dermis.trainer.evaluate import by_other_folds, evaluate
from dermis.trainer.export import check_agreement, export
from dermis.trainer.fit import Cases, Progress, Source, Trained, devices, fit, logits_of
from dermis.trainer.inputs import Dataset, arrays, conditions_of, features, predictions, targets, without_answers, without_images
from dermis.trainer.learned import EVERY_CASE
from dermis.trainer.model import balanced_weights, build_head, join, mirrored, with_taps
from dermis.trainer.predict import open_bundle, predict
from dermis.trainer.recipe import Config, Stage
from dermis.trainer.runs import Run
from dermis.worker.core.differential import FITZPATRICK_GROUPS
from dermis.worker.core.outliers import to_bytes
from dermis.worker.core.prepare import Image

CHECKPOINT = "progress.npz"
BATCH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The cases of a run. Without `validation` each stage runs to its end; `unlabelled` cases teach only where a stage says so."""

    train: Dataset
    calibration: Dataset
    test: Dataset
    validation: Dataset | None = None
    unlabelled: Dataset | None = None

    def of(self, conditions: tuple[Condition, ...]) -> "Parts":
        """Return the cases that name one of these conditions."""
        names = [condition.name for condition in conditions]
        return replace(
            self,
            train=self.train.labelled(names),
            calibration=self.calibration.labelled(names),
            test=self.test.labelled(names),
            validation=self.validation.labelled(names) if self.validation else None,
        )


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
    """Calibrate, export and evaluate; `measured`: predictions to evaluate, by default what the bundle says of `test`, as in serving."""
    conditions = calibration.conditions
    types = (None if value == NOT_GIVEN else FitzpatrickSkinType(value) for value in calibration.slices["fitzpatrick_self"])
    embedding = known = calibration.embedding
    if config.false_alarms:
        known = model.predict(arrays(training, config.schema, config.image_size), batch_size=BATCH, verbose=0)["embedding"]
    if config.false_alarms and measured:  # pooled folds spoke with other embeddings than this model: every other group stands in
        _, place = np.unique([sample.group for sample in training.samples], return_inverse=True)
        known, embedding = known[place % 2 == 0], known[place % 2 == 1]
    wanted = Wanted(coverage=config.coverage, abstention=config.abstention, risk=config.risk, false_alarms=config.false_alarms)
    trust = fit_trust(
        wanted,
        raw=calibration.raw["images and answers"],
        target=calibration.target,
        labels=calibration.labels,
        groups=[FITZPATRICK_GROUPS.get(fst) for fst in types],
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

    # Evaluate, as serving would answer.
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


def new_backbone(config: Config) -> keras.Model:
    """Return the backbone that training starts from; where it was trained before, its batch norm is folded and stays as it was."""
    with devices().scope():
        backbone = with_taps(make_backbone(config.backbone, config.image_size, weights=config.weights), config.taps)
        return fold_batch_norm(backbone) if config.weights else backbone


def served(config: Config, backbone: keras.Model, head: keras.Model) -> keras.Model:
    """Return backbone and head as one model, as it is exported: in float32, however it was trained."""
    folded = fold_batch_norm(backbone)
    if config.mirrored:
        folded = mirrored(folded)
    columns, conditions = head.input["features"].shape[-1], head.output["logits"].shape[-1]
    whole = build_head(folded.output.shape[1:], columns=columns, conditions=conditions, head=config.head)
    return join(folded, _moved(head, whole))


def fit_stages(
    config: Config,
    parts: Parts,
    conditions: tuple[Condition, ...],
    backbone: keras.Model,
    *,
    cache: Path,
    run: Run | None = None,
    tensorboard: Path | None = None,
    quiet: bool = False,
) -> tuple[keras.Model, dict[str, float]]:
    """Train a new head, and of `backbone` what the stages say, in place; return the head and the last epoch's metrics."""
    size: dict[str, Any] = {"columns": len(config.schema.columns), "conditions": len(conditions), "head": config.head}
    head, progress, last = None, _progress(run), dict[str, float]()
    of = sum(stage.epochs for stage in config.stages)
    _check_order(config, backbone)

    def ended(progress: Progress, metrics: Mapping[str, float]) -> None:
        last.update(metrics)
        if run:
            run.epoch(progress.total, metrics, stage=str(progress.stage), of=of)

    def keep(progress: Progress) -> None:
        if run:
            run.checkpoint(progress.total, {CHECKPOINT: progress.to_bytes()})

    for number, stage in enumerate(config.stages):
        trunk, rest = _apart(backbone, stage.after)
        shape = backbone.output.shape[1:] if rest or config.head.needs_maps else (1, 1, backbone.output.shape[-1])
        with devices().scope():
            head = _moved(head, build_head(shape, **size))
        trained = Trained(rest, head)
        if number < progress.stage - 1 or (number == progress.stage - 1 and not progress.start):
            continue
        if number == progress.stage - 1:
            trained.assign(progress.start)
            continue
        source_of = _sources(config, stage, trunk, pooled=rest is None and not config.head.needs_maps, cache=cache, quiet=quiet)
        training = _cases(parts.train, config, conditions, source_of(parts.train))
        validation = None
        if parts.validation:
            validation = _cases(parts.validation, config, conditions, source_of(parts.validation))
        if config.head.standardised and number == 0 and not progress.weights:
            maps, mask = training.source.load(np.arange(len(training)), None)
            if rest is not None:
                raise DermisError(Kind.INVALID, "STAGES", "a standardised head needs a first stage with after=None: add one")
            head.get_layer("standardise").measure(maps[mask].mean((1, 2)))
        if stage.pseudo is not None and parts.unlabelled is not None:
            training = _with_pseudo(training, parts.unlabelled, trained, progress, config, conditions, stage.pseudo, source_of)
        fit(
            trained,
            training,
            validation,
            config=config,
            stage=stage,
            progress=progress,
            epoch_ended=ended,
            keep=keep,
            tensorboard=tensorboard,
            quiet=quiet,
        )
        progress = Progress(stage=number + 1, total=progress.total, start=trained.values())
        if run and number + 1 < len(config.stages) and _newest(run) < progress.total:
            keep(progress)
    assert head is not None  # noqa: S101
    return head, last


def _progress(run: Run | None) -> Progress:
    held = run.last_checkpoint() if run else None
    return Progress.from_bytes(run.read_checkpoint(held)[CHECKPOINT]) if run and held else Progress()


def _newest(run: Run) -> int:
    held = run.last_checkpoint()
    return held.epoch if held else 0


def _check_order(config: Config, backbone: keras.Model) -> None:
    """Raise INVALID unless each stage trains all that the one before it trained."""
    order = ["", *cuts(backbone)]
    places = [len(order) if stage.after is None else order.index(stage.after) if stage.after in order else 0 for stage in config.stages]
    if places != sorted(places, reverse=True):
        raise DermisError(
            Kind.INVALID, "STAGES", f"stages after {[stage.after for stage in config.stages]}: unfreeze more and more, from the end"
        )


def _apart(backbone: keras.Model, after: str | None) -> tuple[keras.Model | None, keras.Model | None]:
    """Return (what stays frozen, what is trained) of the backbone."""
    if after is None:
        return backbone, None
    if after == "":
        return None, backbone
    return cut(backbone, after)


def _moved(old: keras.Model | None, new: keras.Model) -> keras.Model:
    if old is not None:
        new.set_weights(old.get_weights())
    return new


def _sources(
    config: Config, stage: Stage, trunk: keras.Model | None, *, pooled: bool, cache: Path, quiet: bool
) -> Callable[[Dataset], Source]:
    """Return what gives a data set's images to a stage."""
    if stage.images == "cached":
        if trunk is None:
            raise DermisError(Kind.INVALID, "STAGES", 'a stage that trains the whole backbone has nothing to cache: say images="augmented"')
        views = ("plain", "mirror") if config.mirrored else ("plain",)

        def cached(dataset: Dataset) -> Source:
            held, places = embed(dataset, trunk, cache, views=views, pooled=pooled, quiet=quiet)
            return CachedViews(held, places, views, mean=config.mirrored and (pooled or stage.after is None))

        return cached

    def change(image: Image, rng: np.random.Generator) -> Image:
        if config.tone_preserving:
            image = augment.tone_preserving(image, rng)
        return augment.tone_shifting(image, rng) if config.tone_shifting else image

    def anew(dataset: Dataset) -> Source:
        held, places = keep_prepared(dataset, config.image_size, cache, quiet=quiet)
        source: Source = Changed(held, places, change)
        return source if trunk is None else _Through(source, trunk, pooled=pooled)

    return anew


class _Through:
    """A source seen through a frozen trunk, run anew on each batch."""

    def __init__(self, source: Source, trunk: keras.Model, *, pooled: bool) -> None:
        self._source, self._pooled = source, pooled
        self._run = tf.function(lambda x: trunk(x, training=False), reduce_retracing=True, autograph=False)

    def load(self, places: Any, rng: np.random.Generator | None) -> tuple[Any, Any]:
        images, mask = self._source.load(places, rng)
        maps = self._run(tf.constant(images.reshape(-1, *images.shape[2:]), tf.float32)).numpy()
        maps = maps.mean((1, 2), keepdims=True) if self._pooled else maps
        return maps.reshape(*mask.shape, *maps.shape[1:]), mask


def _cases(dataset: Dataset, config: Config, conditions: tuple[Condition, ...], source: Source) -> Cases:
    target, _ = targets(dataset.samples, conditions)
    return Cases(
        source=source,
        features=features(dataset.samples, config.schema),
        target=target,
        weight=balanced_weights(target) if config.balanced else np.ones(len(target)),
        ids=tuple(sample.id for sample in dataset.samples),
    )


@dataclass(frozen=True, slots=True)
class _Both:
    """Two sources, one after the other; the second's cases by their places in it."""

    first: Source
    n: int
    second: Source
    chosen: np.ndarray

    def load(self, places: Any, rng: np.random.Generator | None) -> tuple[Any, Any]:
        later = places >= self.n
        ones, others = self.first.load(places[~later], rng), self.second.load(self.chosen[places[later] - self.n], rng)
        images = np.zeros((len(places), *ones[0].shape[1:]), ones[0].dtype)
        mask = np.zeros((len(places), *ones[1].shape[1:]), bool)
        images[~later], mask[~later] = ones
        images[later], mask[later] = others
        return images, mask


def _with_pseudo(
    training: Cases,
    unlabelled: Dataset,
    trained: Trained,
    progress: Progress,
    config: Config,
    conditions: tuple[Condition, ...],
    least: float,
    source_of: Callable[[Dataset], Source],
) -> Cases:
    """Add the unlabelled cases of which the model is at least that sure, with what it says as their differential (Lee 2013)."""
    other = _cases(unlabelled, config, conditions, source_of(unlabelled))
    if not progress.extra:
        said = np.asarray(keras.ops.softmax(logits_of(trained, other, batch=64)))
        chosen = np.flatnonzero(said.max(1) >= least)
        progress.extra = [chosen, said[chosen]]
    chosen, target = progress.extra
    return Cases(
        source=_Both(training.source, len(training), other.source, chosen),
        features=np.concatenate([training.features, other.features[chosen]]),
        target=np.concatenate([training.target, target]),
        weight=np.concatenate([training.weight, np.ones(len(chosen))]),
        ids=training.ids + tuple(other.ids[n] for n in chosen),
    )
