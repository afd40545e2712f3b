"""A run that version 0.1.0 began, and that was stopped after four epochs, is read and taken up again by this code."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from dermis.shared.stores import open_store
from dermis.trainer.records.facts import Learned, RunStatus
from dermis.trainer.records.runs import LEARNED_FILE, read_run, run_ids, run_key

STORE = Path(__file__).parent / "run-0.1.0"
RUN_ID = "run_01m8n3bmq8enarrx40p5njvvca"


@pytest.fixture
def store(tmp_path: Path) -> Any:
    shutil.copytree(STORE, tmp_path / "store")
    return open_store((tmp_path / "store").as_uri())


def test_its_records_are_read(store: Any) -> None:
    assert run_ids(store) == [RUN_ID]
    state = read_run(store, RUN_ID)
    assert (state.status, state.attempt, state.ended.reason) == (RunStatus.STOPPED, 1, "SIGTERM")
    assert (state.started.config.name, state.started.config.parameters["stages"][0]["epochs"]) == ("small", 40)
    assert (state.epoch.epoch, state.epoch.of, set(state.epoch.metrics)) == (
        4,
        40,
        {"loss", "validation_loss", "validation_top_1", "validation_top_3"},
    )
    learned = Learned.model_validate_json(store.get(f"{run_key(RUN_ID)}/{LEARNED_FILE}"))
    assert {name: len(keys) for name, keys in learned.parts.items()} == {"train": 37, "validation": 6, "calibration": 5}


@pytest.mark.trainer
def test_training_goes_on_after_its_checkpoint(store: Any, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    from dermis.data.dataset import conditions_of, open_dataset
    from dermis.trainer.config import Stage
    from dermis.trainer.configs import demo
    from dermis.trainer.model.head import Head
    from dermis.trainer.records.runs import Run
    from dermis.trainer.training.options import Workspace
    from dermis.trainer.training.parts import split_parts
    from dermis.trainer.training.train import fit_model

    stages = (Stage(epochs=6, learning_rate=3e-3),)
    config = dataclasses.replace(
        demo.CONFIG, name="small", image_size=48, head=Head(pooling="images"), stages=stages, patience=None
    )
    dataset = open_dataset("generated:31:60:48")
    parts = split_parts(dataset, dataset.split(seed=config.seed))
    run = Run.resume(store, RUN_ID)
    model, epochs = fit_model(
        config, parts, conditions_of(parts.train.samples), Workspace(cache=tmp_path / "cache", run=run, quiet=True)
    )
    state = read_run(store, RUN_ID)
    assert (state.attempt, state.resumed.after, state.epoch.epoch) == (2, 4, 6)
    losses = {key: json.loads(store.get(key))["metrics"]["loss"] for key in store.list(f"{run_key(RUN_ID)}/epochs/")}
    assert [Path(key).stem for key in losses] == ["1", "2", "3", "4", "5", "6"]
    first, *_, last = losses.values()
    assert last == epochs[-1].metrics["loss"] < first  # a new model would start from the first loss again
    assert model.output["logits"].shape == (None, 8)
