"""The gate's features: EfficientNet-Lite0, pooled at the ends of some blocks and at its last layer, as one model."""

import hashlib
import inspect
import sys
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from benchmarks.skin_gate.views import SIZE, GateView
from dermis.trainer.model.backbones.lite import lite, load_published, published_weights

BLOCKS = (2, 4, 7, 10, 14, 15)
_NAME = "efficientnet-lite0"
_BATCH = 64


def extractor() -> keras.Model:
    """Return float32[N,S,S,3] pixels of 0-255 -> float32[N,F]."""
    model = lite(_NAME, SIZE)
    load_published(model, published_weights(_NAME))
    ends = [*(model.get_layer(f"block_{block}").output for block in BLOCKS), model.output]
    pooled = [keras.layers.GlobalAveragePooling2D()(end) for end in ends]
    return keras.Model(model.input, keras.layers.Concatenate()(pooled))


def extract(views: Sequence[GateView], *, keep: Path | None = None) -> npt.NDArray[np.float32]:
    """Return float32[N,F] of views; `keep`: a folder that holds them for the next run."""
    pixels = np.stack([view.pixels for view in views])
    code = inspect.getsource(sys.modules[__name__])
    digest = hashlib.sha256(code.encode() + pixels.tobytes()).hexdigest()[:12]
    file = keep and keep / f"features-{digest}.npy"
    if file and file.exists():
        return np.asarray(np.load(file), np.float32)
    model, parts = extractor(), []
    for start in range(0, len(pixels), _BATCH):
        parts.append(model(pixels[start : start + _BATCH].astype(np.float32)).numpy())
        if len(parts) % 20 == 0:
            print(f"features of {start + _BATCH:,} of {len(pixels):,} views", flush=True)
    features = np.concatenate(parts)
    if file:
        np.save(file, features)
    return features
