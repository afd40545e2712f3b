"""The model: images and answers add up to one logit a condition, so that each one's share can be read off exactly."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import layers, ops

from dermis.shared.case import MAX_IMAGES
from dermis.worker.core.answer_shares import AnswerWeights

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What stands on a backbone.

    `pooling`: attention over all positions of all images, or over whole images, whose positions then weigh alike:
    pooled features are all that such a head needs. `units`: a dense layer at each position first. `answers_units`: one
    between the answers and their logits.
    `dropout`: of features, in training. `l2`: of the weights of both branches; `answers_l2`: of the answers' own, where
    it is not the same. `standardised`: features less their mean by their spread.
    """

    pooling: Literal["positions", "images"] = "positions"
    units: int = 0
    answers_units: int = 0
    dropout: float = 0.0
    l2: float = 0.0
    answers_l2: float | None = None
    standardised: bool = False

    @property
    def needs_maps(self) -> bool:
        return self.pooling == "positions" or self.units > 0


def with_taps(backbone: keras.Model, taps: Sequence[str]) -> keras.Model:
    """Return the backbone with the outputs of earlier layers beside its own, averaged down to its positions."""
    height, width = backbone.output.shape[1:3]
    outputs = []
    for name in taps:
        maps = backbone.get_layer(name).output
        steps = -(-maps.shape[1] // height), -(-maps.shape[2] // width)
        outputs.append(
            layers.AveragePooling2D(steps, padding="same", name=f"{name}_tap")(maps) if max(steps) > 1 else maps
        )
    return (
        keras.Model(backbone.input, layers.Concatenate(name="taps")([*outputs, backbone.output]), name="backbone")
        if outputs
        else backbone
    )


def with_middle(backbone: keras.Model) -> keras.Model:
    """Return the backbone with its map a second time beside itself, in which the middle half of each side counts alone.

    A mean over positions is then that of the whole image and that of its middle, and every position keeps its share.
    """
    maps = backbone.output
    edges = [side // 4 for side in maps.shape[1:3]]
    middle = layers.Cropping2D(tuple(edges), name="middle")(maps)
    share = maps.shape[1] * maps.shape[2] / (middle.shape[1] * middle.shape[2])
    spread = layers.ZeroPadding2D(tuple(edges), name="middle_in_place")(
        layers.Rescaling(share, name="middle_share")(middle)
    )
    both = layers.Concatenate(name="whole_and_middle")([maps, spread])
    return keras.Model(backbone.input, both, name="backbone")


def build_head(shape: tuple[int, int, int], *, columns: int, conditions: int, head: Head) -> keras.Model:
    """Return the model from maps float32[B,3,h,w,C], image_mask bool[B,3] and features float32[B,F] to every output.

    Every position of every image holds features f and a weight a; the weights of all positions of a case's images sum
    to 1 and are 0 where `image_mask` is false. Then `embedding` = sum(a f); `cam` = a (W f): a position's share of each
    condition's logit; and logits = sum of cam over images and positions + answers_logits, where answers_logits come
    from the answers alone and hold the only bias. Without any image the answers alone decide.
    """
    height, width, _ = shape
    maps = keras.Input((MAX_IMAGES, *shape), name="maps")
    mask = keras.Input((MAX_IMAGES,), dtype="bool", name="image_mask")
    features = keras.Input((columns,), name="features")
    penalty = keras.regularizers.L2(head.l2) if head.l2 else None

    x = Standardise(name="standardise")(maps) if head.standardised else maps
    if head.units:
        x = layers.Dense(head.units, activation="relu", kernel_regularizer=penalty, name="units")(x)
    visible = ops.reshape(mask, (-1, MAX_IMAGES, 1, 1, 1))
    score = layers.Dense(1, use_bias=False, name="attention")
    if head.pooling == "positions":
        scores = ops.where(visible, score(x), -1e9)
        weights = ops.softmax(ops.reshape(scores, (-1, MAX_IMAGES * height * width)))
        weights = ops.reshape(weights, (-1, MAX_IMAGES, height, width, 1)) * ops.cast(visible, "float32")
    else:
        scores = ops.where(visible, score(ops.mean(x, axis=(2, 3), keepdims=True)), -1e9)
        weights = ops.softmax(scores, axis=1) * ops.cast(visible, "float32") / (height * width)
        weights = weights * ops.ones_like(x[..., :1])

    embedding = ops.sum(weights * x, axis=(1, 2, 3))
    if head.dropout:
        x = layers.Dropout(head.dropout, noise_shape=(None, 1, 1, 1, x.shape[-1]), name="dropout")(x)
    cam = weights * layers.Dense(conditions, use_bias=False, kernel_regularizer=penalty, name="condition")(x)
    answers = (
        layers.Dense(head.answers_units, activation="relu", name="answers_units")(features)
        if head.answers_units
        else features
    )
    own = penalty if head.answers_l2 is None else keras.regularizers.L2(head.answers_l2)
    answers_logits = layers.Dense(conditions, kernel_regularizer=own, name="answers")(answers)
    logits = ops.sum(cam, axis=(1, 2, 3)) + answers_logits
    outputs: dict[str, Any] = {
        "probabilities": ops.softmax(logits),
        "embedding": embedding,
        "cam": cam,
        "answers_logits": answers_logits,
        "logits": logits,
    }
    return keras.Model({"maps": maps, "image_mask": mask, "features": features}, outputs, name="head")


def answer_weights(model: keras.Model) -> AnswerWeights:
    """Return the linear map of a joined model from features to answers_logits; its head has no `answers_units`."""
    weights, bias = model.get_layer("head").get_layer("answers").get_weights()
    return AnswerWeights(bias=np.asarray(bias, np.float32), weights=np.asarray(weights, np.float32))


class Standardise(layers.Layer):  # type: ignore[misc]
    """Features less a mean, divided by a spread, both measured once on training images."""

    def build(self, shape: Any) -> None:
        self.mean = self.add_weight(shape=(shape[-1],), initializer="zeros", trainable=False, name="mean")
        self.spread = self.add_weight(shape=(shape[-1],), initializer="ones", trainable=False, name="spread")

    def call(self, x: Any) -> Any:
        return (x - self.mean) / self.spread

    def assign(self, mean: Floats, spread: Floats) -> None:
        """Take a mean [C] and a spread [C], which is at least 0.001."""
        self.mean.assign(mean)
        self.spread.assign(np.maximum(spread, 1e-3))


def join(backbone: keras.Model, head: keras.Model) -> keras.Model:
    """Return the model with the manifest's signature, and `logits` beside it for training.

    `backbone` may also be the rest of one after a cut: `images` are then what it reads.
    """
    return _join(backbone, head, lambda images, _mask: _every_map(backbone, images))


def join_visible(backbone: keras.Model, head: keras.Model) -> keras.Model:
    """Return the same model as `join`, whose backbone reads only the images that the mask shows.

    A case of one image then costs one image, not three; every output is the same.
    """
    visible = VisibleImages(backbone, name="visible_images")
    return _join(backbone, head, lambda images, mask: visible(images, mask))


def _join(backbone: keras.Model, head: keras.Model, maps_of: Callable[[Any, Any], Any]) -> keras.Model:
    shape, pixels = backbone.input.shape[1:], backbone.input.shape[-1] == 3
    images = keras.Input((MAX_IMAGES, *shape), dtype="uint8" if pixels else "float32", name="images")
    mask = keras.Input((MAX_IMAGES,), dtype="bool", name="image_mask")
    features = keras.Input((head.input["features"].shape[-1],), name="features")
    outputs = head({"maps": maps_of(images, mask), "image_mask": mask, "features": features})
    return keras.Model({"images": images, "image_mask": mask, "features": features}, outputs)


def _every_map(backbone: keras.Model, images: Any) -> Any:
    maps = backbone(ops.cast(ops.reshape(images, (-1, *images.shape[2:])), "float32"))
    return ops.reshape(maps, (-1, MAX_IMAGES, *maps.shape[1:]))


class VisibleImages(layers.Layer):  # type: ignore[misc]
    """Maps float32[B,3,h,w,C] of uint8[B,3,S,S,3], zeros where bool[B,3] shows no image; the backbone never sees those.

    Where it shows none at all the first is read, as TensorFlow's depthwise convolution refuses a batch of nothing.
    """

    def __init__(self, backbone: keras.Model, **settings: Any) -> None:
        super().__init__(**settings)
        self.backbone = backbone

    def call(self, images: Any, visible: Any) -> Any:
        shape, maps_shape = self.backbone.input.shape[1:], self.backbone.output.shape[1:]
        flat, read = tf.reshape(images, (-1, *shape)), tf.reshape(visible, (-1,))
        count = tf.size(read, tf.int64)
        read |= tf.equal(tf.range(count), 0) & ~tf.reduce_any(read)
        places = tf.where(read)
        maps = self.backbone(tf.cast(tf.gather_nd(flat, places), "float32"))
        every = tf.scatter_nd(places, maps, tf.concat([tf.reshape(count, (1,)), tf.constant(maps_shape, tf.int64)], 0))
        return tf.reshape(every, (-1, MAX_IMAGES, *maps_shape))

    def compute_output_shape(self, images_shape: Any, visible_shape: Any) -> Any:  # noqa: ARG002 - Keras names them
        return (images_shape[0], MAX_IMAGES, *self.backbone.output.shape[1:])
