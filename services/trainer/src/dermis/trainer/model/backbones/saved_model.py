"""A SavedModel as a frozen backbone, its graph cut so that pixels go in: also one that takes encoded photos."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import tensorflow as tf
from keras import layers
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from dermis.shared.errors import DermisError, Kind

ENCODED = "image/encoded"
"""The feature of a tf.Example that holds an encoded photo; Derm Foundation reads it."""
EMBEDDING = "embedding"
"""The output that is read where there are several."""
_TOLERANCE = 1e-3


class SavedModelLayer(layers.Layer):  # type: ignore[misc]
    """The signature `serving_default` of a SavedModel as a layer: pixels of 0-255 in, one tensor out; never trained.

    The weights become constants of its graph, which an export takes along. `fingerprint`: of the folder's files, so
    that the digest of a backbone tells one SavedModel from another.
    """

    def __init__(self, folder: Path, image_size: int, **kwargs: object) -> None:
        super().__init__(trainable=False, **kwargs)
        self.fingerprint = _fingerprint(folder)
        loaded = tf.saved_model.load(str(folder))  # holds the variables until they are constants
        signature = loaded.signatures["serving_default"]
        (name,) = signature.structured_input_signature[1]
        self._output = _output_of(signature, folder)
        frozen = convert_variables_to_constants_v2(signature, lower_control_flow=False)
        place = sorted(signature.structured_outputs).index(self._output)
        if signature.structured_input_signature[1][name].dtype == tf.string:
            self._run, self._slope, self._offset = from_pixels(frozen, place, image_size)
        else:
            self._run, self._slope, self._offset = frozen, 1.0, 0.0
        self._place = place if self._run is frozen else 0
        self._dtype = self._run.inputs[0].dtype

    def call(self, images: tf.Tensor) -> tf.Tensor:
        pixels = images if self._slope == 1.0 and self._offset == 0.0 else images * self._slope + self._offset
        return self._run(tf.cast(pixels, self._dtype))[self._place]

    def compute_output_spec(self, images: keras.KerasTensor) -> keras.KerasTensor:
        output = self._run.outputs[self._place]
        shape = output.shape
        if shape.rank is None or None in shape[1:]:
            shape = tuple(self._run(tf.zeros((1, *images.shape[1:]), self._dtype))[self._place].shape)
        return keras.KerasTensor((None, *shape[1:]), output.dtype.name)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "fingerprint": self.fingerprint}


def _fingerprint(folder: Path) -> str:
    sha256 = hashlib.sha256()
    for path in (folder / "saved_model.pb", *sorted((folder / "variables").glob("*"))):
        with path.open("rb") as file:
            sha256.update(hashlib.file_digest(file, "sha256").digest())
    return sha256.hexdigest()


def _output_of(signature: Any, folder: Path) -> str:
    names = list(signature.structured_outputs)
    if len(names) > 1 and EMBEDDING not in names:
        detail = f"{folder.name} has the outputs {', '.join(sorted(names))}: name the one to read {EMBEDDING!r}"
        raise DermisError(Kind.INVALID, "BACKBONE", detail)
    return EMBEDDING if len(names) > 1 else str(names[0])


# ----------------------------------------------------------------------------------------------------------------------
# Graphs that decode photos themselves


def from_pixels(frozen: Any, place: int, image_size: int) -> tuple[Any, float, float]:
    """Return the part of a graph after its decoder, and by which slope and offset pixels become what that part reads.

    `frozen`: from serialised tf.Examples with `ENCODED` to outputs, of which the one at `place` is read. Serving has
    pixels already, and what runs without TensorFlow decodes no photo. The cut is the first tensor that all goes through
    and that is, on two photos of noise, a straight line of their pixels; what follows it is compared with the whole.
    INVALID where there is none.
    """
    definition = frozen.graph.as_graph_def()
    for node in definition.node:  # an order of execution would tie the rest to the decoder: nothing here has a state
        node.input[:] = [name for name in node.input if not name.startswith("^")]
    wrapped = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(definition, name=""), [])
    placeholder, output = (
        wrapped.graph.get_tensor_by_name(each.name) for each in (frozen.inputs[0], frozen.outputs[place])
    )
    pixels = np.random.default_rng(0).integers(0, 256, (2, image_size, image_size, 3)).astype(np.uint8)
    pixels[1] //= 4  # a dark one: what is standardised photo by photo is no straight line of both
    examples = tf.constant([as_example(image) for image in pixels])
    try:
        wanted = frozen(examples)[place].numpy()
    except tf.errors.OpError as error:
        raise _no_pixels(image_size) from error
    for name in passages(placeholder, output):
        values = _value(wrapped, placeholder.name, name, examples)
        if values is None or values.shape != pixels.shape:
            continue
        slope, offset = np.polyfit(pixels.ravel().astype(float), values.ravel().astype(float), 1)
        if np.abs(pixels * slope + offset - values).max() > _TOLERANCE * max(1.0, float(np.abs(values).max())):
            continue
        slope, offset = (round(float(number), 9) for number in (slope, offset))
        rest = wrapped.prune(feeds=[name], fetches=[output.name])
        again = rest(tf.cast(pixels * slope + offset, rest.inputs[0].dtype))[0].numpy()
        if np.abs(again - wanted).max() <= _TOLERANCE * max(1.0, float(np.abs(wanted).max())):
            return rest, slope, offset
    raise _no_pixels(image_size)


def _no_pixels(image_size: int) -> DermisError:
    detail = (
        f"no tensor of this SavedModel holds the pixels of a decoded photo of {image_size} px: set image_size to what "
        "it was made for, or export a SavedModel that takes pixels"
    )
    return DermisError(Kind.INVALID, "BACKBONE", detail)


def as_example(image: np.ndarray) -> bytes:
    """Return an image uint8[H,W,3], RGB, as a serialised tf.Example with a PNG."""
    png = cv2.imencode(".png", image[:, :, ::-1])[1].tobytes()
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[png]))
    return bytes(tf.train.Example(features=tf.train.Features(feature={ENCODED: feature})).SerializeToString())


def passages(start: tf.Tensor, end: tf.Tensor) -> Iterator[str]:
    """Yield the names of tensors, first to last, through which all that `end` learns of `start` goes."""
    order = list(_between(start, end))
    place = {tensor.name: n for n, tensor in enumerate(order)}
    reach = 0
    for n, tensor in enumerate(order[:-1]):
        readers = [out for op in tensor.consumers() for out in op.outputs if out.name in place]
        if reach <= n and tensor is not start:
            yield tensor.name
        reach = max([reach, *(place[each.name] for each in readers)])


def _between(start: tf.Tensor, end: tf.Tensor) -> Iterator[tf.Tensor]:
    """Yield the tensors that depend on `start` and that `end` depends on, each after those that it is made from."""
    reads: set[str] = set()
    stack = [end.op]
    while stack:
        op = stack.pop()
        if op.name not in reads:
            reads.add(op.name)
            stack += [tensor.op for tensor in op.inputs]
    touched = {start.name}
    yield start
    for op in end.graph.get_operations():
        if op.name in reads and any(tensor.name in touched for tensor in op.inputs):
            used = [out for out in op.outputs if out is end or any(reader.name in reads for reader in out.consumers())]
            touched |= {out.name for out in used}
            yield from used


def _value(wrapped: Any, feed: str, fetch: str, examples: tf.Tensor) -> Any:
    """Return what a tensor holds for these photos; None for one that holds no numbers."""
    tensor = wrapped.graph.get_tensor_by_name(fetch)
    if not (tensor.dtype.is_floating or tensor.dtype.is_integer):
        return None
    (value,) = wrapped.prune(feeds=[feed], fetches=[fetch])(examples)
    return value.numpy()
