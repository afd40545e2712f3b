"""The seed's network: 32 and 64 filters, a dense layer of 128 on the image, one of 32 on the answers, from random weights.

Train     dermis train cnn --data URL --store URL
Hardware  2 CPU cores, 4 GB of memory at 1,000 images
Measure   python -m dermis.trainer.benchmarks.comparisons leak --work FOLDER
Result    not measured yet: by the second command on generated cases
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
