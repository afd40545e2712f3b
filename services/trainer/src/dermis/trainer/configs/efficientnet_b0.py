"""EfficientNet-B0, and by --set backbone=efficientnet-b1 .. b7 its larger kin: the head first, then the last blocks.

Train     dermis train efficientnet_b0 --data URL --store URL --set weights=file:///models/efficientnetb0_notop.h5
          with --set backbone=efficientnet-b3 --set image_size=300 for B3; B4 380, B5 456, B6 and B7 512 (the bundle's most)
Hardware  a GPU; the head alone also on 2 CPU cores
Result    not measured: its weights are not in a package, and none are downloaded. Without --set weights the backbone is random
"""

from dermis.trainer.config import Config, Stage
from dermis.trainer.model.head import Head

CONFIG = Config(
    name="efficientnet_b0",
    backbone="efficientnet-b0",
    weights=None,
    head=Head(pooling="images", standardised=True, l2=0.01),
    stages=(Stage(epochs=20, learning_rate=2e-3), Stage(after="block5c_add", epochs=10, learning_rate=1e-4, images="augmented")),
    ema=0.99,
)
