"""The vision tower of a SiglipModel as Hugging Face stores it, MedSigLIP's for one, as a Keras model.

Source: Zhai et al. 2023, Sigmoid Loss for Language Image Pre-Training (arXiv:2303.15343); names and order of the
tensors as in transformers' `SiglipVisionModel`.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops
from safetensors import safe_open

from dermis.shared.errors import DermisError, Kind

CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
Array = npt.NDArray[Any]


def siglip(folder: Path, image_size: int) -> keras.Model:
    """Return the tower: pixels of 0-255 float32[N,S,S,3] -> the pooled embedding float32[N,C].

    INVALID where the folder holds another model, or one of another image size.
    """
    config = vision_config(folder)
    if image_size != config["image_size"]:
        detail = f"{folder.name} reads images of {config['image_size']} px, not {image_size}: set image_size to that"
        raise DermisError(Kind.INVALID, "BACKBONE", detail)
    tower = build_tower(config)
    with safe_open(folder / WEIGHTS_FILE, framework="numpy") as file:
        names = {name.partition("vision_model.")[2]: name for name in file.keys() if "vision_model." in name}  # noqa: SIM118
        for layer in tower.layers:
            if layer.weights:
                layer.set_weights(_weights(layer, lambda name: np.asarray(file.get_tensor(names[name]), np.float32)))
    return tower


def vision_config(folder: Path) -> Mapping[str, Any]:
    """Return the settings of the vision tower; INVALID for a model of another type or another activation."""
    config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    vision: Mapping[str, Any] = config.get("vision_config", config)
    if "siglip" not in str(config.get("model_type")) or vision.get("hidden_act") != "gelu_pytorch_tanh":
        detail = (
            f"{folder.name}/{CONFIG_FILE} is of model type {config.get('model_type')!r} with "
            f"{vision.get('hidden_act')!r}; a SiglipModel with 'gelu_pytorch_tanh' can be read"
        )
        raise DermisError(Kind.INVALID, "BACKBONE", detail)
    return vision


@keras.saving.register_keras_serializable("dermis")
class LearnedArray(layers.Layer):  # type: ignore[misc]
    """Adds an array of its own, of the shape of one input."""

    def build(self, shape: Any) -> None:
        self.values = self.add_weight(shape=shape[1:], name="values")

    def call(self, x: Any) -> Any:
        return x + self.values


def build_tower(config: Mapping[str, Any]) -> keras.Model:
    """Return the tower with random weights; each layer is named as its tensors are."""
    size, patch, channels = config["image_size"], config["patch_size"], config["hidden_size"]
    image = keras.Input((size, size, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(image)
    x = layers.Conv2D(channels, patch, strides=patch, name="embeddings.patch_embedding")(x)
    x = layers.Reshape(((size // patch) ** 2, channels))(x)
    x = LearnedArray(name="embeddings.position_embedding")(x)
    for n in range(config["num_hidden_layers"]):
        at = f"encoder.layers.{n}"
        inner = _norm(config, f"{at}.layer_norm1")(x)
        x = x + _attention(config, f"{at}.self_attn")(inner, inner)
        x = x + _mlp(config, f"{at}.mlp", _norm(config, f"{at}.layer_norm2")(x))
    x = _norm(config, "post_layernorm")(x)
    probe = LearnedArray(name="head.probe")(ops.zeros_like(x[:, :1]))
    x = _attention(config, "head.attention")(probe, x)
    x = x + _mlp(config, "head.mlp", _norm(config, "head.layernorm")(x))
    return keras.Model(image, layers.Reshape((channels,))(x), name="siglip")


def _norm(config: Mapping[str, Any], name: str) -> keras.Layer:
    return layers.LayerNormalization(epsilon=config.get("layer_norm_eps", 1e-6), name=name)


def _attention(config: Mapping[str, Any], name: str) -> keras.Layer:
    heads = config["num_attention_heads"]
    return layers.MultiHeadAttention(heads, config["hidden_size"] // heads, name=name)


def _mlp(config: Mapping[str, Any], name: str, x: Any) -> Any:
    x = layers.Dense(config["intermediate_size"], activation=_gelu, name=f"{name}.fc1")(x)
    return layers.Dense(config["hidden_size"], name=f"{name}.fc2")(x)


@keras.saving.register_keras_serializable("dermis")  # type: ignore[untyped-decorator]
def _gelu(x: Any) -> Any:
    return keras.activations.gelu(x, approximate=True)


def _weights(layer: keras.Layer, get: Callable[[str], Array]) -> list[Array]:
    """Return a layer's weights in Keras' order and layout, from tensors by name in PyTorch's."""
    name = layer.name
    match layer:
        case layers.Conv2D():
            return [get(f"{name}.weight").transpose(2, 3, 1, 0), get(f"{name}.bias")]
        case layers.Dense():
            return [get(f"{name}.weight").T, get(f"{name}.bias")]
        case layers.LayerNormalization():
            return [get(f"{name}.weight"), get(f"{name}.bias")]
        case layers.MultiHeadAttention():
            return _attention_weights(layer, get)
        case _:
            values = get(name if name == "head.probe" else f"{name}.weight")
            return [values.reshape(layer.values.shape)]


def _attention_weights(layer: keras.layers.MultiHeadAttention, get: Callable[[str], Array]) -> list[Array]:
    name, heads = layer.name, layer.num_heads
    if name == "head.attention":
        kernels, biases = np.split(get(f"{name}.in_proj_weight"), 3), np.split(get(f"{name}.in_proj_bias"), 3)
    else:
        parts = [f"{name}.{part}_proj" for part in "qkv"]
        kernels, biases = [get(f"{part}.weight") for part in parts], [get(f"{part}.bias") for part in parts]
    weights = []
    for kernel, bias in zip(kernels, biases, strict=True):
        weights += [kernel.T.reshape(len(kernel), heads, -1), bias.reshape(heads, -1)]
    out = get(f"{name}.out_proj.weight").T
    return [*weights, out.reshape(heads, -1, out.shape[-1]), get(f"{name}.out_proj.bias")]
