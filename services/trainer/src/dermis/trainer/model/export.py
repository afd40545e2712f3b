"""Exports a trained model as a SavedModel with one signature, for TensorFlow Serving, TensorFlow and OpenVINO."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from dermis.api.serving.v1 import serving_pb2 as pb
from dermis.shared.errors import DermisError, Kind
from dermis.shared.manifest import MODEL_NAME
from dermis.shared.openvino import core
from dermis.shared.tensors import to_proto
from dermis.trainer.model.backbones.graph import fold_batch_norm
from dermis.trainer.model.head import Head, build_head, join_visible
from dermis.trainer.model.test_time_augmentation import mirrored

SIGNATURE = "serving_default"
WARM_UP = "assets.extra/tf_serving_warmup_requests"
Arrays = dict[str, npt.NDArray[np.generic]]
AT_ONCE = 4
"""Cases at once: the activations of 16 were the most that training held."""
_OUTPUTS = ("probabilities", "embedding", "cam", "answers_logits")


def serving_model(backbone: keras.Model, head: keras.Model, *, settings: Head, mirror: bool = False) -> keras.Model:
    """Return a backbone and a trained head of these settings as one model, as it is exported.

    It computes in float32, however it was trained.

    `mirror`: each image and its mirror image are averaged, test-time augmentation within the graph.
    """
    folded = fold_batch_norm(backbone)
    if mirror:
        folded = mirrored(folded)
    columns, conditions = head.input["features"].shape[-1], head.output["logits"].shape[-1]
    whole = build_head(folded.output.shape[1:], columns=columns, conditions=conditions, head=settings)
    whole.set_weights(head.get_weights())
    return join_visible(folded, whole)


def rounded_to_float16(backbone: keras.Model) -> keras.Model:
    """Round a backbone's weights, in place, to what float16 holds: `export` can then store them so without any loss."""
    backbone.set_weights([np.asarray(weight, np.float16).astype(np.float32) for weight in backbone.get_weights()])
    return backbone


def export(
    model: keras.Model, folder: Path, *, name: str = MODEL_NAME, storage: Literal["float32", "float16"] = "float32"
) -> None:
    """Write `model` (see `serving_model`) as a SavedModel, with a warm-up request of one case.

    `storage`: float16 keeps every weight that float16 holds exactly in half the bytes; the graph reads it as float32.
    """
    served = tf.Module()
    served.weights = [_stored(weight, storage) for weight in model.variables]
    inputs = [
        tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype, name=name)
        for name, tensor in zip(("images", "image_mask", "features"), _inputs(model), strict=True)
    ]

    @tf.function(input_signature=inputs, autograph=False)  # type: ignore[untyped-decorator]
    def serve(images: tf.Tensor, image_mask: tf.Tensor, features: tf.Tensor) -> dict[str, tf.Tensor]:
        case = {"images": images, "image_mask": image_mask, "features": features}
        if storage == "float32":
            outputs = model(case, training=False)
        else:
            read = {id(w): tf.cast(s, tf.float32) for w, s in zip(model.variables, served.weights, strict=True)}
            trained, fixed = (
                [read[id(weight)] for weight in weights]
                for weights in (model.trainable_variables, model.non_trainable_variables)
            )
            outputs, _ = model.stateless_call(trained, fixed, case, training=False)
        return {name: outputs[name] for name in _OUTPUTS}

    tf.saved_model.save(served, str(folder), signatures={SIGNATURE: serve})
    one: Arrays = {spec.name: np.zeros((1, *spec.shape[1:]), spec.dtype.as_numpy_dtype) for spec in inputs}
    one["image_mask"][:, 0] = True
    write_warm_up(folder / WARM_UP, one, name=name)


def _stored(weight: keras.Variable, storage: str) -> tf.Variable:
    values = weight.numpy()
    if storage == "float32" or values.dtype != np.float32:
        return weight.value
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    return tf.Variable(half, trainable=False) if np.array_equal(half.astype(np.float32), values) else weight.value


def _inputs(model: keras.Model) -> list[keras.KerasTensor]:
    return [model.input[name] for name in ("images", "image_mask", "features")]


def signature(folder: Path) -> dict[str, str]:
    """Return "input images" and the like -> type and shape of a bundle's one signature.

    An error if there are others.
    """
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    signatures = {
        name: spec
        for graph in saved.meta_graphs
        for name, spec in graph.signature_def.items()
        if not name.startswith("__")
    }
    if list(signatures) != [SIGNATURE]:
        raise DermisError(Kind.INVALID, "SIGNATURE", f"signatures {sorted(signatures)}; a bundle has {SIGNATURE} alone")
    return {
        f"{way} {name}": f"{tf.dtypes.as_dtype(tensor.dtype).name}{[dim.size for dim in tensor.tensor_shape.dim]}"
        for way, tensors in (("input", signatures[SIGNATURE].inputs), ("output", signatures[SIGNATURE].outputs))
        for name, tensor in sorted(tensors.items())
    }


def write_warm_up(path: Path, inputs: Arrays, *, name: str = MODEL_NAME) -> None:
    """Write a TFRecord of one PredictionLog, which TensorFlow Serving replays before it calls a version AVAILABLE."""
    request = pb.PredictRequest(
        model_spec=pb.ModelSpec(name=name, signature_name=SIGNATURE),
        inputs={name: to_proto(array) for name, array in inputs.items()},
    )
    log = pb.PredictionLog(predict_log=pb.PredictLog(request=request)).SerializeToString(deterministic=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(log)


def run_tensorflow(folder: Path, inputs: Arrays) -> Arrays:
    """Return the outputs of a bundle's SavedModel run by TensorFlow, a few cases at a time."""
    signature = tf.saved_model.load(str(folder)).signatures[SIGNATURE]

    def run(few: Arrays) -> Arrays:
        outputs = signature(**{key: tf.constant(value) for key, value in few.items()})
        return {name: tensor.numpy() for name, tensor in outputs.items()}

    return _by_few(run, inputs)


def run_openvino(folder: Path, inputs: Arrays) -> Arrays:
    """Return the outputs of a bundle's SavedModel run by OpenVINO, a few cases at a time.

    It runs at f32, as by default it may choose bf16, which is 2 % off.
    """
    compiled = core().compile_model(str(folder), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(few: Arrays) -> Arrays:
        results = compiled(few)
        return {name: np.array(results[compiled.output(name)]) for name in _OUTPUTS}

    return _by_few(run, inputs)


def _by_few(run: Callable[[Arrays], Arrays], inputs: Arrays) -> Arrays:
    """Return the outputs of all cases, `AT_ONCE` of them in memory at once."""
    count = len(next(iter(inputs.values())))
    parts = [
        run({name: values[start : start + AT_ONCE] for name, values in inputs.items()})
        for start in range(0, count, AT_ONCE)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@contextmanager
def _full_float32() -> Iterator[None]:
    """Have GPUs compute float32 as such: by default they round products to TensorFloat-32, of 10 bits.

    Source: https://www.tensorflow.org/api_docs/python/tf/config/experimental/enable_tensor_float_32_execution
    """
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


def check_agreement(folder: Path, model: keras.Model, inputs: Arrays, *, tolerance: float = 1e-4) -> float:
    """Return the largest difference between the trained model, TensorFlow and OpenVINO; an error above `tolerance`.

    Of probabilities it is absolute. The other outputs have no unit of their own and float32 rounds them by a share of
    their size, so theirs is in units of the output's largest value, where that is above 1: features of a standardised
    head reach hundreds.
    """
    with _full_float32():
        wanted = model.predict(inputs, batch_size=AT_ONCE, verbose=0)
        answers = {"TensorFlow": run_tensorflow(folder, inputs), "OpenVINO": run_openvino(folder, inputs)}
    worst = 0.0
    for engine, outputs in answers.items():
        for name in _OUTPUTS:
            scale = 1.0 if name == "probabilities" else max(1.0, float(np.abs(wanted[name]).max()))
            off = float(np.abs(outputs[name] - wanted[name]).max()) / scale
            if not off <= tolerance:
                of = f" of {scale:.3g}" if scale > 1 else ""
                raise DermisError(
                    Kind.INTERNAL, "EXPORT_DIFFERS", f"{engine}'s {name} is {off:.2g}{of} off the trained model's"
                )
            worst = max(worst, off)
    return worst
