"""A serving process as tests speak to it, TensorFlow Serving or the twin, and what it is asked."""

import contextlib
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

from dermis.api.serving.v1 import serving_pb2 as pb
from dermis.shared.manifest import FeatureSchema, Manifest
from dermis.shared.rpc import MAX_MESSAGE_BYTES
from dermis.shared.stores.disk import DiskStore
from dermis.shared.tensors import Array, to_proto


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

    def states(self) -> dict[str, str]:
        """Return the state of each version of the model "dermis": {"v1": "AVAILABLE"}; none where it has none."""
        try:
            versions = self.status(pb.ModelSpec(name="dermis")).values()
        except grpc.RpcError as fault:
            if fault.code() is not grpc.StatusCode.NOT_FOUND:
                raise
            return {}
        return {f"v{each.version}": pb.ModelVersionStatus.State.Name(each.state) for each in versions}

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
    address: str

    def wait_for(self, **wanted: str) -> None:
        """Wait until the versions are in these states: v1="AVAILABLE"."""
        until(self.states, wanted)


@contextlib.contextmanager
def run_twin(folder: Path) -> Iterator[Twin]:
    """Run a twin over the store in a folder, on a free port."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DERMIS_")}
    environment |= {
        "DERMIS_STORE_URL": f"file://{folder}",
        "DERMIS_SERVING_LISTEN": "127.0.0.1:0",
        "DERMIS_SERVING_POLL_SECONDS": "0.1",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "dermis.serving"], env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        port = next(line["port"] for line in map(json.loads, process.stderr) if line["event"] == "serving")
        address = f"127.0.0.1:{port}"
        channel = grpc.insecure_channel(address, options=[("grpc.max_send_message_length", 4 * MAX_MESSAGE_BYTES)])
        yield Twin(channel=channel, store=DiskStore(folder), process=process, address=address)
    finally:
        process.kill()
        process.communicate()


def until(look: Callable[[], object], wanted: object, *, within_s: float = 30) -> None:
    """Look until what is seen is what is wanted; an error with what was seen last after `within_s` seconds."""
    end = time.monotonic() + within_s
    while (seen := look()) != wanted:
        assert time.monotonic() < end, f"{seen} and not {wanted} after {within_s} s"
        time.sleep(0.05)


def copy_as_version(
    bundle: Path, folder: Path, version: int, *, spoil: Callable[[Path], object] = lambda _: None
) -> Path:
    """Copy a bundle into a new folder under another version; `spoil` may change its files before they are digested."""
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


def arrays_for(bundle: Path, *, seed: int = 1) -> dict[str, Array]:
    """Return one case that fits the bundle: three images, the last one masked."""
    manifest = Manifest.model_validate_json((bundle / "manifest.json").read_bytes())
    columns = len(FeatureSchema.model_validate_json((bundle / "feature_schema.json").read_bytes()).columns)
    random = np.random.default_rng(seed)
    return {
        "images": random.integers(0, 256, (1, 3, manifest.image_size, manifest.image_size, 3)).astype("u1"),
        "image_mask": np.array([[True, True, False]]),
        "features": random.integers(0, 2, (1, columns)).astype("f4"),
    }


def make_request(arrays: dict[str, Array], **spec: str) -> pb.PredictRequest:
    inputs = {name: to_proto(array) for name, array in arrays.items()}
    named: Any = {"name": "dermis", **spec}
    return pb.PredictRequest(model_spec=pb.ModelSpec(**named), inputs=inputs)
