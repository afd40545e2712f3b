"""A runner without OpenVINO: the signature of every bundle, tiny, computed in numpy."""

from collections.abc import Mapping

import numpy as np
import pytest

from dermis.api.serving.v1 import serving_pb2 as pb
from dermis.serving.core.signature import Signature, TensorSpec
from dermis.shared.tensors import Array, to_proto

SIGNATURE = Signature(
    inputs={
        "images": TensorSpec(dtype=pb.DT_UINT8, shape=(None, 3, 4, 4, 3)),
        "image_mask": TensorSpec(dtype=pb.DT_BOOL, shape=(None, 3)),
        "features": TensorSpec(dtype=pb.DT_FLOAT, shape=(None, 2)),
    },
    outputs={
        "probabilities": TensorSpec(dtype=pb.DT_FLOAT, shape=(None, 2)),
        "embedding": TensorSpec(dtype=pb.DT_FLOAT, shape=(None, 1)),
    },
)


class FakeRunner:
    """Answers `bias` everywhere; counts its runs."""

    signature = SIGNATURE

    def __init__(self, bias: float = 0) -> None:
        self.bias = bias
        self.runs = 0
        self.drained = False

    def run(self, inputs: Mapping[str, Array], outputs: tuple[str, ...]) -> dict[str, Array]:
        self.runs += 1
        batch = len(inputs["features"])
        return {name: np.full((batch, SIGNATURE.outputs[name].shape[1] or 1), self.bias, "f4") for name in outputs}

    def drain(self) -> None:
        self.drained = True


@pytest.fixture
def new_runner() -> type[FakeRunner]:
    return FakeRunner


@pytest.fixture
def runner() -> FakeRunner:
    return FakeRunner(bias=7)


@pytest.fixture
def request_() -> pb.PredictRequest:
    """A request that fits."""
    arrays: dict[str, Array] = {
        "images": np.zeros((1, 3, 4, 4, 3), "u1"),
        "image_mask": np.ones((1, 3), "?"),
        "features": np.zeros((1, 2), "f4"),
    }
    return pb.PredictRequest(
        model_spec=pb.ModelSpec(name="dermis"), inputs={name: to_proto(array) for name, array in arrays.items()}
    )
