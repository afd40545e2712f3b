"""The gradient of logistic regression on distributions is that of its loss."""

from typing import Any

import numpy as np
import pytest

from dermis.trainer.training.logistic_regression import loss_and_gradient

pytestmark = pytest.mark.trainer


@pytest.mark.parametrize("l2", [0.1, np.array([[0.1], [0.0], [2.0], [0.3]])], ids=["one", "by feature"])
def test_the_gradient_is_that_of_the_loss(l2: Any) -> None:
    rng = np.random.default_rng(0)
    inputs, target, weight = rng.normal(size=(9, 4)), rng.dirichlet(np.ones(3), 9), rng.uniform(size=9)
    at = rng.normal(size=15)
    _, gradient = loss_and_gradient(at, inputs, target, weight, l2)
    for place in range(15):
        step = 1e-6 * np.eye(15)[place]
        higher, lower = (loss_and_gradient(at + sign * step, inputs, target, weight, l2)[0] for sign in (1, -1))
        assert gradient[place] == pytest.approx((higher - lower) / 2e-6, abs=1e-6)
