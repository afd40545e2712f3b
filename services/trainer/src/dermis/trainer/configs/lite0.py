"""EfficientNet-Lite0: the head on cached features, then the last two blocks on augmented images.

Lite1, Lite2: --set backbone=efficientnet-lite2.

Train     dermis train lite0 --data photos/fitzpatrick17k --store URL
          with --set backbone=efficientnet-lite1 --set image_size=240, or efficientnet-lite2 and 260
Hardware  2 CPU cores, 3.4 GB of memory, 4 minutes of CPU time
Result    593 photos: test top-1 0.483, top-3 0.746 (floors 0.102, 0.305), n = 118; the head alone, with more depths
          and at 288 px: docs/reference/trainer-benchmarks.md
"""

from dermis.trainer.config import Config, Stage
from dermis.trainer.model.head import Head

CONFIG = Config(
    name="lite0",
    head=Head(pooling="images", standardised=True, l2=0.01, dropout=0.2),
    stages=(
        Stage(epochs=25, learning_rate=3e-3),
        Stage(after="block_13", epochs=10, learning_rate=1e-4, images="augmented"),
    ),
    images_dropout=0.1,
    answers_dropout=0.2,
    ema=0.99,
)
