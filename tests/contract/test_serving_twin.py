"""What only the twin promises: it follows the store while it runs, survives broken bundles, says its health, drains."""

import concurrent.futures
import hashlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from dermis.api.serving.v1 import serving_pb2 as pb
from dermis.shared.bundles import point, publish
from dermis.shared.manifest import SERVER_CONFIG_KEY, VersionRef
from dermis.shared.stores.disk import DiskStore
from dermis.shared.tensors import from_proto, to_proto

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
HEALTH_NAMES = ("", "tensorflow.serving.PredictionService")


@pytest.fixture
def twin(start_twin: Any, tmp_path: Path) -> Iterator[Any]:
    """A twin that found an empty store."""
    twin = start_twin(tmp_path / "store")
    yield twin
    twin.process.kill()


@pytest.fixture
def roll_out(twin: Any, as_version: Callable[..., Path]) -> Callable[..., None]:
    def publish_and_point(version: int, *spoil: Callable[[Path], object]) -> None:
        publish(twin.store, as_version(version, *spoil))
        point(twin.store, VersionRef(name="dermis", version=version))

    return publish_and_point


def health_of(twin: Any) -> set[int]:
    stub = health_pb2_grpc.HealthStub(twin.channel)
    return {stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=5).status for name in HEALTH_NAMES}


def code_of(call: Callable[[], object]) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code()


def want_only(store: DiskStore, *versions: int) -> None:
    numbers = " ".join(f"versions: {version}" for version in versions)
    text = f'model_config_list {{ config {{ name: "dermis" model_version_policy {{ specific {{ {numbers} }} }} }} }}'
    store.replace(SERVER_CONFIG_KEY, text.encode(), generation=store.get_versioned(SERVER_CONFIG_KEY).generation)


def test_starts_on_an_empty_store_and_picks_up_a_model_that_comes_later(
    twin: Any, request_: pb.PredictRequest, roll_out: Callable[..., None]
) -> None:
    assert health_of(twin) == {NOT_SERVING}
    assert code_of(lambda: twin.predict(request_)) is grpc.StatusCode.NOT_FOUND
    assert code_of(lambda: twin.status(pb.ModelSpec(name="dermis"))) is grpc.StatusCode.NOT_FOUND
    roll_out(1)
    twin.wait_for(v1="AVAILABLE")
    assert twin.predict(request_).model_spec.version.value == 1
    end = time.monotonic() + 5
    while health_of(twin) != {SERVING}:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_roll_out_under_load_loses_no_request(
    twin: Any, request_: pb.PredictRequest, roll_out: Callable[..., None]
) -> None:
    roll_out(1)
    twin.wait_for(v1="AVAILABLE")
    done = threading.Event()

    def send() -> list[int]:
        seen = []
        while not done.is_set():
            seen.append(twin.predict(request_).model_spec.version.value)
        return seen

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        senders = [pool.submit(send) for _ in range(3)]
        try:
            for version in (2, 3, 4):
                roll_out(version)
            twin.wait_for(v1="END", v2="AVAILABLE", v3="AVAILABLE", v4="AVAILABLE")
            want_only(twin.store, 4)
            twin.wait_for(v1="END", v2="END", v3="END", v4="AVAILABLE")
        finally:
            done.set()
        seen = [sender.result() for sender in senders]
    assert all(versions == sorted(versions) for versions in seen), "each sender sees ever newer versions"
    assert {versions[-1] for versions in seen} == {4}
    request_.model_spec.version.value = 1
    assert code_of(lambda: twin.predict(request_)) is grpc.StatusCode.NOT_FOUND


def test_answers_side_by_side_are_those_of_one_after_another(
    twin: Any, request_: pb.PredictRequest, roll_out: Callable[..., None], arrays: Any
) -> None:
    roll_out(1)
    twin.wait_for(v1="AVAILABLE")
    requests = []
    for shift in range(8):
        request = pb.PredictRequest.FromString(request_.SerializeToString())
        request.inputs["images"].CopyFrom(to_proto(np.roll(arrays["images"], shift * 7, axis=2)))
        requests.append(request)
    alone = [from_proto(twin.predict(request).outputs["probabilities"]) for request in requests]
    assert len({array.tobytes() for array in alone}) == len(requests)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            together = [from_proto(answer.outputs["probabilities"]) for answer in pool.map(twin.predict, requests)]
            assert all(np.allclose(*pair, atol=1e-6) for pair in zip(alone, together, strict=True))


def spoil_graph(folder: Path) -> None:
    (folder / "saved_model.pb").write_bytes(b"no graph")


def spoil_warm_up(folder: Path) -> None:
    (folder / "assets.extra").mkdir(exist_ok=True)
    (folder / "assets.extra/tf_serving_warmup_requests").write_bytes(b"no record")


def lose_weights(folder: Path) -> None:
    for path in (folder / "variables").iterdir():
        path.unlink()


@pytest.mark.parametrize(
    ("spoil", "code"),
    [(spoil_graph, pb.INVALID_ARGUMENT), (spoil_warm_up, pb.DATA_LOSS), (lose_weights, pb.INVALID_ARGUMENT)],
)
def test_a_broken_bundle_ends_with_an_error_and_leaves_the_others(
    twin: Any, request_: pb.PredictRequest, roll_out: Callable[..., None], spoil: Any, code: int
) -> None:
    roll_out(1)
    roll_out(2, spoil)
    twin.wait_for(v1="AVAILABLE", v2="END")
    status = twin.status(pb.ModelSpec(name="dermis"))[2].status
    assert (status.error_code, bool(status.error_message)) == (code, True)
    assert twin.predict(request_).model_spec.version.value == 1
    roll_out(3)
    twin.wait_for(v1="AVAILABLE", v2="END", v3="AVAILABLE")


def test_a_file_that_is_not_what_the_manifest_says_is_not_run(
    twin: Any, as_version: Callable[..., Path], request_: pb.PredictRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = as_version(1)
    manifest = publish(twin.store, folder)
    key = f"{manifest.key}/saved_model.pb"
    twin.store.delete(key)
    twin.store.put_once(key, b"tampered")
    monkeypatch.setattr(
        "dermis.shared.bundles.check_digests", lambda *_: None
    )  # as if it was changed after its promotion
    point(twin.store, VersionRef(name="dermis", version=1))
    twin.wait_for(v1="END")
    assert twin.status(pb.ModelSpec(name="dermis"))[1].status.error_code == pb.DATA_LOSS
    assert code_of(lambda: twin.predict(request_)) is grpc.StatusCode.NOT_FOUND
    assert health_of(twin) == {NOT_SERVING}
    assert hashlib.sha256(b"tampered").hexdigest() != manifest.files["saved_model.pb"]


def test_a_configuration_that_can_not_be_read_changes_nothing(
    twin: Any, request_: pb.PredictRequest, roll_out: Callable[..., None]
) -> None:
    roll_out(1)
    twin.wait_for(v1="AVAILABLE")
    twin.store.replace(
        SERVER_CONFIG_KEY, b"nonsense {", generation=twin.store.get_versioned(SERVER_CONFIG_KEY).generation
    )
    time.sleep(0.5)
    assert twin.predict(request_).model_spec.version.value == 1


# TensorFlow Serving would broadcast the first and compute the second; the signature has no use for either.
@pytest.mark.parametrize("rows", [2, 0])
def test_inputs_of_unequal_batch_size(
    twin: Any, request_: pb.PredictRequest, roll_out: Callable[..., None], arrays: Any, rows: int
) -> None:
    roll_out(1)
    twin.wait_for(v1="AVAILABLE")
    request_.inputs["features"].CopyFrom(to_proto(np.repeat(arrays["features"], rows, axis=0)))
    assert code_of(lambda: twin.predict(request_)) is grpc.StatusCode.INVALID_ARGUMENT


def test_a_message_too_large_is_refused_by_the_wire(twin: Any, request_: pb.PredictRequest) -> None:
    request_.inputs["images"].tensor_content = bytes(17 * 1024 * 1024)
    assert code_of(lambda: twin.predict(request_)) is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_calls_under_way_end(
    twin: Any, arrays: Any, roll_out: Callable[..., None], number: signal.Signals
) -> None:
    roll_out(1)
    twin.wait_for(v1="AVAILABLE")
    rows = 4_000_000 // arrays["images"].nbytes
    inputs = {name: to_proto(np.repeat(array, rows, axis=0)) for name, array in arrays.items()}
    request = pb.PredictRequest(model_spec=pb.ModelSpec(name="dermis"), inputs=inputs, output_filter=["probabilities"])
    call = twin.channel.unary_unary(
        "/tensorflow.serving.PredictionService/Predict",
        pb.PredictRequest.SerializeToString,
        pb.PredictResponse.FromString,
    )
    calls = [call.future(request, timeout=20) for _ in range(6)]
    while not any(each.done() for each in calls):
        time.sleep(0.001)
    assert not all(each.done() for each in calls)
    twin.process.send_signal(number)
    assert [len(from_proto(each.result().outputs["probabilities"])) for each in calls] == [rows] * len(calls)
    assert twin.process.wait(timeout=15) == 0
    assert '"stopped"' in twin.process.stderr.read()
