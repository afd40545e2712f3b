"""A run that was given GPUs refuses to go on without them."""

import pytest
import tensorflow as tf

from dermis.shared.errors import DermisError
from dermis.trainer.training.loop import check_gpus

pytestmark = pytest.mark.trainer


def test_fewer_gpus_than_were_asked_for_are_refused() -> None:
    visible = len(tf.config.list_physical_devices("GPU"))
    check_gpus(visible)
    with pytest.raises(DermisError, match=f"--gpus {visible + 1}: TensorFlow sees {visible}") as refused:
        check_gpus(visible + 1)
    assert refused.value.retryable, "another node may have what this one lacks"
