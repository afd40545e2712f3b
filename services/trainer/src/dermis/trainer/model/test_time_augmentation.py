"""Test-time augmentation: a backbone that reads each image as it is and mirrored."""

import keras
from keras import ops


def mirrored(backbone: keras.Model) -> keras.Model:
    """Return a backbone that averages over each image and its mirror image, within the graph."""
    image = keras.Input(backbone.input.shape[1:])
    turned = ops.flip(backbone(ops.flip(image, axis=2)), axis=2)
    return keras.Model(image, (backbone(image) + turned) / 2, name="backbone")
