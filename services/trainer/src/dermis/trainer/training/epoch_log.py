"""What training says of each epoch: a line on the terminal, TensorBoard's events, a fact of the run."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import tensorflow as tf

from dermis.shared.evaluation import LearnedEpoch
from dermis.trainer.config import Config
from dermis.trainer.records.runs import Run
from dermis.trainer.training.loop import TrainState

_COLUMNS = {
    "loss": "loss {:.4f}",
    "validation_loss": "validation loss {:.4f}",
    "validation_top_1": "top-1 {:.3f}",
    "validation_top_3": "top-3 {:.3f}",
    "learning_rate": "learning rate {:.2g}",
}


class EpochLog:
    """Says what came of each epoch, and remembers it."""

    def __init__(self, config: Config, *, run: Run | None, tensorboard: Path | None, quiet: bool) -> None:
        self._epochs: list[LearnedEpoch] = []
        self._stages, self._run, self._quiet = config.stages, run, quiet
        self._writer = tf.summary.create_file_writer(str(tensorboard)) if tensorboard else None
        self._began = time.monotonic()

    def __call__(self, state: TrainState, metrics: Mapping[str, float]) -> None:
        """Say that an epoch has ended; CONFLICT if another process has resumed the run."""
        self._epochs.append(LearnedEpoch(epoch=state.total, stage=state.stage + 1, metrics=dict(metrics)))
        if not self._quiet:
            click.echo(f"{epoch_line(state, metrics, self._stages)}  {time.monotonic() - self._began:.1f} s")
        if self._writer:
            _write_scalars(self._writer, metrics, state.total)
        if self._run:
            self._run.epoch(
                state.total, metrics, stage=str(state.stage), of=sum(stage.epochs for stage in self._stages)
            )
        self._began = time.monotonic()

    def epochs(self) -> tuple[LearnedEpoch, ...]:
        """Return what each epoch came to, of a run's earlier attempts too."""
        if self._run is None:
            return tuple(self._epochs)
        return tuple(
            LearnedEpoch(epoch=fact.epoch, stage=int(fact.stage or 0) + 1, metrics=fact.metrics)
            for fact in self._run.epochs()
        )


def epoch_line(state: TrainState, metrics: Mapping[str, float], stages: Any) -> str:
    """Return an epoch's line: stage, epoch, and the metrics that there are."""
    where = f"stage {state.stage + 1}/{len(stages)}  epoch {state.epoch}/{stages[state.stage].epochs}"
    return "  ".join([where, *(text.format(metrics[name]) for name, text in _COLUMNS.items() if name in metrics)])


def _write_scalars(writer: Any, metrics: Mapping[str, float], epoch: int) -> None:
    """Write TensorBoard's scalars; tf.summary.scalar does the same, but only where TensorBoard itself is installed."""
    about = tf.compat.v1.SummaryMetadata(data_class="DATA_CLASS_SCALAR")
    about.plugin_data.plugin_name = "scalars"
    with writer.as_default(step=epoch):
        for name, value in metrics.items():
            tf.summary.write(name, tf.constant(value, tf.float32), metadata=about)
    writer.flush()
