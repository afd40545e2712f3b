"""What a request must hold: names, types and shapes of a signature's tensors.

The order of the checks, their codes and the wording follow TensorFlow Serving's predict_util.cc and TensorFlow's
cc/saved_model/util.cc. Type and shape are checked here before a byte is decoded; TensorFlow finds them when it runs.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dermis.api.serving.v1 import serving_pb2 as pb
from dermis.serving.core.refusal import RpcRefusal

SIGNATURE_NAME = "serving_default"


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """`shape` has None where any size will do; the first size is the batch."""

    dtype: pb.DataType
    shape: tuple[int | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]


def check_signature_name(name: str) -> None:
    """Raise FAILED_PRECONDITION for any signature but the one of a bundle; no name means that one."""
    if name not in ("", SIGNATURE_NAME):
        raise RpcRefusal(pb.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.')


def check_inputs(signature: Signature, inputs: Mapping[str, pb.TensorProto], *, max_size: int) -> None:
    """Raise INVALID_ARGUMENT unless `inputs` are the signature's, each of its type and shape, all of one batch size."""
    expected, actual = set(signature.inputs), set(inputs)
    if expected != actual:
        raise RpcRefusal(
            pb.INVALID_ARGUMENT,
            f"input size does not match signature: {len(actual)}!={len(expected)} len({_names(actual)}) != "
            f"len({_names(expected)}). Sent extra: {_names(actual - expected)}. Missing but required: "
            f"{_names(expected - actual)}.",
        )
    batches = set()
    for name, spec in signature.inputs.items():
        tensor = inputs[name]
        if tensor.dtype != spec.dtype:
            raise RpcRefusal(
                pb.INVALID_ARGUMENT, f"{name}: expects {_type(spec.dtype)} but {_type(tensor.dtype)} is provided"
            )
        shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
        if len(shape) != len(spec.shape) or any(
            want not in (None, size) for size, want in zip(shape, spec.shape, strict=True)
        ):
            raise RpcRefusal(
                pb.INVALID_ARGUMENT, f"{name}: expects shape {_shape(spec.shape)} but {_shape(shape)} is provided"
            )
        if shape[0] < 1 or math.prod(shape) > max_size:
            raise RpcRefusal(pb.INVALID_ARGUMENT, f"{name}: batch size {shape[0]} is out of range")
        batches.add(shape[0])
    if len(batches) != 1:
        raise RpcRefusal(
            pb.INVALID_ARGUMENT, f"input tensors must have equal 0th-dimension size, not {sorted(batches)}"
        )


def chosen_outputs(signature: Signature, output_filter: Iterable[str]) -> tuple[str, ...]:
    """Return the outputs that are asked for, all if none is named; INVALID_ARGUMENT for an unknown or repeated one."""
    chosen: list[str] = []
    for name in output_filter:
        if name not in signature.outputs:
            expected = _names(set(signature.outputs))
            raise RpcRefusal(
                pb.INVALID_ARGUMENT,
                f"output tensor alias not found in signature: {name} Outputs expected to be in the set {expected}.",
            )
        if name in chosen:
            raise RpcRefusal(pb.INVALID_ARGUMENT, f"duplicate output tensor alias: {name}")
        chosen.append(name)
    return tuple(chosen or signature.outputs)


def _names(names: set[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"


def _type(dtype: int) -> str:
    return pb.DataType.Name(dtype).removeprefix("DT_").lower() if dtype in pb.DataType.values() else f"type {dtype}"


def _shape(shape: tuple[int | None, ...]) -> str:
    return "[" + ",".join("?" if size is None else str(size) for size in shape) + "]"
