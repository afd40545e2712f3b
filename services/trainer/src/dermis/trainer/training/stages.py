"""The stages of training: the backbone that they start from, what each of them trains and reads, and how one follows another."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dermis.data.dataset import Dataset
from dermis.shared.errors import DermisError, Kind
from dermis.shared.manifest import Condition
from dermis.trainer.config import Config, Stage
from dermis.trainer.model.backbones import make_backbone
from dermis.trainer.model.backbones.graph import cut, cuts, fold_batch_norm
from dermis.trainer.model.head import build_head, with_taps
from dermis.trainer.model.inputs import features, targets
from dermis.trainer.records.runs import Run
from dermis.trainer.training import augment
from dermis.trainer.training.feature_cache import CachedViews, Changed, embed, keep_prepared
from dermis.trainer.training.loop import Cases, Progress, Source, Trained, devices, fit, logits_of
from dermis.trainer.training.losses import balanced_weights
from dermis.worker.core.prepare import Image

CHECKPOINT = "progress.npz"


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


def new_backbone(config: Config) -> keras.Model:
    """Return the backbone that training starts from; where it was trained before, its batch norm is folded and stays as it was."""
    with devices().scope():
        backbone = with_taps(make_backbone(config.backbone, config.image_size, weights=config.weights), config.taps)
        return fold_batch_norm(backbone) if config.weights else backbone


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
            head = moved(head, build_head(shape, **size))
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


def moved(old: keras.Model | None, new: keras.Model) -> keras.Model:
    """Return the new model with the old one's weights, if there is an old one."""
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
