"""SCIN with its unlabelled cases: after a first stage they teach too, with what the model says of them where it is 70 % sure (Lee 2013).

Train     dermis train scin_unlabelled --split split.json --store gs://bucket/dermis
Hardware  as scin
Result    not measured with images: they are in the publisher's bucket
"""

import dataclasses

from dermis.trainer.config import Stage
from dermis.trainer.configs import scin

CONFIG = dataclasses.replace(
    scin.CONFIG,
    name="scin_unlabelled",
    stages=(*scin.CONFIG.stages, Stage(epochs=15, learning_rate=1e-3, pseudo=0.7)),
)
