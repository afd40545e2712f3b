"""A really trained model that is worse on dark skin is refused by `dermis promote`, and one that is as good is not.

One model learned from labels that were shuffled on dark skin. It loses on lighter skin too, as the tones share its
weights.
"""

import dataclasses
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from dermis.data.dataset import open_dataset
from dermis.shared.bundles import point, publish, read_current
from dermis.shared.manifest import VersionRef
from dermis.shared.stores import open_store
from dermis.trainer.cli.models import promote
from dermis.trainer.config import Stage
from dermis.trainer.configs import demo
from dermis.trainer.evaluation.predict import open_bundle, predict
from dermis.trainer.evaluation.predictions import to_bytes
from dermis.trainer.model.bundle import restated
from dermis.trainer.records.layout import evaluation_key
from dermis.trainer.training.options import Workspace
from dermis.trainer.training.parts import Parts
from dermis.trainer.training.train import build_bundle

pytestmark = [pytest.mark.trainer, pytest.mark.nightly]
DARK = "monk_bin=MST_7_10"
SIZE = 32
CONFIG = dataclasses.replace(
    demo.CONFIG,
    image_size=SIZE,
    stages=(Stage(after="", epochs=6, learning_rate=1e-2, images="augmented"),),
    patience=None,
)
CALIBRATION, TEST = (open_dataset(f"generated:{seed}:{count}:{SIZE}") for seed, count in ((22, 60), (23, 40)))
CASES = open_dataset(f"generated:24:600:{SIZE}")
UNTYPED = ("--waive", "fitzpatrick_estimated", "--reason", "generated cases have no estimated type")


def ref(version: Any) -> Any:
    return VersionRef(name="dermis", version=version)


def mislabelled_on_dark_skin(dataset: Any) -> Any:
    """Shuffle the labels of the cases on Monk tones 7 to 10 among themselves."""
    dark = [place for place, sample in enumerate(dataset.samples) if sample.slices["monk_bin"] == "MST_7_10"]
    samples = list(dataset.samples)
    for place, other in zip(dark, np.random.default_rng(0).permutation(dark), strict=True):
        samples[place] = dataclasses.replace(
            samples[place], target=dataset.samples[other].target, top=dataset.samples[other].top
        )
    return dataclasses.replace(dataset, samples=tuple(samples))


@pytest.mark.timeout(600)
def test_a_model_made_worse_on_dark_skin_is_refused_and_its_equal_is_promoted(tmp_path: Path) -> None:
    url, fair = (tmp_path / "store").as_uri(), open_dataset(f"generated:21:400:{SIZE}")
    store = open_store(url)
    for version, training in ((1, fair), (2, mislabelled_on_dark_skin(fair)), (3, None)):
        folder = tmp_path / "made" / str(version)
        if training:
            parts = Parts(train=training, calibration=CALIBRATION, test=TEST)
            build_bundle(CONFIG, parts, folder, Workspace(cache=tmp_path / "cache", quiet=True), version=version)
        else:
            shutil.copytree(tmp_path / "made" / "1", folder)
            restated(folder, version=version)
        publish(store, folder)
        # What evaluate keeps for promote.
        predictions = predict(open_bundle(folder), CASES, modalities=("images and answers",))
        store.put_once(f"{evaluation_key(predictions.data, ref(version))}/predictions.npz", to_bytes(predictions))
    point(store, ref(1), models_root="/models", over=None)

    refused = CliRunner().invoke(promote, ["2", "--store", url, *UNTYPED])
    print(refused.output)
    assert refused.exit_code == 3
    assert "REFUSED: dermis 2" in refused.output
    (gain, low, high) = re.search(
        rf"because {DARK}: (\S+) \((\S+) to (\S+)\) on \d+ cases: it may lose", refused.output
    ).groups()
    assert float(low) < float(gain) < float(high) < 0, "the loss is certain"
    waived = CliRunner().invoke(promote, ["2", "--store", url, "--waive", DARK, "--reason", "no one may"])
    assert (waived.exit_code, read_current(store).current.version) == (3, 1)

    equal = CliRunner().invoke(promote, ["3", "--store", url, *UNTYPED])
    print(equal.output)
    assert equal.exit_code == 0, equal.output
    assert read_current(store).current.version == 3
