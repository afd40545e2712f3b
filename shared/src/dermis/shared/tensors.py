"""numpy arrays <-> TensorFlow Serving's TensorProto, without TensorFlow."""

import math

import numpy as np
import numpy.typing as npt

from dermis.api.serving.v1 import serving_pb2 as pb
from dermis.shared.errors import DermisError, Kind

Array = npt.NDArray[np.generic]
DTYPES: dict[pb.DataType, np.dtype[np.generic]] = {
    pb.DT_FLOAT: np.dtype("<f4"),
    pb.DT_DOUBLE: np.dtype("<f8"),
    pb.DT_INT32: np.dtype("<i4"),
    pb.DT_UINT8: np.dtype("u1"),
    pb.DT_INT64: np.dtype("<i8"),
    pb.DT_BOOL: np.dtype("?"),
}
LONGEST_CONSTANT = 16 * 1024 * 1024
"""Elements; so that ten bytes on the wire can't ask for terabytes."""
_CODES = {dtype: code for code, dtype in DTYPES.items()}


def to_proto(array: Array) -> pb.TensorProto:
    """Return `array` as a TensorProto with raw, row-major, little-endian content."""
    dtype = array.dtype.newbyteorder("<")
    return pb.TensorProto(
        dtype=_CODES[dtype],
        tensor_shape=pb.TensorShapeProto(dim=[pb.TensorShapeProto.Dim(size=size) for size in array.shape]),
        tensor_content=np.ascontiguousarray(array, dtype=dtype).tobytes(),
    )


def from_proto(tensor: pb.TensorProto, name: str = "tensor") -> Array:
    """Return the tensor as an array, from raw content or from the repeated fields; INVALID if sizes do not agree."""
    dtype = DTYPES.get(tensor.dtype)
    if dtype is None:
        raise DermisError(Kind.INVALID, "TENSOR_TYPE", f"{name}: type {tensor.dtype} is not supported")
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    if any(size < 0 for size in shape):
        raise DermisError(Kind.INVALID, "TENSOR_SHAPE", f"{name}: shape {shape} has a negative size")
    count = math.prod(shape)
    try:
        if tensor.tensor_content:
            if len(tensor.tensor_content) != count * dtype.itemsize:
                raise DermisError(
                    Kind.INVALID,
                    "TENSOR_SHAPE",
                    f"{name}: {len(tensor.tensor_content)} bytes do not fill shape {shape} of {dtype}",
                )
            return np.frombuffer(tensor.tensor_content, dtype).reshape(shape)
        values = np.array([*tensor.float_val, *tensor.int_val, *tensor.bool_val], dtype)
        if values.size == 1 and 1 < count <= LONGEST_CONSTANT:
            values = np.repeat(values, count)  # TensorFlow's short form of a constant
        if values.size != count:
            raise DermisError(Kind.INVALID, "TENSOR_SHAPE", f"{name}: {values.size} values do not fill shape {shape}")
        return values.reshape(shape)
    except (OverflowError, ValueError) as error:  # a value that the type can't hold, a shape that numpy can't
        raise DermisError(Kind.INVALID, "TENSOR_VALUE", f"{name}: {error}") from error
