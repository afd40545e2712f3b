"""PAD-UFES-20: EfficientNet-Lite0 at 288 px with three earlier depths, images and answers.

Train     dermis train pad_ufes_20 --data FOLDER --store URL
Measure   dermis benchmark pad_ufes_20 --data FOLDER
Hardware  2 CPU cores, 3 GB of memory
Result    5-fold by person: top-1 0.587, top-3 0.853 (floors 0.364, 0.811), n = 143;
          docs/reference/trainer-benchmarks.md
"""

from dermis.trainer.config import Config, Stage
from dermis.trainer.model.head import Head

CONFIG = Config(
    name="pad_ufes_20",
    mapping="pad_ufes_20",
    image_size=288,
    taps=("block_7", "block_10", "block_14"),
    mirrored=True,
    head=Head(pooling="images", standardised=True, l2=0.1),
    stages=(Stage(epochs=25, learning_rate=3e-3),),
    images_dropout=0.15,
    answers_dropout=0.15,
    patience=None,
)
