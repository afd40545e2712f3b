"""Our subset of TensorFlow Serving's messages against the official stubs: field by field, and bytes both ways.

Runs where TensorFlow is installed, in a process of its own: the official stubs import all of it.
"""

import os
import warnings
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from dermis.api.serving.v1 import serving_pb2 as pb
from dermis.serving.servicer import MODEL_SERVICE, PREDICTION_SERVICE
from dermis.shared.tensors import DTYPES, from_proto, to_proto
from dermis.worker.adapters.rpc import ServingClient

pytestmark = pytest.mark.trainer

OURS = pb.DESCRIPTOR.package
MOVED = {
    "DataType": "tensorflow.DataType",
    "TensorProto": "tensorflow.TensorProto",
    "TensorShapeProto": "tensorflow.TensorShapeProto",
    "Code": "tensorflow.error.Code",
    "ServableVersionPolicy": "tensorflow.serving.FileSystemStoragePathSourceConfig.ServableVersionPolicy",
}
ARRAYS = [np.arange(6).reshape(2, 3).astype(dtype) for dtype in DTYPES.values()] + [
    np.zeros((0, 3), "f4"),
    np.ones((), "f4"),
]


def messages_of(container: Any) -> Iterator[Descriptor]:
    found = getattr(container, "message_types_by_name", None) or getattr(container, "nested_types_by_name", {})
    for message in found.values():
        if not message.GetOptions().map_entry:
            yield message
            yield from messages_of(message)


MESSAGES = list(messages_of(pb.DESCRIPTOR))
ENUMS = [*pb.DESCRIPTOR.enum_types_by_name.values(), *(enum for message in MESSAGES for enum in message.enum_types)]


def official_name(name: str) -> str:
    """The official full name of one of our messages or enums; names outside our package stand for themselves."""
    if not name.startswith(f"{OURS}."):
        return name
    top, _, rest = name.removeprefix(f"{OURS}.").partition(".")
    return ".".join(filter(None, [MOVED.get(top, f"tensorflow.serving.{top}"), rest]))


@pytest.fixture(scope="session")
def tensorflow() -> SimpleNamespace:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tensorflow as tf
        from google.protobuf import descriptor_pool, message_factory
        from tensorflow_serving.apis import (  # noqa: F401
            get_model_status_pb2,
            model_service_pb2_grpc,
            predict_pb2,
            prediction_log_pb2,
            prediction_service_pb2_grpc,
        )
        from tensorflow_serving.config import model_server_config_pb2  # noqa: F401
    pool = descriptor_pool.Default()
    return SimpleNamespace(
        tf=tf,
        message=pool.FindMessageTypeByName,
        enum=pool.FindEnumTypeByName,
        new=lambda name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name))(),
        prediction=prediction_service_pb2_grpc,
        model=model_service_pb2_grpc,
    )


def traits(field: FieldDescriptor) -> dict[str, object]:
    """All that decides how a field looks on the wire and in text, with types under their official names."""
    of_map = field.message_type is not None and field.message_type.GetOptions().map_entry
    oneof = field.containing_oneof
    return {
        "name": field.name,
        "number": field.number,
        "type": field.type,
        "repeated": field.is_repeated,
        "required": field.is_required,
        "presence": field.has_presence,
        "packed": field.is_packed,
        "oneof": oneof and oneof.name,
        "message": field.message_type and not of_map and official_name(field.message_type.full_name),
        "enum": field.enum_type and official_name(field.enum_type.full_name),
        "map": of_map and {part: traits(field.message_type.fields_by_name[part]) for part in ("key", "value")},
    }


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.full_name.removeprefix(f"{OURS}."))
def test_every_field_is_the_official_one(tensorflow: SimpleNamespace, message: Descriptor) -> None:
    official = tensorflow.message(official_name(message.full_name)).fields_by_number
    for field in message.fields:
        assert field.number in official, (
            f"{field.full_name} = {field.number} is not in {official_name(message.full_name)}"
        )
        assert traits(field) == traits(official[field.number])


@pytest.mark.parametrize("enum", ENUMS, ids=lambda enum: enum.full_name.removeprefix(f"{OURS}."))
def test_every_enum_value_is_the_official_one(tensorflow: SimpleNamespace, enum: EnumDescriptor) -> None:
    official = {value.name: value.number for value in tensorflow.enum(official_name(enum.full_name)).values}
    assert {value.name: value.number for value in enum.values}.items() <= official.items()


def fill(message: Message, like: Descriptor, *, branch: int) -> None:
    """Set every field that `like` has, of a oneof the one that `branch` picks."""
    for field in like.fields:
        siblings = field.containing_oneof.fields if field.containing_oneof else [field]
        if siblings[branch % len(siblings)].name != field.name:
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            fill(
                getattr(message, field.name)["key"],
                field.message_type.fields_by_name["value"].message_type,
                branch=branch,
            )
        elif field.message_type is not None:
            target = getattr(message, field.name)
            fill(target.add() if field.is_repeated else target, field.message_type, branch=branch)
            if not field.is_repeated:
                target.SetInParent()
        elif field.is_repeated:
            getattr(message, field.name).extend([sample(field), sample(field)])
        else:
            setattr(message, field.name, sample(field))


def sample(field: FieldDescriptor) -> Any:
    if field.enum_type is not None:
        return field.enum_type.values[-1].number
    return {"string": "größe", "bytes": b"\x00\xff\x80", "bool": True, "float": 0.1, "double": 0.1}.get(
        TYPE_NAMES[field.type], -7
    )


TYPE_NAMES = {
    getattr(FieldDescriptor, name): name.removeprefix("TYPE_").lower()
    for name in dir(FieldDescriptor)
    if name.startswith("TYPE_")
}


def unknown_fields(message: Message) -> int:
    """Fields of a message, at any depth, that its own type does not know."""
    count = len(UnknownFieldSet(message))
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        is_map = field.message_type.GetOptions().map_entry
        below = value.values() if is_map else value if field.is_repeated else [value]
        count += sum(unknown_fields(each) for each in below)
    return count


@pytest.mark.parametrize("branch", [0, 1])
@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.full_name.removeprefix(f"{OURS}."))
def test_bytes_go_both_ways(tensorflow: SimpleNamespace, message: Descriptor, branch: int) -> None:
    ours, theirs = message._concrete_class(), tensorflow.new(official_name(message.full_name))  # type: ignore[attr-defined]
    fill(ours, message, branch=branch)
    fill(theirs, message, branch=branch)
    read_by_them = type(theirs).FromString(ours.SerializeToString())
    read_by_us = type(ours).FromString(theirs.SerializeToString())
    assert read_by_them == theirs
    assert read_by_us == ours
    assert unknown_fields(read_by_them) == unknown_fields(read_by_us) == 0
    assert ours.SerializeToString(deterministic=True) == theirs.SerializeToString(deterministic=True)


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{list(array.shape)}")
def test_tensors_go_both_ways(tensorflow: SimpleNamespace, array: np.ndarray) -> None:
    request = pb.PredictRequest(inputs={"x": to_proto(array)})
    official = tensorflow.new("tensorflow.serving.PredictRequest")
    official.ParseFromString(request.SerializeToString())
    theirs = tensorflow.tf.make_ndarray(official.inputs["x"])
    assert (theirs.dtype, theirs.shape) == (array.dtype, array.shape)
    assert np.array_equal(theirs, array)
    official.inputs["x"].CopyFrom(tensorflow.tf.make_tensor_proto(array))
    ours = from_proto(pb.PredictRequest.FromString(official.SerializeToString()).inputs["x"])
    assert (ours.dtype, ours.shape) == (array.dtype, array.shape)
    assert np.array_equal(ours, array)


@pytest.mark.parametrize("values", [[0.5, -1.5, 2.0], [0.25]])
def test_reads_the_repeated_field_that_tensorflow_serving_answers_with(
    tensorflow: SimpleNamespace, values: list[float]
) -> None:
    official = tensorflow.tf.make_tensor_proto(np.zeros(3, "f4"))
    official.ClearField("tensor_content")
    official.ClearField("float_val")
    official.float_val.extend(values)
    ours = from_proto(pb.TensorProto.FromString(official.SerializeToString()))
    assert np.array_equal(ours, tensorflow.tf.make_ndarray(official))


def test_the_server_configuration_reads_the_same_as_text(tensorflow: SimpleNamespace) -> None:
    ours = pb.ModelServerConfig()
    for name, versions in {"dermis": [1, 2, 3], "other": [7]}.items():
        entry = ours.model_config_list.config.add(name=name, base_path=f"/models/{name}", model_platform="tensorflow")
        entry.model_version_policy.specific.versions.extend(versions)
    theirs = text_format.Parse(
        text_format.MessageToString(ours), tensorflow.new("tensorflow.serving.ModelServerConfig")
    )
    assert theirs.SerializeToString() == ours.SerializeToString()
    assert text_format.Parse(text_format.MessageToString(theirs), pb.ModelServerConfig()) == ours


def test_method_paths(tensorflow: SimpleNamespace) -> None:
    paths: set[str] = set()

    class Channel:
        def unary_unary(self, path: str, *_: object, **__: object) -> None:
            paths.add(path)

        unary_stream = stream_unary = stream_stream = unary_unary

    ServingClient(Channel(), deadline_s=1)  # type: ignore[arg-type]
    ours = {f"/{PREDICTION_SERVICE}/Predict", f"/{MODEL_SERVICE}/GetModelStatus"}
    assert paths == ours, "the worker's client and the twin"
    paths.clear()
    tensorflow.prediction.PredictionServiceStub(Channel())
    tensorflow.model.ModelServiceStub(Channel())
    assert ours <= paths
