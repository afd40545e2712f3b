"""The feature service in a process of its own: encode, batch, describe, errors, health, reflection, drain."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from dermis.api.metadata.v1 import features_pb2 as pb
from dermis.api.metadata.v1 import features_pb2_grpc as api
from dermis.metadata.core.encode import encode
from dermis.shared.answers import to_proto
from dermis.shared.manifest import FeatureField, FeatureSchema
from dermis.shared.rpc import VERSION_METADATA
from dermis.shared.stores.disk import DiskStore
from dermis.shared.vocabulary import SelfReport

SCHEMA = FeatureSchema(
    fields=(
        FeatureField(name="age_group", kind="ONE_OF", values=("AGE_18_TO_29",)),
        FeatureField(name="textures", kind="ANY_OF", values=("FLAT", "FLUID_FILLED")),
    )
)
REPORT = SelfReport.model_validate({"age_group": "AGE_18_TO_29", "textures": ["FLAT"], "race_ethnicity": ["ASIAN"]})


LEAVE_S = 2


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[grpc.Channel, subprocess.Popen[bytes], Path]]:
    root = tmp_path_factory.mktemp("store")
    DiskStore(root).put_once("models/dermis/1/feature_schema.json", SCHEMA.model_dump_json().encode())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    environment = {
        **os.environ,
        "DERMIS_STORE_URL": f"file://{root}",
        "DERMIS_METADATA_LISTEN": address,
        "DERMIS_METADATA_LEAVE_SECONDS": str(LEAVE_S),
    }
    process = subprocess.Popen([sys.executable, "-m", "dermis.metadata"], env=environment)
    with grpc.insecure_channel(address) as channel:
        grpc.channel_ready_future(channel).result(timeout=20)
        yield channel, process, root
    process.kill()
    process.wait()


@pytest.fixture
def stub(service: tuple[grpc.Channel, subprocess.Popen[bytes], Path]) -> api.FeatureServiceStub:
    return api.FeatureServiceStub(service[0])


def test_encodes_one_as_the_core_does(stub: api.FeatureServiceStub) -> None:
    response = stub.EncodeFeatures(pb.EncodeFeaturesRequest(feature_schema_id=SCHEMA.id, self_report=to_proto(REPORT)))
    assert np.array_equal(np.array(response.features, np.float32), encode(SCHEMA, REPORT))


def test_encodes_a_batch(stub: api.FeatureServiceStub) -> None:
    request = pb.BatchEncodeFeaturesRequest(
        feature_schema_id=SCHEMA.id, self_reports=[to_proto(REPORT), pb.SelfReport()]
    )
    response = stub.BatchEncodeFeatures(request)
    matrix = np.frombuffer(response.features, "<f4").reshape(response.rows, response.columns)
    assert np.array_equal(matrix, np.stack([encode(SCHEMA, REPORT), encode(SCHEMA, SelfReport())]))


def test_describes_the_schema(stub: api.FeatureServiceStub) -> None:
    response = stub.DescribeFeatureSchema(pb.DescribeFeatureSchemaRequest(feature_schema_id=SCHEMA.id))
    assert FeatureSchema.model_validate_json(response.schema_json).id == SCHEMA.id
    assert tuple(response.columns) == SCHEMA.columns
    assert response.promotable


def test_takes_up_a_schema_that_came_later(
    service: tuple[grpc.Channel, subprocess.Popen[bytes], Path], stub: api.FeatureServiceStub
) -> None:
    later = FeatureSchema(fields=SCHEMA.fields[:1])
    request = pb.EncodeFeaturesRequest(feature_schema_id=later.id)
    with pytest.raises(grpc.RpcError) as caught:
        stub.EncodeFeatures(request)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    DiskStore(service[2]).put_once("models/dermis/2/feature_schema.json", later.model_dump_json().encode())
    assert list(stub.EncodeFeatures(request).features) == [0, 1]


def test_names_field_and_value_of_an_unknown_answer(stub: api.FeatureServiceStub) -> None:
    report = pb.SelfReport(textures=pb.Choices(values=["BUMPYISH"]))
    with pytest.raises(grpc.RpcError) as caught:
        stub.EncodeFeatures(pb.EncodeFeaturesRequest(feature_schema_id=SCHEMA.id, self_report=report))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "textures='BUMPYISH'" in caught.value.details()


def test_health_and_reflection(service: tuple[grpc.Channel, subprocess.Popen[bytes], Path]) -> None:
    name = "dermis.api.metadata.v1.FeatureService"
    check = health_pb2_grpc.HealthStub(service[0]).Check
    answer, call = check.with_call(health_pb2.HealthCheckRequest(service=name))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    assert dict(call.initial_metadata())[VERSION_METADATA] == version("dermis")
    assert name in ProtoReflectionDescriptorDatabase(service[0]).get_services()


def test_one_that_leaves_says_so_and_answers_until_others_are_known(
    service: tuple[grpc.Channel, subprocess.Popen[bytes], Path], stub: api.FeatureServiceStub
) -> None:
    channel, process, _ = service
    process.send_signal(signal.SIGTERM)
    begun, health = time.monotonic(), health_pb2_grpc.HealthStub(channel)
    while health.Check(health_pb2.HealthCheckRequest()).status == health_pb2.HealthCheckResponse.SERVING:
        assert time.monotonic() - begun < LEAVE_S
        time.sleep(0.05)
    request = pb.EncodeFeaturesRequest(feature_schema_id=SCHEMA.id, self_report=to_proto(REPORT))
    assert stub.EncodeFeatures(request, timeout=1).features
    assert process.wait(timeout=15) == 0
    assert time.monotonic() - begun >= LEAVE_S
