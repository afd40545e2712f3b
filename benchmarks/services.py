"""Rows on the two gRPC services: each one process, its client this process."""

import contextlib
import functools
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import numpy as np
import psutil
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks.measure import Result, Row, interleaved, number, of_pairs, quartiles
from dermis.api.metadata.v1 import features_pb2, features_pb2_grpc
from dermis.api.serving.v1 import serving_pb2 as serving
from dermis.data.generated import cases as generated
from dermis.metadata.convert import from_proto
from dermis.metadata.core.encode import encoder
from dermis.serving.adapters import openvino as twin
from dermis.shared.answers import answers_of, to_proto
from dermis.shared.bundles import read_feature_schema
from dermis.shared.manifest import Manifest, VersionRef
from dermis.shared.openvino import core
from dermis.shared.rpc import open_channel
from dermis.shared.stores import open_store
from dermis.shared.tensors import to_proto as tensor_of
from dermis.standalone import demo
from dermis.standalone.bundle import ensure_bundle
from tests.support.servers import free_port

SCIN_CASES = 5033
BLOCKS, BLOCK_S = 9, 1.0
CLIENTS = (1, 4)
ROOT = Path(__file__).parents[1]


def run_metadata() -> Result:
    single, batches = 1000, 25
    with _service("metadata") as (channel, manifest, store_url, _):
        schema = read_feature_schema(open_store(store_url), VersionRef(name=manifest.name, version=manifest.version))
        distinct = [case.self_report for case in generated.cases(1, 200, longest=24)]
        reports = [distinct[n % len(distinct)] for n in range(SCIN_CASES)]
        stub = features_pb2_grpc.FeatureServiceStub(channel)  # type: ignore[no-untyped-call]
        health = health_pb2_grpc.HealthStub(channel)
        one = features_pb2.EncodeFeaturesRequest(feature_schema_id=schema.id, self_report=to_proto(reports[0]))
        many = features_pb2.BatchEncodeFeaturesRequest(feature_schema_id=schema.id, self_reports=map(to_proto, reports))
        answers = [answers_of(report) for report in reports]
        ones = interleaved(
            {
                "encode": lambda: stub.EncodeFeatures(one),
                "health": lambda: health.Check(health_pb2.HealthCheckRequest()),
            },
            rounds=single,
        )
        several = interleaved(
            {
                "batch": lambda: stub.BatchEncodeFeatures(many),
                "core": lambda: encoder(schema).encode(answers),
                "reading": lambda: [from_proto(report) for report in many.self_reports],
            },
            rounds=batches,
        )
    return Result(
        rows=(
            Row(
                bench="d",
                what="metadata: one EncodeFeatures",
                ours=str(ones["encode"]),
                peer=f"an empty gRPC call (health check) to the same process: {ones['health']}",
                ratio=of_pairs(ones["encode"], ones["health"])[1],
                aim="<= 1 ms",
                met=ones["encode"].p50 <= 1,
                n=f"{single}",
            ),
            Row(
                bench="d",
                what=f"metadata: {SCIN_CASES:,} rows in one BatchEncodeFeatures of {many.ByteSize() / 1e6:.2f} MB",
                ours=str(several["batch"]),
                peer=f"the encoder alone, in process, from ready answers: {several['core']}",
                ratio=of_pairs(several["batch"], several["core"])[1],
                aim="<= 50 ms",
                met=several["batch"].p50 <= 50,
                n=f"{batches}",
            ),
        ),
        notes=(
            (
                f"(d) Of the batch, {number(several['core'].p50)} ms is encoding and "
                f"{number(several['reading'].p50)} ms reading the messages, both Python on one core, "
                f"{number(several['core'].p50 * 1000 / SCIN_CASES)} and "
                f"{number(several['reading'].p50 * 1000 / SCIN_CASES)} µs a row."
            ),
        ),
    )


def run_serving() -> Result:
    """Twin against OpenVINO, with the demo bundle and with one whose backbone is as large as real ones are."""
    with tempfile.TemporaryDirectory(prefix="dermis-bench-") as folder:
        several = [_twin("demo", demo.BUNDLE), _twin("EfficientNet-Lite0", _efficientnet_lite0(Path(folder)))]
    return Result(
        rows=tuple(row for rows, _ in several for row in rows),
        notes=(" ".join(("(e)", *(note for _, note in several))),),
    )


def _efficientnet_lite0(folder: Path) -> Path:
    """Train a case model on EfficientNet-Lite0 for an epoch: its shape makes its speed, not what it has learnt."""
    store = folder / "store"
    dermis = str(ROOT / ".venv-trainer/bin/dermis")
    command = [dermis, "train", "lite0", "--data", "generated:1:60", "--store", store.as_uri()]
    less = ["--cache", str(folder / "cache"), "--set", "stage.0.epochs=1", "--set", "stage.1.epochs=1", "--quiet"]
    subprocess.run([*command, *less], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    (manifest,) = store.glob("models/*/1/manifest.json")
    return manifest.parent


def _twin(name: str, bundle: Path) -> tuple[list[Row], str]:
    rows = []
    with _service("serving", bundle) as (channel, manifest, _, process):
        inputs = _inputs(bundle, manifest)
        request = serving.PredictRequest(
            model_spec=serving.ModelSpec(name=manifest.name, signature_name="serving_default"),
            output_filter=["probabilities"],
        )
        for key, value in inputs.items():
            request.inputs[key].CopyFrom(tensor_of(value))
        predict = channel.unary_unary(
            "/tensorflow.serving.PredictionService/Predict",
            request_serializer=serving.PredictRequest.SerializeToString,
            response_deserializer=serving.PredictResponse.FromString,
        )
        model = core().compile_model(bundle, "CPU", twin._CONFIG)
        for clients in CLIENTS:
            by_grpc, bare = _rates(
                lambda: functools.partial(predict, request),
                lambda: functools.partial(
                    model.create_infer_request().infer, inputs, share_inputs=True, share_outputs=True
                ),
                clients=clients,
            )
            ratios = [mine / theirs for mine, theirs in zip(by_grpc, bare, strict=True)]
            low, high = quartiles(ratios)
            ratio = statistics.median(ratios)
            rows.append(
                Row(
                    bench="e",
                    what=f"twin: Predict of one case, {name} bundle, {clients} caller{'s' * (clients > 1)}",
                    ours=_per_second(by_grpc),
                    peer=f"bare OpenVINO, same bundle and settings, {clients} thread{'s' * (clients > 1)}: "
                    f"{_per_second(bare)}",
                    ratio=f"{ratio:.2f} ({low:.2f}-{high:.2f})",
                    aim=">= 0.85",
                    met=ratio >= 0.85,
                    n=f"{BLOCKS} blocks of {BLOCK_S:g} s a side",
                )
            )
        bare_call = functools.partial(model.create_infer_request().infer, inputs, share_inputs=True, share_outputs=True)
        note = _cpu_of_a_call(psutil.Process(), process, functools.partial(predict, request), bare_call)
    return rows, f"{name} bundle: {note} The request has {request.ByteSize():,} bytes."


def _cpu_of_a_call(
    here: psutil.Process, there: psutil.Process, ours: Callable[[], object], peer: Callable[[], object]
) -> str:
    """Return where the CPU time of a call goes; the client's is not the twin's, yet it is taken from the same cores."""
    calls = 200

    def seconds() -> tuple[float, float]:
        times = [process.cpu_times() for process in (here, there)]
        return times[0].user + times[0].system, times[1].user + times[1].system

    start = seconds()
    for _ in range(calls):
        ours()
    middle = seconds()
    for _ in range(calls):
        peer()
    client, server = (after - before for before, after in zip(start, middle, strict=True))
    bare = seconds()[0] - middle[0]
    each = [number(part * 1000 / calls) for part in (server, client, bare)]
    return (
        f"CPU of one Predict: {each[0]} ms in the twin, {each[1]} ms in the caller on the same cores; of one bare "
        f"inference: {each[2]} ms."
    )


def _rates(
    ours: Callable[[], Callable[[], object]], peer: Callable[[], Callable[[], object]], *, clients: int
) -> tuple[list[float], ...]:
    """Return calls a second of the two sides in blocks that take turns; each maker gives a thread its own call."""
    sides = ([ours() for _ in range(clients)], [peer() for _ in range(clients)])
    for calls in sides:
        _rate(calls)
    rates: tuple[list[float], ...] = ([], [])
    for _ in range(BLOCKS):
        for calls, into in zip(sides, rates, strict=True):
            into.append(_rate(calls))
    return rates


def _rate(calls: list[Callable[[], object]]) -> float:
    counts = [0] * len(calls)
    start = time.perf_counter()

    def work(n: int) -> None:
        while time.perf_counter() - start < BLOCK_S:
            calls[n]()
            counts[n] += 1

    threads = [threading.Thread(target=work, args=(n,)) for n in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - start)


def _per_second(rates: list[float]) -> str:
    low, high = quartiles(rates)
    return f"{number(statistics.median(rates))}/s ({number(low)}-{number(high)})"


def _inputs(bundle: Path, manifest: Manifest) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    count, size = manifest.max_images, manifest.image_size
    model = core().read_model(bundle)
    (width,) = (port.partial_shape[1].get_length() for port in model.inputs if port.any_name == "features")
    return {
        "images": rng.integers(0, 256, (1, count, size, size, 3), np.uint8),
        "image_mask": np.ones((1, count), np.bool_),
        "features": rng.integers(0, 2, (1, width)).astype(np.float32),
    }


@contextlib.contextmanager
def _service(part: str, bundle: Path = demo.BUNDLE) -> Iterator[tuple[grpc.Channel, Manifest, str, psutil.Process]]:
    """Run a part on a store of its own that holds `bundle`; yields a channel to it once it serves."""
    with tempfile.TemporaryDirectory(prefix="dermis-bench-") as folder:
        store_url = (Path(folder) / "store").as_uri()
        manifest = ensure_bundle(open_store(store_url), bundle)
        address = f"127.0.0.1:{free_port()}"
        environ = {name: value for name, value in os.environ.items() if not name.startswith("DERMIS_")}
        environ |= {
            "DERMIS_STORE_URL": store_url,
            f"DERMIS_{part.upper()}_LISTEN": address,
            "DERMIS_LOG_LEVEL": "WARNING",
        }
        process = subprocess.Popen([sys.executable, "-m", f"dermis.{part}"], env=environ)
        try:
            with open_channel(address) as channel:
                _wait_serving(channel)
                yield channel, manifest, store_url, psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(30)


def _wait_serving(channel: grpc.Channel) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    for _ in range(300):
        with contextlib.suppress(grpc.RpcError):
            if (
                health.Check(health_pb2.HealthCheckRequest(), timeout=2).status
                == health_pb2.HealthCheckResponse.SERVING
            ):
                return
        time.sleep(0.1)
    raise AssertionError("the service does not serve after 30 s")
