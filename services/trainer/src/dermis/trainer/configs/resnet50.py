"""ResNet50 with a dense layer of 128, the head first, then the last block, then half of it.

Train     dermis train resnet50 --data URL --store URL --set weights=file:///models/resnet50_notop.h5
Hardware  a GPU; the head alone also on 2 CPU cores
Result    not measured: its weights are not in a package, and none are downloaded. Without --set weights the backbone is random
"""

from dermis.trainer.config import Config, Stage
from dermis.trainer.model.head import Head

CONFIG = Config(
    name="resnet50",
    backbone="resnet50",
    weights=None,
    head=Head(units=128, dropout=0.2),
    stages=(
        Stage(epochs=20, learning_rate=1e-3),
        Stage(after="conv5_block2_out", epochs=10, learning_rate=1e-4, images="augmented"),
        Stage(after="conv4_block6_out", epochs=10, learning_rate=3e-5, images="augmented"),
    ),
    ema=0.99,
)
