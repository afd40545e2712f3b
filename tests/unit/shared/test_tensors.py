import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dermis.api.serving.v1 import serving_pb2 as pb
from dermis.shared.errors import DermisError, Kind
from dermis.shared.tensors import DTYPES, LONGEST_CONSTANT, Array, from_proto, to_proto

any_array = st.sampled_from(list(DTYPES.values())).flatmap(
    lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, min_side=0))
)


def tensor(dtype: int, *shape: int, **content: object) -> pb.TensorProto:
    dims = [pb.TensorShapeProto.Dim(size=size) for size in shape]
    return pb.TensorProto(dtype=dtype, tensor_shape=pb.TensorShapeProto(dim=dims), **content)  # type: ignore[arg-type]


@given(any_array)
def test_an_array_comes_back_as_it_went(array: Array) -> None:
    back = from_proto(pb.TensorProto.FromString(to_proto(array).SerializeToString()))
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert back.tobytes() == array.tobytes()


@pytest.mark.parametrize(
    "array", [np.arange(6, dtype=">f4").reshape(2, 3), np.arange(12, dtype="<i4").reshape(3, 4).T[::2]]
)
def test_byte_order_and_strides_do_not_matter(array: Array) -> None:
    np.testing.assert_array_equal(from_proto(to_proto(array)), array)


def test_content_is_row_major_and_little_endian() -> None:
    proto = to_proto(np.array([[1, 2], [3, 4]], ">i4"))
    assert proto.tensor_content == bytes([1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0])
    assert proto.dtype == pb.DT_INT32
    assert [dim.size for dim in proto.tensor_shape.dim] == [2, 2]


def test_repeated_fields_and_the_short_form_of_a_constant() -> None:
    np.testing.assert_array_equal(from_proto(tensor(pb.DT_FLOAT, 3, float_val=[1, 2, 3])), np.array([1, 2, 3], "f4"))
    np.testing.assert_array_equal(from_proto(tensor(pb.DT_UINT8, 2, 2, int_val=[7])), np.full((2, 2), 7, "u1"))
    np.testing.assert_array_equal(from_proto(tensor(pb.DT_BOOL, 1, bool_val=[True])), [True])
    assert from_proto(tensor(pb.DT_INT32, int_val=[5])).shape == ()


@pytest.mark.parametrize(
    ("proto", "reason"),
    [
        (tensor(pb.DT_FLOAT, 2, tensor_content=b"1234567"), "TENSOR_SHAPE"),
        (tensor(pb.DT_FLOAT, 2, tensor_content=b"123456789"), "TENSOR_SHAPE"),
        (tensor(pb.DT_FLOAT, 0, tensor_content=b"1234"), "TENSOR_SHAPE"),
        (tensor(pb.DT_FLOAT, 3, float_val=[1, 2]), "TENSOR_SHAPE"),
        (tensor(pb.DT_FLOAT, 3), "TENSOR_SHAPE"),
        (tensor(pb.DT_FLOAT, -1, float_val=[1]), "TENSOR_SHAPE"),
        (tensor(pb.DT_FLOAT, LONGEST_CONSTANT + 1, float_val=[1]), "TENSOR_SHAPE"),
        (tensor(pb.DT_UINT8, 2**40, int_val=[0]), "TENSOR_SHAPE"),
        (tensor(pb.DT_FLOAT, 2**32, 2**32), "TENSOR_SHAPE"),
        (tensor(pb.DT_FLOAT, 2**62, 2**62, 0), "TENSOR_VALUE"),
        (tensor(pb.DT_FLOAT, *[1] * 70, float_val=[1]), "TENSOR_VALUE"),
        (tensor(pb.DT_UINT8, 1, int_val=[256]), "TENSOR_VALUE"),
        (tensor(pb.DT_INT32, 1, float_val=[float("nan")]), "TENSOR_VALUE"),
        (tensor(pb.DT_INVALID, 1, float_val=[1]), "TENSOR_TYPE"),
        (pb.TensorProto.FromString(b"\x08\x07"), "TENSOR_TYPE"),  # DT_STRING, which our subset does not know
    ],
)
def test_a_tensor_that_does_not_add_up_is_refused_by_name(proto: pb.TensorProto, reason: str) -> None:
    with pytest.raises(DermisError, match="images: ") as fault:
        from_proto(proto, "images")
    assert (fault.value.kind, fault.value.reason) == (Kind.INVALID, reason)
