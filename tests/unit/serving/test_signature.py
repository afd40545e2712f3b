"""Requests that fit and requests that don't. The codes are held against TensorFlow's runtime in tests/contract."""

from typing import Any

import numpy as np
import pytest

from dermis.api.serving.v1 import serving_pb2 as pb
from dermis.serving.core.refusal import RpcRefusal
from dermis.serving.core.signature import check_inputs, check_signature_name, chosen_outputs
from dermis.shared.tensors import Array, to_proto

LIMIT = 10_000


def refusal_of(signature: Any, request: pb.PredictRequest) -> RpcRefusal:
    with pytest.raises(RpcRefusal) as caught:
        check_inputs(signature, request.inputs, max_size=LIMIT)
    assert caught.value.code == pb.INVALID_ARGUMENT
    return caught.value


def test_takes_what_fits(runner: Any, request_: pb.PredictRequest) -> None:
    check_inputs(runner.signature, request_.inputs, max_size=LIMIT)


@pytest.mark.parametrize("batch", [2, 5])
def test_takes_any_batch_size(runner: Any, batch: int) -> None:
    arrays: dict[str, Array] = {
        "images": np.zeros((batch, 3, 4, 4, 3), "u1"),
        "image_mask": np.ones((batch, 3), "?"),
        "features": np.zeros((batch, 2), "f4"),
    }
    check_inputs(runner.signature, {name: to_proto(array) for name, array in arrays.items()}, max_size=LIMIT)


def test_a_missing_input_is_named(runner: Any, request_: pb.PredictRequest) -> None:
    del request_.inputs["features"]
    message = refusal_of(runner.signature, request_).message
    assert message.startswith("input size does not match signature: 2!=3 len({image_mask,images})")
    assert message.endswith("Sent extra: {}. Missing but required: {features}.")


def test_an_extra_input_is_named(runner: Any, request_: pb.PredictRequest) -> None:
    request_.inputs["race"].CopyFrom(to_proto(np.zeros(1, "f4")))
    assert "Sent extra: {race}. Missing but required: {}." in refusal_of(runner.signature, request_).message


def test_a_renamed_input_is_both(runner: Any, request_: pb.PredictRequest) -> None:
    request_.inputs["picture"].CopyFrom(request_.inputs["images"])
    del request_.inputs["images"]
    assert "Sent extra: {picture}. Missing but required: {images}." in refusal_of(runner.signature, request_).message


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("images", np.zeros((1, 3, 4, 4, 3), "f4"), "images: expects uint8 but float is provided"),
        ("features", np.zeros((1, 2), "f8"), "features: expects float but double is provided"),
        ("image_mask", np.zeros((1, 3), "u1"), "image_mask: expects bool but uint8 is provided"),
        ("images", np.zeros((1, 4, 4, 3), "u1"), "images: expects shape [?,3,4,4,3] but [1,4,4,3] is provided"),
        ("images", np.zeros((1, 3, 8, 8, 3), "u1"), "images: expects shape [?,3,4,4,3] but [1,3,8,8,3] is provided"),
        ("features", np.zeros((1, 3), "f4"), "features: expects shape [?,2] but [1,3] is provided"),
        ("features", np.zeros((), "f4"), "features: expects shape [?,2] but [] is provided"),
        ("features", np.zeros((2, 2), "f4"), "input tensors must have equal 0th-dimension size, not [1, 2]"),
        ("features", np.zeros((0, 2), "f4"), "features: batch size 0 is out of range"),
    ],
)
def test_type_and_shape(runner: Any, request_: pb.PredictRequest, name: str, array: Array, message: str) -> None:
    request_.inputs[name].CopyFrom(to_proto(array))
    assert refusal_of(runner.signature, request_).message == message


def test_a_type_without_a_name_is_refused(runner: Any, request_: pb.PredictRequest) -> None:
    request_.inputs["features"].dtype = 7  # type: ignore[assignment]  # DT_STRING, which our subset leaves out
    assert refusal_of(runner.signature, request_).message == "features: expects float but type 7 is provided"


@pytest.mark.parametrize("batch", [LIMIT, 2**62, -1])
def test_a_shape_larger_than_any_message_is_refused_undecoded(
    runner: Any, request_: pb.PredictRequest, batch: int
) -> None:
    request_.inputs["images"].CopyFrom(pb.TensorProto(dtype=pb.DT_UINT8, int_val=[1]))
    for size in (batch, 3, 4, 4, 3):
        request_.inputs["images"].tensor_shape.dim.add(size=size)
    assert "out of range" in refusal_of(runner.signature, request_).message


def test_outputs_are_all_or_those_asked_for(runner: Any) -> None:
    assert chosen_outputs(runner.signature, []) == ("probabilities", "embedding")
    assert chosen_outputs(runner.signature, ["embedding"]) == ("embedding",)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["logits"],
            (
                "output tensor alias not found in signature: logits Outputs expected to be in the set "
                "{embedding,probabilities}."
            ),
        ),
        (["embedding", "embedding"], "duplicate output tensor alias: embedding"),
    ],
)
def test_unknown_or_repeated_outputs(runner: Any, names: list[str], message: str) -> None:
    with pytest.raises(RpcRefusal) as caught:
        chosen_outputs(runner.signature, names)
    assert (caught.value.code, caught.value.message) == (pb.INVALID_ARGUMENT, message)


def test_one_signature() -> None:
    check_signature_name("")
    check_signature_name("serving_default")
    with pytest.raises(RpcRefusal) as caught:
        check_signature_name("train")
    assert (caught.value.code, caught.value.message) == (
        pb.FAILED_PRECONDITION,
        'Serving signature key "train" not found.',
    )
