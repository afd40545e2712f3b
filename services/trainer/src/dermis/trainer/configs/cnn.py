"""An earlier project's network, from random weights.

It has 32 and 64 filters, a dense layer of 128 on the image, and one of 32 on the answers.

Train     dermis train cnn --data generated:1:300 --store URL
Hardware  2 CPU cores, 1.2 GB of memory, half a minute of CPU time
Measure   dermis benchmark leak
Result    test top-1 0.22, top-3 0.54 (floors 0.20, 0.51), n = 59; five folds, by case and with the leak of a split
          by image: docs/reference/trainer-benchmarks.md
"""

from dermis.trainer.config import Config, Stage
from dermis.trainer.model.head import Head

CONFIG = Config(
    name="cnn",
    backbone="cnn",
    weights=None,
    image_size=64,
    head=Head(units=128, answers_units=32),
    stages=(Stage(after="", epochs=10, learning_rate=1e-3, images="augmented"),),
)
