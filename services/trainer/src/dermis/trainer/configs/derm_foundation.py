"""Derm Foundation as a frozen backbone: the head on its 6,144 numbers a photo, and the answers.

Train     dermis train derm_foundation --data URL --store URL --set backbone=file:///models/derm-foundation
Licence   Health AI Developer Foundations terms of use; not shipped: docs/how-to/own-backbone.md
Hardware  2 CPU cores, 8 GB of memory
Result    not measured: docs/how-to/train.md says why
"""

from dermis.trainer.config import Config, Stage
from dermis.trainer.model.head import Head

CONFIG = Config(
    name="derm_foundation",
    backbone="file:///models/derm-foundation",
    image_size=448,
    head=Head(pooling="images", standardised=True, l2=0.01),
    stages=(Stage(epochs=25, learning_rate=3e-3),),
    batch=64,
)
