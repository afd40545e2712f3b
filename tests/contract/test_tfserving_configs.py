"""The configuration that TensorFlow Serving is given.

Each file parses as its message, ours as what we write ourselves.
"""

from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2

from dermis.api.serving.v1 import serving_pb2 as pb
from dermis.shared.bundles import point, publish
from dermis.shared.manifest import SERVER_CONFIG_KEY, VersionRef
from dermis.shared.stores.memory import MemoryStore

CONFIGS = Path(__file__).parents[2] / "services/serving/tfserving"
# BatchingParameters of tensorflow_serving/servables/tensorflow/session_bundle_config.proto and MonitoringConfig of
# tensorflow_serving/config/monitoring_config.proto: tensorflow-serving-api ships neither. Text needs names and types
# only.
SCHEMA = """
name: "tfserving_config.proto" package: "tensorflow.serving" syntax: "proto3"
dependency: "google/protobuf/wrappers.proto"
message_type {
  name: "BatchingParameters"
  field {
    name: "max_batch_size" number: 1 label: LABEL_OPTIONAL type: TYPE_MESSAGE
    type_name: ".google.protobuf.Int64Value"
  }
  field {
    name: "batch_timeout_micros" number: 2 label: LABEL_OPTIONAL type: TYPE_MESSAGE
    type_name: ".google.protobuf.Int64Value"
  }
  field {
    name: "max_enqueued_batches" number: 3 label: LABEL_OPTIONAL type: TYPE_MESSAGE
    type_name: ".google.protobuf.Int64Value"
  }
  field {
    name: "num_batch_threads" number: 4 label: LABEL_OPTIONAL type: TYPE_MESSAGE
    type_name: ".google.protobuf.Int64Value"
  }
  field { name: "allowed_batch_sizes" number: 6 label: LABEL_REPEATED type: TYPE_INT64 }
}
message_type {
  name: "PrometheusConfig"
  field { name: "enable" number: 1 label: LABEL_OPTIONAL type: TYPE_BOOL }
  field { name: "path" number: 2 label: LABEL_OPTIONAL type: TYPE_STRING }
}
message_type {
  name: "MonitoringConfig"
  field {
    name: "prometheus_config" number: 1 label: LABEL_OPTIONAL type: TYPE_MESSAGE
    type_name: ".tensorflow.serving.PrometheusConfig"
  }
}
"""


def read(file: str, message: str) -> Any:
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(text_format.Parse(SCHEMA, descriptor_pb2.FileDescriptorProto()))
    made = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"tensorflow.serving.{message}"))()
    return text_format.Parse((CONFIGS / file).read_text(), made)


def test_the_example_is_what_pointing_to_a_version_writes(as_version: Any) -> None:
    store = MemoryStore()
    for version in (1, 2):
        publish(store, as_version(version))
        point(store, VersionRef(name="dermis", version=version))
    written = text_format.Parse(store.get(SERVER_CONFIG_KEY), pb.ModelServerConfig())
    assert text_format.Parse((CONFIGS / "models.config").read_text(), pb.ModelServerConfig()) == written


@pytest.mark.trainer
def test_the_example_is_a_model_server_config() -> None:
    from tensorflow_serving.config import model_server_config_pb2

    config = text_format.Parse((CONFIGS / "models.config").read_text(), model_server_config_pb2.ModelServerConfig())
    assert [list(each.model_version_policy.specific.versions) for each in config.model_config_list.config] == [[1, 2]]


def test_batching_holds_to_its_own_rules() -> None:
    batching = read("batching.config", "BatchingParameters")
    sizes = list(batching.allowed_batch_sizes)
    assert sizes == sorted(set(sizes))
    assert sizes[-1] == batching.max_batch_size.value
    assert batching.num_batch_threads.value >= 1


def test_monitoring_is_on() -> None:
    assert read("monitoring.config", "MonitoringConfig").prometheus_config.enable
