"""The gate's features: EfficientNet-Lite0, pooled at the ends of some blocks and at its last layer, as one model."""

import keras
import numpy as np
import numpy.typing as npt

from dermis.trainer.model.backbones.lite import lite, load_published, published_weights

BLOCKS = (2, 4, 7, 10, 14, 15)
_NAME = "efficientnet-lite0"


def extractor(size: int) -> keras.Model:
    """Return float32[N,S,S,3] pixels of 0-255 -> float32[N,F]."""
    model = lite(_NAME, size)
    load_published(model, published_weights(_NAME))
    ends = [*(model.get_layer(f"block_{block}").output for block in BLOCKS), model.output]
    pooled = [keras.layers.GlobalAveragePooling2D()(end) for end in ends]
    return keras.Model(model.input, keras.layers.Concatenate()(pooled))


def extract(model: keras.Model, views: list[npt.NDArray[np.uint8]]) -> npt.NDArray[np.float32]:
    pixels = np.stack(views)
    parts = [model(pixels[start : start + 64].astype(np.float32)).numpy() for start in range(0, len(pixels), 64)]
    return np.concatenate(parts)
