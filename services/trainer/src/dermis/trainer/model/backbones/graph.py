"""Changes any backbone: cuts it in two, folds its batch norm into its convolutions, names it by a digest."""

import hashlib
import json

import keras
import numpy as np
from keras import layers

from dermis.shared.errors import DermisError, Kind
from dermis.trainer.model.backbones.saved_model import SavedModelLayer

_CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D)


def digest(model: keras.Model) -> str:
    """SHA-256 of a model's architecture and weights, names of layers apart."""
    sha256 = hashlib.sha256()
    for layer in model.layers:
        settings = {key: value for key, value in layer.get_config().items() if key not in ("name", "layers", "dtype")}
        sha256.update(json.dumps([type(layer).__name__, settings], sort_keys=True, default=str).encode())
        for weight in layer.get_weights():
            sha256.update(f"{weight.dtype}{weight.shape}".encode() + np.ascontiguousarray(weight).tobytes())
    return sha256.hexdigest()


def cuts(model: keras.Model) -> list[str]:
    """Return the layers, first to last, whose output is all that the layers after them read."""
    order = [layer for layer in model.layers if not isinstance(layer, layers.InputLayer)]
    place = {layer.name: n for n, layer in enumerate(order)}
    last_reader = [0] * len(order)
    for n, layer in enumerate(order):
        for node in layer._inbound_nodes:
            for parent in node.parent_nodes:
                if parent.operation.name in place:
                    last_reader[place[parent.operation.name]] = max(last_reader[place[parent.operation.name]], n)
    places, reach = [], 0
    for n, layer in enumerate(order[:-1]):
        if reach <= n:
            places.append(layer.name)
        reach = max(reach, last_reader[n])
    return places


def cut(model: keras.Model, after: str) -> tuple[keras.Model, keras.Model]:
    """Return (trunk, rest): two models that share `model`'s layers, cut after a layer.

    INVALID if it can't be cut there.
    """
    possible = cuts(model)
    if after not in possible:
        raise DermisError(
            Kind.INVALID,
            "BACKBONE_CUT",
            f"{model.name} can't be cut after {after!r}; it can after {', '.join(possible)}",
        )
    middle = model.get_layer(after).output
    return keras.Model(model.input, middle, name="trunk"), keras.Model(middle, model.output, name="rest")


def fold_batch_norm(model: keras.Model) -> keras.Model:
    """Return the model with every batch norm that follows a convolution alone folded into it.

    It is the same function, about twice as fast.

    w' = w s, b' = (b - mean) s + beta with s = gamma / sqrt(variance + epsilon), by output channel. It computes in the
    precision that is set when this is called, whatever the model was made in.
    """
    pairs = {}
    for layer in model.layers:
        if type(layer) is layers.BatchNormalization and len(layer._inbound_nodes) >= 1:
            source = layer._inbound_nodes[0].parent_nodes[0].operation
            readers = {node.operation.name for node in source._outbound_nodes if node.operation in model.operations}
            if (
                type(source) in _CONVOLUTIONS
                and readers == {layer.name}
                and source.activation is keras.activations.linear
            ):
                pairs[layer.name] = source.name
    folded = set(pairs.values())

    def clone(layer: keras.Layer) -> keras.Layer:
        if layer.name in pairs:
            return layers.Identity(name=layer.name)
        if isinstance(layer, SavedModelLayer):  # a graph of its own: nothing in it is folded
            return layer
        settings = layer.get_config()
        if not isinstance(layer, layers.InputLayer):
            settings.pop("dtype", None)
        return type(layer).from_config({**settings, "use_bias": True} if layer.name in folded else settings)

    def call(layer: keras.Layer, *args: keras.KerasTensor, **kwargs: object) -> keras.KerasTensor:
        return layer(args[0]) if layer.name in pairs else layer(*args, **kwargs)

    copy = keras.models.clone_model(model, clone_function=clone, call_function=call)
    norm_of = {source: norm for norm, source in pairs.items()}
    for layer in model.layers:
        if layer.name in norm_of:
            norm = model.get_layer(norm_of[layer.name])
            weights = layer.get_weights()
            copy.get_layer(layer.name).set_weights(
                _folded(layer, weights[0], weights[1] if layer.use_bias else 0.0, norm)
            )
        elif layer.name not in pairs and layer.weights:
            copy.get_layer(layer.name).set_weights(layer.get_weights())
    return copy


def _folded(layer: keras.Layer, kernel: np.ndarray, bias: np.ndarray | float, norm: keras.Layer) -> list[np.ndarray]:
    mean, variance = np.asarray(norm.moving_mean), np.asarray(norm.moving_variance)
    scale = (np.asarray(norm.gamma) if norm.scale else 1.0) / np.sqrt(variance + norm.epsilon)
    by_channel = scale[:, None] if isinstance(layer, layers.DepthwiseConv2D) else scale
    return [kernel * by_channel, (bias - mean) * scale + (np.asarray(norm.beta) if norm.center else 0.0)]
