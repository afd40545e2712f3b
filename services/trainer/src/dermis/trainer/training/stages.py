"""A stage of training: what of the backbone is trained, the head on it, and the cases that it reads."""

from dataclasses import dataclass

import keras
import numpy as np

from dermis.data.dataset import Dataset
from dermis.shared.errors import DermisError, Kind
from dermis.shared.manifest import Condition
from dermis.trainer.config import Config, Stage
from dermis.trainer.model.backbones.graph import cut, cuts
from dermis.trainer.model.head import build_head
from dermis.trainer.training.batches import Cases, make_cases
from dermis.trainer.training.loop import TrainedPart, TrainState, devices, predict_logits
from dermis.trainer.training.options import Workspace
from dermis.trainer.training.parts import Parts
from dermis.trainer.training.sources import Joined, open_source

MEASURED_AT_ONCE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePlan:
    """A stage, the `trunk` of the backbone that stays frozen, None if all is trained, and the part to train."""

    number: int
    stage: Stage
    trunk: keras.Model | None
    part: TrainedPart
    pooled: bool


def check_order(config: Config, backbone: keras.Model) -> None:
    """Raise INVALID unless each stage trains all that the one before it trained."""
    order, layers = ["", *cuts(backbone)], [stage.after for stage in config.stages]
    places = [len(order) if after is None else order.index(after) if after in order else 0 for after in layers]
    if places != sorted(places, reverse=True):
        raise DermisError(Kind.INVALID, "STAGES", f"stages after {layers}: unfreeze more and more, from the end")


def plan_stage(config: Config, number: int, backbone: keras.Model, conditions: int) -> StagePlan:
    """Cut the backbone where the stage says, and build a new head for it."""
    after = config.stages[number].after
    trunk, rest = (backbone, None) if after is None else (None, backbone) if after == "" else cut(backbone, after)
    pooled = rest is None and not config.head.needs_maps
    shape = (1, 1, backbone.output.shape[-1]) if pooled else backbone.output.shape[1:]
    with devices().scope():
        head = build_head(shape, columns=len(config.schema.columns), conditions=conditions, head=config.head)
    return StagePlan(
        number=number, stage=config.stages[number], trunk=trunk, part=TrainedPart(rest, head), pooled=pooled
    )


def stage_cases(
    config: Config,
    plan: StagePlan,
    parts: Parts,
    conditions: tuple[Condition, ...],
    state: TrainState,
    workspace: Workspace,
) -> tuple[Cases, Cases | None]:
    """Return the stage's training and validation cases; a standardised head measures its features here, once."""

    def cases_of(dataset: Dataset) -> Cases:
        source = open_source(
            dataset, config, plan.stage, plan.trunk, pooled=plan.pooled, cache=workspace.cache, quiet=workspace.quiet
        )
        return make_cases(dataset, config, conditions, source)

    training = cases_of(parts.train)
    validation = cases_of(parts.validation) if parts.validation else None
    if config.head.standardised and plan.number == 0 and not state.weights:
        measure_features(plan, training)
    if plan.stage.pseudo is not None and parts.unlabelled is not None:
        training = with_pseudo_labels(training, cases_of(parts.unlabelled), plan.part, state, least=plan.stage.pseudo)
    return training, validation


def measure_features(plan: StagePlan, training: Cases) -> None:
    """Give a standardised head mean and spread of the training features; INVALID where these are trained too."""
    if plan.part.rest is not None:
        raise DermisError(Kind.INVALID, "STAGES", "a standardised head needs a first stage with after=None: add one")
    count, sums, squares = 0, 0.0, 0.0  # a batch at a time: all features at once would grow with the cases
    for start in range(0, len(training), MEASURED_AT_ONCE):
        maps, mask = training.source.load(np.arange(start, min(start + MEASURED_AT_ONCE, len(training))), None)
        pooled = maps[mask].mean((1, 2), dtype=np.float64)
        count, sums, squares = count + len(pooled), sums + pooled.sum(0), squares + (pooled**2).sum(0)
    mean = sums / count
    spread = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
    plan.part.head.get_layer("standardise").assign(mean, spread)


def with_pseudo_labels(
    training: Cases, unlabelled: Cases, part: TrainedPart, state: TrainState, *, least: float
) -> Cases:
    """Add the unlabelled cases with a condition of at least that probability, the prediction as target (Lee 2013)."""
    if not state.pseudo_labels:
        predicted = np.asarray(keras.ops.softmax(predict_logits(part, unlabelled, batch=64)))
        confident = np.flatnonzero(predicted.max(1) >= least)
        state.pseudo_labels = [confident, predicted[confident]]
    chosen, target = state.pseudo_labels
    return Cases(
        source=Joined(training.source, len(training), unlabelled.source, chosen),
        features=np.concatenate([training.features, unlabelled.features[chosen]]),
        target=np.concatenate([training.target, target]),
        weight=np.concatenate([training.weight, np.ones(len(chosen))]),
        ids=training.ids + tuple(unlabelled.ids[place] for place in chosen),
    )
