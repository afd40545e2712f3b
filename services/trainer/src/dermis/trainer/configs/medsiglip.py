"""MedSigLIP's vision tower as a frozen backbone: the head on its 1,152 numbers a photo, and the answers.

Train     dermis train medsiglip --data URL --store URL --set backbone=file:///models/medsiglip-448
Licence   Health AI Developer Foundations terms of use; not shipped: docs/how-to/own-backbone.md
Hardware  a GPU, or 2 CPU cores and 8 GB of memory with patience
Result    not measured: docs/how-to/train.md says why
"""

from dermis.trainer.config import Config, Stage
from dermis.trainer.model.head import Head

CONFIG = Config(
    name="medsiglip",
    backbone="file:///models/medsiglip-448",
    image_size=448,
    image_fit="STRETCH",
    storage="float16",
    head=Head(pooling="images", standardised=True, l2=0.01),
    stages=(Stage(epochs=25, learning_rate=3e-3),),
    batch=64,
)
