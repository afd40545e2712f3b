"""The configuration that TensorFlow Serving is given, against what it publishes.

Each file parses as its message, ours as what we write ourselves; each flag is one of its own. Sources, at the tag of
the image that services/serving/tfserving/Dockerfile builds on, below
https://github.com/tensorflow/serving/blob/2.19.1/tensorflow_serving/ : model_servers/main.cc (flags),
servables/tensorflow/session_bundle_config.proto and config/monitoring_config.proto (messages),
servables/tensorflow/saved_model_warmup_util.{h,cc} (warm-up), batching/batching_session.cc (sizes). Guides:
https://www.tensorflow.org/tfx/serving/serving_config and https://www.tensorflow.org/tfx/serving/saved_model_warmup
"""

import re
import struct
from pathlib import Path
from typing import Any

import google_crc32c
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2

from dermis.api.serving.v1 import serving_pb2 as pb
from dermis.shared.bundles import point, publish
from dermis.shared.manifest import SERVER_CONFIG_KEY, Manifest, VersionRef
from dermis.shared.stores.memory import MemoryStore
from dermis.standalone import demo
from dermis.worker.adapters import rpc

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "services/serving/tfserving"
TAG = "2.19.1"
# The names in `Flag(...)` of model_servers/main.cc that a deployment may want; it only prints an unknown one and goes
# on without.
FLAGS = {
    *("port", "rest_api_port", "rest_api_num_threads", "grpc_channel_arguments", "grpc_max_threads", "ssl_config_file"),
    *("model_config_file", "model_config_file_poll_wait_seconds", "file_system_poll_wait_seconds"),
    *("max_num_load_retries", "load_retry_interval_micros", "num_load_threads", "flush_filesystem_caches"),
    *("enable_batching", "batching_parameters_file", "enable_per_model_batching_parameters"),
    *("enable_model_warmup", "num_request_iterations_for_warmup", "monitoring_config_file"),
    *("enable_grpc_healthcheck_service", "enable_serialization_as_tensor_content"),
    *("allow_version_labels_for_unavailable_models", "per_process_gpu_memory_fraction"),
}
MAX_WARM_UP_RECORDS = 1000
# tensorflow-serving-api ships neither message. Text needs names and types only.
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
  field {
    name: "thread_pool_name" number: 5 label: LABEL_OPTIONAL type: TYPE_MESSAGE
    type_name: ".google.protobuf.StringValue"
  }
  field { name: "allowed_batch_sizes" number: 6 label: LABEL_REPEATED type: TYPE_INT64 }
  field { name: "pad_variable_length_inputs" number: 7 label: LABEL_OPTIONAL type: TYPE_BOOL }
  field {
    name: "enable_large_batch_splitting" number: 8 label: LABEL_OPTIONAL type: TYPE_MESSAGE
    type_name: ".google.protobuf.BoolValue"
  }
  field {
    name: "max_execution_batch_size" number: 9 label: LABEL_OPTIONAL type: TYPE_MESSAGE
    type_name: ".google.protobuf.Int64Value"
  }
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


def flags_of(path: str) -> dict[str, str]:
    """Return the flags of TensorFlow Serving that a file of ours names, in quotes, and their values."""
    return {
        match[1]: match[2] or ""
        for match in re.finditer(r"""["']--(\w+)(?:=([^"']*))?["']""", (ROOT / path).read_text(encoding="utf-8"))
    }


def records(data: bytes) -> list[bytes]:
    """Return the messages of a TFRecord file whose checksums hold, as TensorFlow's own reader looks at them."""
    out, at = [], 0
    while at < len(data):
        (size,), body = struct.unpack_from("<Q", data, at), at + 12
        for part, checksum in ((data[at : at + 8], at + 8), (data[body : body + size], body + size)):
            crc = google_crc32c.value(part)
            masked = (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
            assert struct.unpack_from("<I", data, checksum) == (masked,)
        out.append(data[body : body + size])
        at = body + size + 4
    return out


def test_the_tag_is_that_of_the_image() -> None:
    assert set(re.findall(r"tensorflow/serving:([\d.]+)", (CONFIGS / "Dockerfile").read_text())) == {TAG}


@pytest.mark.parametrize(
    "path", ["services/serving/tfserving/Dockerfile", "docker-compose.yml", "helm/dermis/templates/serving.yaml"]
)
def test_every_flag_is_one_that_it_has(path: str) -> None:
    flags = flags_of(path)
    if path == "docker-compose.yml":  # flags of redis-server stand in it too
        flags = {name: value for name, value in flags.items() if "model" in name}
    assert "model_config_file" in flags
    assert flags.keys() - FLAGS == set()


def test_the_configuration_is_read_again_while_it_runs() -> None:
    """Unset or 0 it would be read once: main.cc on model_config_file_poll_wait_seconds."""
    flags = flags_of("services/serving/tfserving/Dockerfile")
    assert int(flags["model_config_file_poll_wait_seconds"]) >= 1


def test_files_that_flags_name_are_in_the_image() -> None:
    flags = flags_of("services/serving/tfserving/Dockerfile")
    named = {Path(flags[name]) for name in ("batching_parameters_file", "monitoring_config_file")}
    assert {str(path.parent) for path in named} == {"/config"}
    assert all(f"{path.name}" in (CONFIGS / "Dockerfile").read_text().split("COPY ")[1] for path in named)


def test_no_version_is_named_by_a_label(as_version: Any) -> None:
    """A label is refused, with the whole file, for a version that is not loaded yet: versions go by number."""
    store = MemoryStore()
    publish(store, as_version(1))
    point(store, VersionRef(name="dermis", version=1))
    assert b"version_labels" not in store.get(SERVER_CONFIG_KEY)


@pytest.mark.parametrize("bundle", [demo.BUNDLE, demo.BUNDLE.parents[1] / "lesions/bundle"], ids=["demo", "lesions"])
def test_shipped_bundles_carry_a_warm_up_that_it_reads(bundle: Path) -> None:
    messages = records((bundle / "assets.extra/tf_serving_warmup_requests").read_bytes())
    name = Manifest.model_validate_json((bundle / "manifest.json").read_bytes()).name
    assert 1 <= len(messages) <= MAX_WARM_UP_RECORDS
    for message in messages:
        request = pb.PredictionLog.FromString(message).predict_log.request
        assert request.model_spec.name == name
        assert set(request.inputs) == {"images", "image_mask", "features"}


def test_no_call_of_a_worker_is_larger_than_a_batch() -> None:
    """It would be INVALID_ARGUMENT: "Task size 33 is larger than maximum input batch size 32"."""
    sizes = list(read("batching.config", "BatchingParameters").allowed_batch_sizes)
    assert rpc._PROBED_AT_ONCE <= sizes[-1]


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
