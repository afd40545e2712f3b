"""The tutorial: EfficientNet-Lite0 as published and frozen, a small head and the answers.

Quick enough to try, for drawn cases only.

Train     dermis train tutorial --data FOLDER --policy scin-all --split split.json --store URL
Hardware  2 CPU cores, 2 GB of memory, a minute
Result    sixty drawn cases of seed 7: test top-3 0.92 (floor 0.58), n = 12
"""

from dermis.trainer.config import Config, Stage
from dermis.trainer.model.head import Head

CONFIG = Config(
    name="tutorial",
    purpose="demo",
    head=Head(pooling="images", l2=0.01),
    stages=(Stage(epochs=40, learning_rate=3e-3),),
    batch=24,
    patience=None,
    false_alarms=None,
)
