"""Fitzpatrick17k: EfficientNet-Lite0 at 288 px, four depths of it side by side, each image and its mirror image.

The head alone is trained.

Train     dermis train fitzpatrick17k --data FOLDER --store URL
Measure   dermis benchmark fitzpatrick17k --data FOLDER
Hardware  2 CPU cores, 3 GB of memory
Result    nested 5-fold: top-1 0.582, top-3 0.847 (floors 0.101, 0.303), n = 593; docs/reference/trainer-benchmarks.md
"""

from dermis.trainer.config import Config, Stage
from dermis.trainer.model.head import Head

CONFIG = Config(
    name="fitzpatrick17k",
    mapping="fitzpatrick17k",
    backbone="efficientnet-lite0",
    image_size=288,
    taps=("block_7", "block_10", "block_14"),
    mirrored=True,
    head=Head(pooling="images", standardised=True, l2=0.1),
    stages=(Stage(epochs=25, learning_rate=3e-3),),
    batch=64,
    patience=None,
)
