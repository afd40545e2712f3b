"""SCIN: EfficientNet-Lite0 at 288 px with three earlier depths, images and answers, against the reference differential.

Train     dermis train scin --split split.json --store gs://bucket/dermis
Hardware  2 CPU cores, 8 GB of memory, 1 GB of disk for embeddings
Result    not measured: docs/how-to/train.md says why. Answers alone: docs/reference/benchmark-scin.md
"""

from dermis.trainer.config import Config, Stage
from dermis.trainer.model.head import Head

CONFIG = Config(
    name="scin",
    data="gs://dx-scin-public-data/dataset?anonymous=true",
    image_size=288,
    taps=("block_7", "block_10", "block_14"),
    mirrored=True,
    head=Head(pooling="images", standardised=True, l2=0.01, dropout=0.2),
    stages=(Stage(epochs=25, learning_rate=3e-3),),
    batch=64,
    images_dropout=0.1,
    answers_dropout=0.2,
    balanced=True,
    least_cases=20,
    risk=0.5,
    taxonomy="scin",
)
