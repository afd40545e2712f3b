"""A request to a response."""

from typing import Any

import numpy as np
import pytest

from dermis.serving.predict import predict
from dermis.shared.errors import DermisError
from dermis.shared.tensors import from_proto


def test_answers_every_output_and_says_which_version(runner: Any, request_: Any) -> None:
    response = predict(runner, 3, request_)
    assert np.array_equal(from_proto(response.outputs["probabilities"]), np.full((1, 2), 7, "f4"))
    assert set(response.outputs) == {"probabilities", "embedding"}
    assert (response.model_spec.name, response.model_spec.version.value, response.model_spec.signature_name) == (
        "dermis",
        3,
        "serving_default",
    )


def test_answers_only_what_is_asked_for(runner: Any, request_: Any) -> None:
    request_.output_filter.append("embedding")
    assert set(predict(runner, 3, request_).outputs) == {"embedding"}


def test_takes_values_as_repeated_fields_too(runner: Any, request_: Any) -> None:
    request_.inputs["features"].ClearField("tensor_content")
    request_.inputs["features"].float_val.extend([1, 2])
    assert set(predict(runner, 3, request_).outputs) == {"probabilities", "embedding"}


def test_content_that_does_not_fill_the_shape_is_refused(runner: Any, request_: Any) -> None:
    request_.inputs["features"].tensor_content = b"1234"
    with pytest.raises(DermisError, match="features: 4 bytes do not fill"):
        predict(runner, 3, request_)
    assert runner.runs == 0


def test_a_value_that_does_not_fit_its_type_is_refused(runner: Any, request_: Any) -> None:
    request_.inputs["images"].ClearField("tensor_content")
    request_.inputs["images"].int_val.append(300)
    with pytest.raises(DermisError, match="images"):
        predict(runner, 3, request_)
