"""SCIN with its unlabelled cases.

A second stage adds those to which the model gives a condition at least 0.7, as pseudo-labels (Lee 2013).

Train     dermis train scin_unlabelled --split split.json --store gs://bucket/dermis
Hardware  as scin
Result    not measured: docs/how-to/train.md says why
"""

import dataclasses

from dermis.trainer.config import Stage
from dermis.trainer.configs import scin

CONFIG = dataclasses.replace(
    scin.CONFIG,
    name="scin_unlabelled",
    stages=(*scin.CONFIG.stages, Stage(epochs=15, learning_rate=1e-3, pseudo=0.7)),
)
