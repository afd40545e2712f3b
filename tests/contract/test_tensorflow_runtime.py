"""TensorFlow's own runtime, which TensorFlow Serving runs, on the bundle that the contract suite serves.

Stands in for a TensorFlow Serving binary where a code comes from running the graph: the same tensors that the suite
expects to be refused, fed to a session as TensorFlow Serving feeds them. And the answers: OpenVINO's are the same.
"""

import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dermis.serving.adapters.openvino import OpenVinoRunner
from dermis.shared.tensors import Array

pytestmark = pytest.mark.trainer

Run = Callable[[dict[str, Array]], dict[str, Array]]


@pytest.fixture(scope="module")
def run(bundle: Path) -> Iterator[Run]:
    """Feeds a session without the checks of TensorFlow's Python, which TensorFlow Serving does not have."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tensorflow as tf
    graph = tf.Graph()
    with tf.compat.v1.Session(graph=graph) as session:
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(bundle))
        signature = loaded.signature_def["serving_default"]
        assert signature.method_name == "tensorflow/serving/predict"

        def place(info: Any) -> Any:
            return graph.get_tensor_by_name(info.name)._as_tf_output()

        def feed(arrays: dict[str, Array]) -> dict[str, Array]:
            inputs = {place(signature.inputs[name]): array for name, array in arrays.items()}
            fetches = [place(info) for info in signature.outputs.values()]
            return dict(
                zip(signature.outputs, session._call_tf_sessionrun(None, inputs, fetches, [], None), strict=True)
            )

        yield feed


def test_openvino_answers_the_same(run: Run, bundle: Path, arrays: dict[str, Array]) -> None:
    theirs, runner = run(arrays), OpenVinoRunner(bundle)
    ours = runner.run(arrays, tuple(theirs))
    assert set(runner.signature.outputs) == set(theirs)
    for name, array in theirs.items():
        assert ours[name].dtype == array.dtype
        assert np.allclose(ours[name], array, atol=1e-4), name


@pytest.mark.parametrize("case", ["dtype", "other dtype", "rank", "scalar", "image size", "columns", "mask"])
def test_tensors_that_do_not_fit_are_invalid_argument(
    run: Run, arrays: dict[str, Array], misfits: dict[str, tuple[str, Array]], case: str
) -> None:
    from tensorflow.errors import InvalidArgumentError

    name, array = misfits[case]
    with pytest.raises(InvalidArgumentError):
        run({**arrays, name: array})
