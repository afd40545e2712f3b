"""Several devices and half precision.

What is trained is what one processor would have trained, and float32 when it is exported.
"""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = [pytest.mark.trainer, pytest.mark.nightly]

RUN = """
import json, sys
from pathlib import Path
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * int(sys.argv[1]))
from tests.unit.trainer.training.test_devices import metrics_and_sizes
from dermis.trainer.training.loop import devices
print(json.dumps([devices().num_replicas_in_sync, *metrics_and_sizes(Path(sys.argv[2]))]))
"""


def metrics_and_sizes(folder: Any) -> Any:
    """Return every epoch's metrics of a run through a frozen and an unfrozen stage.

    Beside them stands how large its optimizer's averages of gradients are.

    17 cases a batch: two devices can't share that evenly. Losses alone would not do: Adam's steps are the same if every
    gradient is doubled.
    """
    from dermis.shared.stores.memory import MemoryStore
    from dermis.trainer.records.facts import RunConfig
    from dermis.trainer.records.runs import Run
    from dermis.trainer.training import loop
    from tests.unit.trainer.training import test_loop as tiny

    loop.CHECKPOINT_S = 0.0
    run = Run.start(MemoryStore(), RunConfig(name="tiny", purpose="demo"))
    config = replace(tiny.CONFIG, batch=17, tone_preserving=False, head=replace(tiny.CONFIG.head, dropout=0.0, l2=0.01))
    tiny.trained(folder, config, run=run)
    keys = sorted(run._store.list(f"runs/{run.id}/epochs/"))
    state = loop.TrainState.from_bytes(run.read_checkpoint(run.last_checkpoint())["progress.npz"])
    sizes = [float(np.abs(values).sum()) for values in state.optimizer if values.dtype == np.float32]
    return [json.loads(run._store.get(key))["metrics"] for key in keys], sizes


def run_on(devices: Any, folder: Any) -> Any:
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(devices), str(folder)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_two_devices_train_as_one_does(tmp_path: Path) -> None:
    (one, alone, sizes), (two, shared, others) = (run_on(count, tmp_path / str(count)) for count in (1, 2))
    assert (one, two, len(alone)) == (1, 2, 4)
    for name in alone[0]:
        np.testing.assert_allclose(
            [epoch[name] for epoch in shared], [epoch[name] for epoch in alone], rtol=1e-3, err_msg=name
        )
    assert len(sizes) > 10
    np.testing.assert_allclose(others, sizes, rtol=0.02)
    assert alone[0]["loss"] > alone[-1]["loss"]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from tests.unit.trainer.training import test_loop as tiny

    folder = tmp_path_factory.mktemp("mixed")
    config = replace(tiny.CONFIG, backbone="efficientnet-lite0", mirrored=True, precision="mixed_bfloat16")
    return tiny.trained(folder, replace(config, stages=(config.stages[0], replace(config.stages[1], after="block_14"))))


def test_half_precision_trains_and_exports_float32(mixed: Any, tmp_path: Path) -> None:
    import keras

    from dermis.trainer.model.export import check_agreement, export
    from dermis.trainer.model.inputs import arrays
    from tests.unit.trainer.training import test_loop as tiny

    model, epochs = mixed
    assert keras.config.dtype_policy().name == "float32"
    assert np.isfinite(list(epochs[-1].metrics.values())).all()
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}
    assert {layer.compute_dtype for layer in model._flatten_layers()} <= {"float32", "bool", "uint8"}
    export(model, tmp_path / "exported")
    inputs = arrays(tiny.PARTS.test, tiny.CONFIG.schema, 40)
    assert check_agreement(tmp_path / "exported", model, inputs) <= 1e-4
    assert {value.dtype for value in model.predict(inputs, verbose=0).values()} == {np.dtype(np.float32)}
