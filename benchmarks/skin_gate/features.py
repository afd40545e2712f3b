"""The gate's features: EfficientNet-Lite0, pooled at the ends of some blocks and at its last layer, as one model."""

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from benchmarks.skin_gate.views import SIZE, GateView
from dermis.shared.openvino import core
from dermis.trainer.model.backbones.lite import lite, load_published, published_weights

BLOCKS = (2, 4, 7, 10, 14, 15)
_NAME = "efficientnet-lite0"
_PART = 1000


def extractor() -> keras.Model:
    """Return float32[N,S,S,3] pixels of 0-255 -> float32[N,F]."""
    model = lite(_NAME, SIZE)
    load_published(model, published_weights(_NAME))
    ends = [*(model.get_layer(f"block_{block}").output for block in BLOCKS), model.output]
    pooled = [keras.layers.GlobalAveragePooling2D()(end) for end in ends]
    return keras.Model(model.input, keras.layers.Concatenate()(pooled))


def as_tflite(model: keras.Model) -> bytes:
    """Return the model as it serves, with weights in half precision."""
    convert = tf.lite.TFLiteConverter.from_keras_model(model)
    convert.optimizations = [tf.lite.Optimize.DEFAULT]
    convert.target_spec.supported_types = [tf.float16]
    return bytes(convert.convert())


def extract(views: Sequence[GateView], *, keep: Path | None = None) -> npt.NDArray[np.float32]:
    """Return float32[N,F] of views as they are read in serving; `keep`: a folder from which a next run goes on."""
    network, parts = as_tflite(extractor()), []
    with tempfile.NamedTemporaryFile(suffix=".tflite") as file:
        file.write(network)
        file.flush()
        compiled = core().compile_model(file.name, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for start in range(0, len(views), _PART):
        pixels = np.stack([view.pixels for view in views[start : start + _PART]]).astype(np.float32)
        digest = hashlib.sha256(network + pixels.tobytes()).hexdigest()[:12]
        kept = keep and keep / f"features-{digest}.npy"
        if kept and kept.exists():
            parts.append(np.asarray(np.load(kept), np.float32))
            continue
        parts.append(np.concatenate([compiled(one[None])[0] for one in pixels]))
        print(f"features of {start + len(pixels):,} of {len(views):,} views", flush=True)
        if kept:
            np.save(kept, parts[-1])
    return np.concatenate(parts)
