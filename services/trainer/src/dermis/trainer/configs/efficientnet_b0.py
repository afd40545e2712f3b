"""A backbone of Keras with a weights file, here EfficientNet-B0: the head first, then the last blocks.

Train     dermis train efficientnet_b0 --data URL --store URL --set weights=file:///models/efficientnetb0_notop.h5
Hardware  a GPU; the head alone also on 2 CPU cores
Result    not measured: docs/how-to/train.md says why, and how to train its larger versions, EfficientNetV2 and ResNet50
"""

from dermis.trainer.config import Config, Stage
from dermis.trainer.model.head import Head

CONFIG = Config(
    name="efficientnet_b0",
    backbone="efficientnet-b0",
    weights=None,
    head=Head(pooling="images", standardised=True, l2=0.01),
    stages=(
        Stage(epochs=20, learning_rate=2e-3),
        Stage(after="block5c_add", epochs=10, learning_rate=1e-4, images="augmented"),
    ),
    ema=0.99,
)
