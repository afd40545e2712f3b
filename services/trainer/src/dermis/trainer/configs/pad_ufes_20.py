"""Six kinds of growths from PAD-UFES-20: EfficientNet-Lite0 at 288 px with three earlier depths, images and answers.

Train     dermis train pad_ufes_20 --data FOLDER --store URL
Build     python -m dermis.trainer.configs.pad_ufes_20 --data FOLDER --out FOLDER
Check     python -m dermis.trainer.configs.pad_ufes_20 --data FOLDER --check services/standalone/src/dermis/standalone/lesions/bundle
Measure   python -m dermis.trainer.benchmarks.comparisons pad_ufes_20 --data FOLDER --work FOLDER
Hardware  2 CPU cores, 3 GB of memory
Result    docs/reference/lesions.md
"""

from dermis.shared.manifest import AbstentionRule, Knowledge
from dermis.trainer.config import Config, Stage
from dermis.trainer.model.head import Head

MALIGNANT = ("Basal Cell Carcinoma", "Melanoma", "SCC/SCCIS")
KNOWLEDGE = Knowledge(
    kind="one of six kinds of growths of the skin, photographed close up",
    unknown=(
        "every other condition: a rash, an infection, acne, any growth that is none of the six",
        "that something is no skin cancer: it can't rule out skin cancer",
    ),
    data="clinic photos from one region of Brazil (Espirito Santo), PAD-UFES-20",
    scale="estimated",
)
CONFIG = Config(
    name="pad_ufes_20",
    mapping="pad_ufes_20",
    folds=5,
    image_size=288,
    image_fit="STRETCH",
    storage="float16",
    taps=("block_7", "block_10", "block_14"),
    head=Head(pooling="images", standardised=True, l2=0.1),
    stages=(Stage(epochs=25, learning_rate=3e-3),),
    images_dropout=0.15,
    answers_dropout=0.15,
    patience=None,
    abstention=AbstentionRule(min_probability=0.0, max_set_size=4),
    malignant=MALIGNANT,
    knowledge=KNOWLEDGE,
)
