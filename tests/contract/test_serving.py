"""How a server of the demo bundle behaves: TensorFlow Serving's face, whoever wears it.

Against any server: DERMIS_TEST_SERVING_ADDRESS=host:port pytest tests/contract/test_serving.py
Without it against the twin. Every code asserted here is TensorFlow Serving's own; the source is named at the test,
under tensorflow_serving/ at github.com/tensorflow/serving, or else under tensorflow/ at
github.com/tensorflow/tensorflow.
Messages are asserted where TensorFlow Serving's are fixed words.
"""

from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest

from dermis.api.serving.v1 import serving_pb2 as pb
from dermis.shared.manifest import Manifest
from dermis.shared.tensors import Array, from_proto, to_proto

UNKNOWN = 987654
OUTPUTS = ("probabilities", "embedding", "cam", "answers_logits")


def refused(call: Callable[[], object], code: grpc.StatusCode) -> str:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    assert caught.value.code() is code, caught.value.details()
    return caught.value.details()


@pytest.fixture(scope="module")
def available(server: Any) -> list[int]:
    """The versions that answer, in order."""
    states = server.status(pb.ModelSpec(name="dermis"))
    return sorted(version for version, each in states.items() if each.state == pb.ModelVersionStatus.AVAILABLE)


# --- answers --------------------------------------------------------------------------------------------------------


def test_answers_every_output_of_the_signature(server: Any, request_: pb.PredictRequest, manifest: Manifest) -> None:
    outputs = {name: from_proto(tensor, name) for name, tensor in server.predict(request_).outputs.items()}
    conditions, (height, width) = len(manifest.conditions), manifest.cam_size
    assert {name: (array.dtype, array.shape) for name, array in outputs.items()} == {
        "probabilities": (np.float32, (1, conditions)),
        "embedding": (np.float32, (1, manifest.embedding_size)),
        "cam": (np.float32, (1, 3, height, width, conditions)),
        "answers_logits": (np.float32, (1, conditions)),
    }
    assert np.isclose(outputs["probabilities"].sum(), 1, atol=1e-5)
    assert all(np.isfinite(array).all() for array in outputs.values())
    assert not outputs["cam"][0, 2].any(), "the third image is masked"


def test_answers_depend_on_every_input(server: Any, request_: pb.PredictRequest, arrays: dict[str, Array]) -> None:
    plain = from_proto(server.predict(request_).outputs["probabilities"])
    changes = {
        "images": 255 - arrays["images"],
        "image_mask": np.array([[True, False, False]]),
        "features": 1 - arrays["features"],
    }
    for name, array in changes.items():
        changed = pb.PredictRequest.FromString(request_.SerializeToString())
        changed.inputs[name].CopyFrom(to_proto(array))
        assert not np.array_equal(from_proto(server.predict(changed).outputs["probabilities"]), plain), name


def test_a_batch_answers_as_its_rows_do(server: Any, request_: pb.PredictRequest, arrays: dict[str, Array]) -> None:
    flipped = {**arrays, "images": arrays["images"][:, :, ::-1].copy()}
    rows = []
    for case in (arrays, flipped):
        single = pb.PredictRequest(
            model_spec=request_.model_spec, inputs={name: to_proto(array) for name, array in case.items()}
        )
        rows.append(from_proto(server.predict(single).outputs["probabilities"]))
    both = {name: to_proto(np.concatenate([arrays[name], flipped[name]])) for name in arrays}
    answer = from_proto(
        server.predict(pb.PredictRequest(model_spec=request_.model_spec, inputs=both)).outputs["probabilities"]
    )
    assert np.allclose(answer, np.concatenate(rows), atol=1e-5)


def test_values_may_come_as_repeated_fields(server: Any, request_: pb.PredictRequest, arrays: dict[str, Array]) -> None:
    plain = server.predict(request_)
    request_.inputs["features"].ClearField("tensor_content")
    request_.inputs["features"].float_val.extend(arrays["features"].ravel().tolist())
    request_.inputs["image_mask"].ClearField("tensor_content")
    request_.inputs["image_mask"].bool_val.extend(arrays["image_mask"].ravel().tolist())
    before, after = (from_proto(answer.outputs["probabilities"]) for answer in (plain, server.predict(request_)))
    assert np.allclose(before, after, atol=1e-6)


# servables/tensorflow/predict_util.cc PreProcessPrediction: an empty filter fetches all.
@pytest.mark.parametrize("names", [("probabilities",), ("cam", "embedding"), OUTPUTS])
def test_answers_only_the_outputs_that_are_asked_for(
    server: Any, request_: pb.PredictRequest, names: tuple[str, ...]
) -> None:
    everything = server.predict(request_)
    request_.output_filter.extend(names)
    answer = server.predict(request_)
    assert set(answer.outputs) == set(names)
    assert all(
        np.allclose(from_proto(answer.outputs[name]), from_proto(everything.outputs[name]), atol=1e-6) for name in names
    )


# servables/tensorflow/util.cc MakeModelSpec; core/basic_manager.cc ServingMap::Update: the last harness is the latest.
@pytest.mark.parametrize("signature", ["", "serving_default"])
def test_says_which_version_answered_the_largest_by_default(
    server: Any, request_: pb.PredictRequest, available: list[int], signature: str
) -> None:
    request_.model_spec.signature_name = signature
    spec = server.predict(request_).model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("dermis", available[-1], "serving_default")
    assert not spec.version_label


def test_each_available_version_answers_by_number(
    server: Any, request_: pb.PredictRequest, available: list[int]
) -> None:
    for version in available:
        request_.model_spec.version.value = version
        assert server.predict(request_).model_spec.version.value == version


# --- state ----------------------------------------------------------------------------------------------------------


# model_servers/get_model_status_impl.cc
def test_states_all_versions_or_one(server: Any, available: list[int]) -> None:
    spec = pb.ModelSpec(name="dermis")
    spec.version.value = available[0]
    (one,) = server.status(spec).values()
    assert (one.version, one.state, one.status.error_code) == (available[0], pb.ModelVersionStatus.AVAILABLE, pb.OK)
    assert set(available) <= set(server.status(pb.ModelSpec(name="dermis")))


# model_servers/get_model_status_impl.cc GetModelStatusWithModelSpec
def test_the_state_of_what_is_unknown(server: Any) -> None:
    spec = pb.ModelSpec(name="dermis")
    spec.version.value = UNKNOWN
    assert (
        refused(lambda: server.status(spec), grpc.StatusCode.NOT_FOUND)
        == f"Could not find version {UNKNOWN} of model dermis"
    )
    message = refused(lambda: server.status(pb.ModelSpec(name="nothing")), grpc.StatusCode.NOT_FOUND)
    assert message == "Could not find any versions of model nothing"


# --- what is asked for does not exist -------------------------------------------------------------------------------


# core/basic_manager.cc ServingMap::GetUntypedServableHandle
def test_unknown_model(server: Any, request_: pb.PredictRequest) -> None:
    request_.model_spec.name = "nothing"
    assert (
        refused(lambda: server.predict(request_), grpc.StatusCode.NOT_FOUND)
        == "Servable not found for request: Latest(nothing)"
    )


def test_unknown_version(server: Any, request_: pb.PredictRequest) -> None:
    request_.model_spec.version.value = UNKNOWN
    message = refused(lambda: server.predict(request_), grpc.StatusCode.NOT_FOUND)
    assert message == f"Servable not found for request: Specific(dermis, {UNKNOWN})"


# model_servers/server_core.cc ServableRequestFromModelSpec, GetModelVersionForLabel: no label is ever set.
def test_unknown_label(server: Any, request_: pb.PredictRequest) -> None:
    request_.model_spec.version_label = "stable"
    message = refused(lambda: server.predict(request_), grpc.StatusCode.INVALID_ARGUMENT)
    assert message == "Unrecognized servable version label: stable"


# servables/tensorflow/predict_impl.cc Predict; model_servers/server_core.cc ServableRequestFromModelSpec
def test_no_model_named(server: Any, request_: pb.PredictRequest) -> None:
    request_.model_spec.name = ""
    assert (
        refused(lambda: server.predict(request_), grpc.StatusCode.INVALID_ARGUMENT)
        == "ModelSpec has no name specified."
    )
    request_.ClearField("model_spec")
    assert refused(lambda: server.predict(request_), grpc.StatusCode.INVALID_ARGUMENT) == "Missing ModelSpec"


# servables/tensorflow/predict_util.cc RunPredict
def test_unknown_signature(server: Any, request_: pb.PredictRequest) -> None:
    request_.model_spec.signature_name = "train"
    message = refused(lambda: server.predict(request_), grpc.StatusCode.FAILED_PRECONDITION)
    assert message == 'Serving signature key "train" not found.'


# servables/tensorflow/predict_util.cc PreProcessPrediction
def test_unknown_output(server: Any, request_: pb.PredictRequest) -> None:
    request_.output_filter.append("logits")
    message = refused(lambda: server.predict(request_), grpc.StatusCode.INVALID_ARGUMENT)
    assert message.startswith("output tensor alias not found in signature: logits Outputs expected to be in the set {")


# servables/tensorflow/predict_util.cc PreProcessPrediction
def test_repeated_output(server: Any, request_: pb.PredictRequest) -> None:
    request_.output_filter.extend(["cam", "cam"])
    assert (
        refused(lambda: server.predict(request_), grpc.StatusCode.INVALID_ARGUMENT)
        == "duplicate output tensor alias: cam"
    )


# --- inputs that don't fit ------------------------------------------------------------------------------------------


# servables/tensorflow/predict_util.cc VerifyRequestInputsSize
def test_missing_input(server: Any, request_: pb.PredictRequest) -> None:
    del request_.inputs["features"]
    message = refused(lambda: server.predict(request_), grpc.StatusCode.INVALID_ARGUMENT)
    assert message.startswith("input size does not match signature: 2!=3 ")
    assert message.endswith("Sent extra: {}. Missing but required: {features}.")


def test_no_input(server: Any, request_: pb.PredictRequest) -> None:
    request_.ClearField("inputs")
    message = refused(lambda: server.predict(request_), grpc.StatusCode.INVALID_ARGUMENT)
    assert message.startswith("input size does not match signature: 0!=3 ")


def test_extra_input(server: Any, request_: pb.PredictRequest) -> None:
    request_.inputs["race"].CopyFrom(request_.inputs["features"])
    message = refused(lambda: server.predict(request_), grpc.StatusCode.INVALID_ARGUMENT)
    assert message.endswith("Sent extra: {race}. Missing but required: {}.")


# servables/tensorflow/predict_util.cc before 2.11, cc/saved_model/util.cc GetInputValues since: the wording differs.
def test_renamed_input(server: Any, request_: pb.PredictRequest) -> None:
    request_.inputs["pictures"].CopyFrom(request_.inputs["images"])
    del request_.inputs["images"]
    refused(lambda: server.predict(request_), grpc.StatusCode.INVALID_ARGUMENT)


# The runtime finds these when it runs: test_tensorflow_runtime.py shows TensorFlow's own codes for the same tensors.
@pytest.mark.parametrize("case", ["dtype", "other dtype", "rank", "scalar", "image size", "columns", "mask"])
def test_wrong_type_or_shape(
    server: Any, request_: pb.PredictRequest, misfits: dict[str, tuple[str, Array]], case: str
) -> None:
    name, array = misfits[case]
    request_.inputs[name].CopyFrom(to_proto(array))
    refused(lambda: server.predict(request_), grpc.StatusCode.INVALID_ARGUMENT)


# cc/saved_model/util.cc GetInputValues: "tensor parsing error" where Tensor::FromProto fails.
@pytest.mark.parametrize("content", [b"1234", b"\0" * 9999])
def test_content_that_does_not_fill_the_shape(server: Any, request_: pb.PredictRequest, content: bytes) -> None:
    request_.inputs["features"].tensor_content = content
    refused(lambda: server.predict(request_), grpc.StatusCode.INVALID_ARGUMENT)


# --- wire -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["PredictionService/Fortune", "ModelService/Fortune", "Fortune/Tell"])
def test_a_method_that_is_not_there(server: Any, method: str) -> None:
    call = server.channel.unary_unary(f"/tensorflow.serving.{method}")
    refused(lambda: call(b"", timeout=20), grpc.StatusCode.UNIMPLEMENTED)


def test_a_refusal_leaves_the_server_as_it_was(server: Any, request_: pb.PredictRequest) -> None:
    before = server.predict(request_).outputs["probabilities"]
    request_.model_spec.signature_name = "train"
    refused(lambda: server.predict(request_), grpc.StatusCode.FAILED_PRECONDITION)
    request_.model_spec.signature_name = ""
    assert np.allclose(from_proto(server.predict(request_).outputs["probabilities"]), from_proto(before), atol=1e-6)
