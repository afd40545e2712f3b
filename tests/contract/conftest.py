"""A server of the demo bundle: the one that DERMIS_TEST_SERVING_ADDRESS names, or the twin over a store of its own."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest

from dermis.api.serving.v1 import serving_pb2 as pb
from dermis.shared.bundles import point, publish
from dermis.shared.manifest import Manifest, VersionRef
from dermis.shared.tensors import Array
from dermis.standalone import demo
from tests.support.serving import Server, Twin, arrays_for, copy_as_version, make_request, run_twin


@pytest.fixture(scope="session")
def bundle() -> Path:
    """The bundle that is served; DERMIS_TEST_BUNDLE names another than the demo's."""
    return Path(os.environ.get("DERMIS_TEST_BUNDLE", demo.BUNDLE))


@pytest.fixture(scope="session")
def manifest(bundle: Path) -> Manifest:
    return Manifest.model_validate_json((bundle / "manifest.json").read_bytes())


@pytest.fixture(scope="session")
def arrays(bundle: Path) -> dict[str, Array]:
    """One case that fits the bundle: three images, the last one masked."""
    return arrays_for(bundle)


@pytest.fixture
def request_(arrays: dict[str, Array]) -> pb.PredictRequest:
    """A request that fits, without version, signature or filter."""
    return make_request(arrays)


@pytest.fixture(scope="session")
def as_version(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Returns a copy of the bundle under another version; `spoil` may change its files before they are digested."""

    def copy(version: int, spoil: Callable[[Path], object] = lambda _: None) -> Path:
        return copy_as_version(bundle, tmp_path_factory.mktemp("bundle") / str(version), version, spoil=spoil)

    return copy


@pytest.fixture(scope="session")
def start_twin() -> Iterator[Callable[[Path], Twin]]:
    """Starts a twin over the store in a folder, on a free port; ends them all."""
    with contextlib.ExitStack() as running:
        yield lambda folder: running.enter_context(run_twin(folder))


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
