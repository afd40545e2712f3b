"""Prove what only TensorFlow Serving itself can show, `python -m tests.system.prove_serving`.

Needs Docker and the image that services/serving/tfserving/Dockerfile builds on. A container of it, with our flags and
files, serves the demo bundle out of a store in a temporary folder. Each row is PROVEN or NOT, with what was seen; the
exit code is 0 where all are proven. Without the image there is one row, NOT, and nothing is touched.
"""

import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import grpc
import numpy as np
import numpy.typing as npt
from grpc_health.v1 import health_pb2, health_pb2_grpc

from dermis.api.serving.v1 import serving_pb2 as pb
from dermis.serving.adapters.openvino import OpenVinoRunner
from dermis.shared.bundles import point, publish
from dermis.shared.manifest import VersionRef
from dermis.shared.stores.disk import DiskStore
from dermis.shared.tensors import Array, from_proto, to_proto
from dermis.standalone import demo
from tests.support.servers import free_port
from tests.support.serving import Server, arrays_for, copy_as_version, make_request, until
from tests.system.proofs import NotProven, Proofs, command, need_image

ROOT = Path(__file__).parents[2]
IMAGE = "tensorflow/serving:2.19.1"
TOLERANCE = 1e-4
"""As an export is held to its model: of probabilities absolute, else a share of the output's largest value above 1."""
READY_S = 120.0
POLL_S = 60.0
LAST_VERSION = 4
LARGEST_BATCH = 32
"""`max_batch_size` of batching.config."""


@dataclass
class Subject:
    """What is to be proven: a server of the store in a folder."""

    address: str
    metrics_url: str
    log: Callable[[], str]

    def metrics(self) -> str:
        with urllib.request.urlopen(self.metrics_url, timeout=10) as answer:  # noqa: S310 - a loopback address
            return str(answer.read().decode())


@contextlib.contextmanager
def in_docker(image: str, folder: Path) -> Iterator[Subject]:
    """Build our image on `image` and run it, as the chart does, over the store in `folder`; both are removed."""
    name, grpc_port, http_port = f"dermis-prove-{uuid.uuid4().hex[:8]}", free_port(), free_port()
    build = str(ROOT / "services/serving/tfserving")
    command("docker", "build", "--quiet", "--build-arg", f"BASE={image}", "--tag", name, build)
    try:
        command(
            *("docker", "run", "--detach", "--name", name, "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"),  # noqa: S108
            *("--user", f"{os.getuid()}:{os.getgid()}", "--volume", f"{folder}:/store:ro"),
            *("--publish", f"127.0.0.1:{grpc_port}:8500", "--publish", f"127.0.0.1:{http_port}:8501", name),
        )
        yield Subject(
            address=f"127.0.0.1:{grpc_port}",
            metrics_url=f"http://127.0.0.1:{http_port}/monitoring/prometheus/metrics",
            log=lambda: _log_of(name),
        )
    finally:
        subprocess.run(["docker", "rm", "--force", "--volumes", name], capture_output=True, check=False)
        subprocess.run(["docker", "image", "rm", "--force", name], capture_output=True, check=False)


def _log_of(container: str) -> str:
    done = subprocess.run(["docker", "logs", container], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def roll_out(folder: Path, version: int) -> None:
    """Publish the demo bundle as a version in the store below `folder` and point to it, as promoting does."""
    store = DiskStore(folder)
    with tempfile.TemporaryDirectory() as scratch:
        publish(store, copy_as_version(demo.BUNDLE, Path(scratch) / str(version), version))
    point(store, VersionRef(name="dermis", version=version))


def prove(subject: Subject, folder: Path, proofs: Proofs) -> None:
    """Look at each row in turn; the store in `folder` holds version 1."""
    with grpc.insecure_channel(subject.address) as channel:
        server = Server(channel=channel)
        if not proofs.row("health and a first version", lambda: ready(server, subject)):
            return
        proofs.row("every flag is taken", lambda: flags_are_taken(subject.log()))
        proofs.row("Predict equals the twin's", lambda: equals_twin(server))
        proofs.row("models.config is read again", lambda: follows_versions(server, folder))
        proofs.row("warm-up is run", lambda: warm_up_ran(subject.log()))
        proofs.row("batching.config is in force", lambda: batches(server, subject))
        proofs.row("metrics", lambda: shows_metrics(subject))
        proofs.row("contract suite", lambda: contract_suite(subject.address))


def ready(server: Server, subject: Subject) -> str:
    started = time.monotonic()
    stub = health_pb2_grpc.HealthStub(server.channel)

    def health() -> str:
        try:
            status = stub.Check(health_pb2.HealthCheckRequest(), timeout=5).status
        except grpc.RpcError as fault:
            return str(fault.code().name)
        return str(health_pb2.HealthCheckResponse.ServingStatus.Name(status))

    try:
        until(health, "SERVING", within_s=READY_S)
        until(server.states, {"v1": "AVAILABLE"}, within_s=READY_S)
    except AssertionError as error:
        raise NotProven(f"{error}; its log ends with: {' '.join(subject.log().splitlines()[-2:])}") from error
    return f"grpc.health.v1 says SERVING and version 1 is AVAILABLE after {time.monotonic() - started:.1f} s"


def flags_are_taken(log: str) -> str:
    """An unknown flag is printed and nothing else: model_servers/main.cc."""
    if unknown := re.search(r"unknown argument: (\S+)", log):
        raise NotProven(f"it does not know {unknown[1]}")
    if "Running gRPC ModelServer" not in log:
        raise NotProven("its log does not say that the model server runs")
    return "its log names no unknown argument"


def equals_twin(server: Server) -> str:
    runner, worst = OpenVinoRunner(demo.BUNDLE), 0.0
    outputs = tuple(runner.signature.outputs)
    for seed in range(8):
        arrays = arrays_for(demo.BUNDLE, seed=seed)
        answer = server.predict(make_request(arrays)).outputs
        if set(answer) != set(outputs):
            raise NotProven(f"it answers {sorted(answer)}, the twin {sorted(outputs)}")
        ours = runner.run(arrays, outputs)
        worst = max(worst, *(_difference(name, from_proto(answer[name]), ours[name]) for name in outputs))
    if not worst <= TOLERANCE:
        raise NotProven(f"an output of 8 cases is {worst:.2g} off the twin's; {TOLERANCE:g} is allowed")
    return f"all {len(outputs)} outputs of 8 cases are within {worst:.2g}"


def _difference(name: str, theirs: Array, ours: Array) -> float:
    scale = 1.0 if name == "probabilities" else max(1.0, float(np.abs(ours).max()))
    return float(np.abs(theirs.astype(np.float32) - ours.astype(np.float32)).max()) / scale


def follows_versions(server: Server, folder: Path) -> str:
    """Versions 2 to 4 are promoted while calls come: each is loaded, the oldest unloaded, and no call is refused.

    models.config names what is promoted, what was current and what was so before.
    """
    refused: list[str] = []
    answered, over = 0, threading.Event()

    def ask() -> None:
        nonlocal answered
        request = make_request(arrays_for(demo.BUNDLE))
        while not over.is_set():
            try:
                server.predict(request)
                answered += 1
            except grpc.RpcError as fault:
                refused.append(f"{fault.code().name} {fault.details()}")

    took = []
    with ThreadPoolExecutor(1) as pool:
        calls = pool.submit(ask)
        try:
            for version in range(2, LAST_VERSION + 1):
                started = time.monotonic()
                roll_out(folder, version)
                until(partial(_is_available, server, version), True, within_s=POLL_S)
                took.append(time.monotonic() - started)
            until(lambda: server.states().get("v1", "END"), "END", within_s=POLL_S)
        finally:
            over.set()
            calls.result()
    if refused or not answered:
        raise NotProven(f"{len(refused)} of {answered + len(refused)} calls were refused: {refused[:1]}")
    waits = ", ".join(f"{seconds:.1f} s" for seconds in took)
    loaded = f"versions 2 to {LAST_VERSION} AVAILABLE after {waits}, version 1 unloaded"
    return f"{loaded}, {answered} calls answered, none refused"


def _is_available(server: Server, version: int) -> bool:
    return server.states().get(f"v{version}") == "AVAILABLE"


def warm_up_ran(log: str) -> str:
    """servables/tensorflow/saved_model_warmup_util.cc says how many records it read, for each version."""
    counts = [int(each) for each in re.findall(r"Number of warmup records read: (\d+)", log)]
    if len(counts) < LAST_VERSION or not all(counts):
        raise NotProven(f"its log tells of warm-up records {counts}; {LAST_VERSION} versions were loaded")
    return f"records read, by version: {counts}"


def batches(server: Server, subject: Subject) -> str:
    """More rows than `max_batch_size` are refused with that number, calls at once answer as calls alone do."""
    cases = [arrays_for(demo.BUNDLE, seed=seed) for seed in range(LARGEST_BATCH + 1)]
    many = {name: to_proto(np.concatenate([case[name] for case in cases])) for name in cases[0]}
    limit = _refusal(server, pb.PredictRequest(model_spec=pb.ModelSpec(name="dermis"), inputs=many))
    if str(LARGEST_BATCH) not in limit or not limit.startswith("INVALID_ARGUMENT"):
        raise NotProven(f"{len(cases)} rows in one call: {limit}")

    def probabilities(case: dict[str, Array]) -> npt.NDArray[np.float32]:
        return from_proto(server.predict(make_request(case)).outputs["probabilities"]).astype(np.float32)

    alone = [probabilities(case) for case in cases]
    with ThreadPoolExecutor(len(cases)) as pool:
        at_once = list(pool.map(probabilities, cases))
    worst = max(float(np.abs(one - other).max()) for one, other in zip(alone, at_once, strict=True))
    if not worst <= TOLERANCE:
        raise NotProven(f"a call among {len(cases)} at once is {worst:.2g} off the same call alone")
    if ":tensorflow:serving:batching_session:queuing_latency" not in subject.metrics():
        raise NotProven("its metrics count no batched call")
    return f"{limit}; {len(cases)} calls at once are within {worst:.2g} of the same calls alone"


def _refusal(server: Server, request: pb.PredictRequest) -> str:
    try:
        server.predict(request)
    except grpc.RpcError as fault:
        return f"{fault.code().name} {fault.details()}"
    return "was answered"


def shows_metrics(subject: Subject) -> str:
    """The path is monitoring.config's, which the chart's ServiceMonitor reads."""
    names = re.findall(r"^# TYPE (:tensorflow:\S+)", subject.metrics(), re.MULTILINE)
    if not names:
        raise NotProven(f"{subject.metrics_url} names no metric of TensorFlow's")
    return f"{len(names)} of TensorFlow's metrics"


def contract_suite(address: str) -> str:
    """The suite that the twin passes, against this address."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(ROOT / "tests/contract/test_serving.py")],
        env={**os.environ, "DERMIS_TEST_SERVING_ADDRESS": address},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    failures = re.findall(r"^(?:FAILED|ERROR) \S*?::(.*)$", done.stdout, re.MULTILINE)
    if done.returncode:
        raise NotProven(f"{len(failures)} tests fail: {'; '.join(failures) or done.stdout[-300:]}")
    return f"tests/contract/test_serving.py passes ({done.stdout.count('.')} tests)"


def main(argv: list[str] | None = None) -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--image", default=IMAGE, help="TensorFlow Serving's image, -gpu for GPUs (%(default)s)")
    image = options.parse_args(argv).image
    proofs = Proofs()
    if not proofs.row(f"the image {image}", lambda: need_image(image)):
        return proofs.exit_code()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "store"
        roll_out(folder, 1)

        def run() -> str:
            with in_docker(image, folder) as subject:
                prove(subject, folder, proofs)
            return "built on it, ran and was removed"

        proofs.row("our image", run)
    return proofs.exit_code()


if __name__ == "__main__":
    sys.exit(main())
