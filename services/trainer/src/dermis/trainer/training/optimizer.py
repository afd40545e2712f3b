"""The optimizer of a stage and the schedule of its learning rate."""

import keras

from dermis.trainer.config import Config, Stage
from dermis.trainer.training.loop import TrainedPart, devices


def make_optimizer(part: TrainedPart, config: Config, stage: Stage, *, steps: int) -> keras.optimizers.Optimizer:
    """Return AdamW for the part's weights; the learning rate falls along a cosine to 0 at step `steps`.

    With `config.ema` it keeps an exponential moving average of the weights.
    """
    schedule = keras.optimizers.schedules.CosineDecay(stage.learning_rate, max(1, steps))
    average = {"use_ema": True, "ema_momentum": config.ema} if config.ema else {}
    with devices().scope():
        optimizer = keras.optimizers.AdamW(schedule, weight_decay=config.weight_decay, **average)
        optimizer.build(part.trainable)
    return optimizer
