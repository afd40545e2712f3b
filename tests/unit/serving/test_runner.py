"""What a runner promises, held by OpenVINO on the demo bundle and by the fake that stands in for it."""

import concurrent.futures
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dermis.api.serving.v1 import serving_pb2 as pb
from dermis.serving.adapters.openvino import OpenVinoRunner
from dermis.serving.core.refusal import RpcRefusal
from dermis.serving.core.signature import check_inputs
from dermis.serving.ports import Runner
from dermis.shared.tensors import DTYPES, Array, to_proto
from dermis.standalone import demo

BUNDLE = Path(os.environ.get("DERMIS_TEST_BUNDLE", demo.BUNDLE))


@pytest.fixture(scope="module")
def openvino() -> OpenVinoRunner:
    return OpenVinoRunner(BUNDLE)


@pytest.fixture(params=["openvino", "fake"])
def any_runner(request: pytest.FixtureRequest, new_runner: Any) -> Runner:
    return request.getfixturevalue("openvino") if request.param == "openvino" else new_runner(0.5)


def inputs_for(runner: Runner, *, rows: int, seed: int = 0) -> dict[str, Array]:
    random = np.random.default_rng(seed)
    return {
        name: random.integers(0, 2, [rows if size is None else size for size in spec.shape]).astype(DTYPES[spec.dtype])
        for name, spec in runner.signature.inputs.items()
    }


def test_has_the_inputs_of_every_bundle(any_runner: Runner) -> None:
    types = {name: (spec.dtype, spec.shape[0]) for name, spec in any_runner.signature.inputs.items()}
    assert types == {"images": (pb.DT_UINT8, None), "image_mask": (pb.DT_BOOL, None), "features": (pb.DT_FLOAT, None)}
    check_inputs(
        any_runner.signature, {name: to_proto(a) for name, a in inputs_for(any_runner, rows=1).items()}, max_size=10**7
    )


@pytest.mark.parametrize("rows", [1, 3])
def test_answers_what_is_asked_for_in_its_type_and_shape(any_runner: Runner, rows: int) -> None:
    for name, spec in any_runner.signature.outputs.items():
        answer = any_runner.run(inputs_for(any_runner, rows=rows), (name,))
        assert set(answer) == {name}
        assert answer[name].dtype == DTYPES[spec.dtype]
        assert answer[name].shape == tuple(rows if size is None else size for size in spec.shape)


def test_takes_arrays_that_can_not_be_written(any_runner: Runner) -> None:
    inputs = inputs_for(any_runner, rows=1)
    frozen = {name: np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape) for name, array in inputs.items()}
    first, second = (any_runner.run(each, ("probabilities",))["probabilities"] for each in (inputs, frozen))
    assert np.array_equal(first, second)


def test_an_answer_stays_as_it_is_when_the_next_one_comes(any_runner: Runner) -> None:
    answer = any_runner.run(inputs_for(any_runner, rows=1), ("embedding",))["embedding"]
    before = answer.copy()
    any_runner.run(inputs_for(any_runner, rows=1, seed=1), ("embedding",))
    assert np.array_equal(answer, before)


def test_answers_several_threads(any_runner: Runner) -> None:
    cases = [inputs_for(any_runner, rows=1, seed=seed) for seed in range(6)]
    alone = [any_runner.run(case, ("probabilities",))["probabilities"] for case in cases]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda case: any_runner.run(case, ("probabilities",))["probabilities"], cases * 3))
        any_runner.drain()
    assert all(np.allclose(*pair, atol=1e-6) for pair in zip(alone * 3, together, strict=True))


def test_runs_again_after_a_drain(any_runner: Runner) -> None:
    any_runner.drain()
    assert any_runner.run(inputs_for(any_runner, rows=1), ("embedding",))


def test_what_openvino_can_not_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"no graph")
    with pytest.raises(RpcRefusal, match="OpenVINO can't load the SavedModel") as caught:
        OpenVinoRunner(tmp_path)
    assert caught.value.code == pb.INVALID_ARGUMENT
