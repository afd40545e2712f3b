"""EfficientNetV2-B0, and by --set backbone=efficientnetv2-b1 .. b3, -s, -m, -l its larger kin: the head alone.

Train     dermis train efficientnetv2_b0 --data URL --store URL --set weights=file:///models/efficientnetv2-b0_notop.h5
Hardware  2 CPU cores, 4 GB of memory
Result    not measured: its weights are not in a package, and none are downloaded. Without --set weights the backbone is random
"""

from dermis.trainer.config import Config, Stage
from dermis.trainer.model.head import Head

CONFIG = Config(
    name="efficientnetv2_b0",
    backbone="efficientnetv2-b0",
    weights=None,
    head=Head(pooling="images", standardised=True, l2=0.01),
    stages=(Stage(epochs=20, learning_rate=2e-3),),
)
