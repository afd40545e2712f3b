"""The model: images and answers add up to one logit a condition, so that each one's share can be read off exactly."""

from typing import Any

import keras
from keras import layers, ops

from dermis.shared.case import MAX_IMAGES


def small_backbone(image_size: int) -> keras.Model:
    """Return a convolutional net for demos: float32[N,S,S,3] in [-1, 1] -> float32[N,S/8,S/8,64]; no batch norm."""
    image = keras.Input((image_size, image_size, 3))
    x = image
    for filters, strides in ((16, 2), (32, 2), (48, 2), (64, 1)):
        x = layers.Conv2D(filters, 3, strides=strides, padding="same", activation="relu", kernel_initializer="he_normal")(x)
    return keras.Model(image, x, name="backbone")


def build(backbone: keras.Model, *, image_size: int, columns: int, conditions: int) -> keras.Model:
    """Return the model with the manifest's signature, and `logits` beside it for training.

    Every position of every image holds features f and a weight a; the weights of all positions of a case's images sum
    to 1 and are 0 where `image_mask` is false. Then `embedding` = sum(a f); `cam` = a (W f): a position's share of each
    condition's logit; and logits = sum of cam over images and positions + answers_logits, where answers_logits is
    linear in the features and holds the only bias. Without any image the answers alone decide.
    """
    images = keras.Input((MAX_IMAGES, image_size, image_size, 3), dtype="uint8", name="images")
    mask = keras.Input((MAX_IMAGES,), dtype="bool", name="image_mask")
    features = keras.Input((columns,), name="features")

    pixels = ops.cast(ops.reshape(images, (-1, image_size, image_size, 3)), "float32")
    maps = backbone((pixels - 127.0) / 128.0)
    height, width, channels = maps.shape[1:]
    maps = ops.reshape(maps, (-1, MAX_IMAGES, height, width, channels))
    shown = ops.reshape(mask, (-1, MAX_IMAGES, 1, 1, 1))
    scores = ops.where(shown, layers.Dense(1, use_bias=False, name="attention")(maps), -1e9)
    weights = ops.softmax(ops.reshape(scores, (-1, MAX_IMAGES * height * width)))
    weights = ops.reshape(weights, (-1, MAX_IMAGES, height, width, 1)) * ops.cast(shown, "float32")

    embedding = ops.sum(weights * maps, axis=(1, 2, 3))
    cam = weights * layers.Dense(conditions, use_bias=False, name="condition")(maps)
    answers_logits = layers.Dense(conditions, name="answers")(features)
    logits = ops.sum(cam, axis=(1, 2, 3)) + answers_logits
    outputs: dict[str, Any] = {
        "probabilities": ops.softmax(logits),
        "embedding": embedding,
        "cam": cam,
        "answers_logits": answers_logits,
        "logits": logits,
    }
    return keras.Model({"images": images, "image_mask": mask, "features": features}, outputs)
