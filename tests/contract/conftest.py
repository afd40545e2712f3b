"""A server of the demo bundle: the one that DERMIS_TEST_SERVING_ADDRESS names, or the twin over a store of its own."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from dermis.api.serving.v1 import serving_pb2 as pb
from dermis.shared.bundles import point, publish
from dermis.shared.manifest import FeatureSchema, Manifest, VersionRef
from dermis.shared.rpc import MAX_MESSAGE_BYTES
from dermis.shared.stores.disk import DiskStore
from dermis.shared.tensors import Array, to_proto
from dermis.standalone import demo


@dataclass
class Server:
    """A serving process's two methods, spoken with our own messages."""

    channel: grpc.Channel

    def predict(self, request: pb.PredictRequest) -> pb.PredictResponse:
        return self._call("PredictionService/Predict", request, pb.PredictResponse)

    def status(self, spec: pb.ModelSpec) -> dict[int, pb.ModelVersionStatus]:
        request = pb.GetModelStatusRequest(model_spec=spec)
        response = self._call("ModelService/GetModelStatus", request, pb.GetModelStatusResponse)
        return {each.version: each for each in response.model_version_status}

    def _call(self, path: str, request: Any, response: Any) -> Any:
        method = self.channel.unary_unary(
            f"/tensorflow.serving.{path}", type(request).SerializeToString, response.FromString
        )
        return method(request, timeout=20)


@dataclass
class Twin(Server):
    """`python -m dermis.serving` over a store in a folder."""

    store: DiskStore
    process: subprocess.Popen[str]

    def wait_for(self, **wanted: str) -> None:
        """Wait until the versions are in these states: v1="AVAILABLE"."""
        until(
            lambda: {f"v{each.version}": pb.ModelVersionStatus.State.Name(each.state) for each in self._states()},
            wanted,
        )

    def _states(self) -> list[pb.ModelVersionStatus]:
        try:
            return list(self.status(pb.ModelSpec(name="dermis")).values())
        except grpc.RpcError as fault:
            if fault.code() is not grpc.StatusCode.NOT_FOUND:
                raise
            return []


def until(look: Callable[[], object], wanted: object, *, within_s: float = 30) -> None:
    """Look until what is seen is what is wanted."""
    end = time.monotonic() + within_s
    while (seen := look()) != wanted:
        assert time.monotonic() < end, f"{seen} and not {wanted} after {within_s} s"
        time.sleep(0.05)


@pytest.fixture(scope="session")
def bundle() -> Path:
    """The bundle that is served; DERMIS_TEST_BUNDLE names another than the demo's."""
    return Path(os.environ.get("DERMIS_TEST_BUNDLE", demo.BUNDLE))


@pytest.fixture(scope="session")
def manifest(bundle: Path) -> Manifest:
    return Manifest.model_validate_json((bundle / "manifest.json").read_bytes())


@pytest.fixture(scope="session")
def arrays(bundle: Path, manifest: Manifest) -> dict[str, Array]:
    """One case that fits the bundle: three images, the last one masked."""
    columns = len(FeatureSchema.model_validate_json((bundle / "feature_schema.json").read_bytes()).columns)
    random = np.random.default_rng(1)
    return {
        "images": random.integers(0, 256, (1, 3, manifest.image_size, manifest.image_size, 3)).astype("u1"),
        "image_mask": np.array([[True, True, False]]),
        "features": random.integers(0, 2, (1, columns)).astype("f4"),
    }


def make_request(arrays: dict[str, Array], **spec: str) -> pb.PredictRequest:
    inputs = {name: to_proto(array) for name, array in arrays.items()}
    named: Any = {"name": "dermis", **spec}
    return pb.PredictRequest(model_spec=pb.ModelSpec(**named), inputs=inputs)


@pytest.fixture
def request_(arrays: dict[str, Array]) -> pb.PredictRequest:
    """A request that fits, without version, signature or filter."""
    return make_request(arrays)


@pytest.fixture(scope="session")
def as_version(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Returns a copy of the bundle under another version; `spoil` may change its files before they are digested."""

    def copy(version: int, spoil: Callable[[Path], object] = lambda _: None) -> Path:
        folder = tmp_path_factory.mktemp("bundle") / str(version)
        shutil.copytree(bundle, folder)
        spoil(folder)
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["version"] = version
        files = [path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json"]
        manifest["files"] = {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
        }
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return folder

    return copy


@pytest.fixture(scope="session")
def start_twin() -> Iterator[Callable[[Path], Twin]]:
    """Starts a twin over the store in a folder, on a free port; ends them all."""
    processes: list[subprocess.Popen[str]] = []

    def start(folder: Path) -> Twin:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DERMIS_")}
        environment |= {
            "DERMIS_STORE_URL": f"file://{folder}",
            "DERMIS_SERVING_LISTEN": "127.0.0.1:0",
            "DERMIS_SERVING_POLL_SECONDS": "0.1",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "dermis.serving"], env=environment, stderr=subprocess.PIPE, text=True
        )
        processes.append(process)
        port = next(line["port"] for line in map(json.loads, process.stderr) if line["event"] == "serving")
        address = f"127.0.0.1:{port}"
        channel = grpc.insecure_channel(address, options=[("grpc.max_send_message_length", 4 * MAX_MESSAGE_BYTES)])
        return Twin(channel=channel, store=DiskStore(folder), process=process)

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def server(
    start_twin: Callable[[Path], Twin], as_version: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server of model "dermis" with at least one version of the bundle available."""
    address = os.environ.get("DERMIS_TEST_SERVING_ADDRESS")
    if address:
        with grpc.insecure_channel(address) as channel:
            yield Server(channel=channel)
        return
    twin = start_twin(tmp_path_factory.mktemp("store"))
    for version in (1, 2):
        publish(twin.store, as_version(version))
        point(twin.store, VersionRef(name="dermis", version=version))
    twin.wait_for(v1="AVAILABLE", v2="AVAILABLE")
    yield twin


@pytest.fixture(scope="session")
def misfits(arrays: dict[str, Array]) -> dict[str, tuple[str, Array]]:
    """Tensors that don't fit the signature, by what is wrong with them."""
    images, features = arrays["images"], arrays["features"]
    return {
        "dtype": ("images", images.astype("f4")),
        "other dtype": ("features", features.astype("f8")),
        "rank": ("images", images[:, 0]),
        "scalar": ("features", np.zeros((), "f4")),
        "image size": ("images", images[:, :, ::2, ::2].copy()),
        "columns": ("features", np.concatenate([features, features], axis=1)),
        "mask": ("image_mask", np.ones((1, 2), "?")),
    }
