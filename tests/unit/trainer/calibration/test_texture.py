"""The rule for textures: false alarms as stated by cases, storage doesn't count, what has other texture is told."""

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from dermis.data.dataset import Dataset, open_dataset
from dermis.shared.manifest import TextureRule
from dermis.trainer.calibration import texture
from dermis.worker.core.decode import decode
from dermis.worker.core.prepare import fit
from dermis.worker.core.texture import Textures, to_bytes

pytestmark = pytest.mark.trainer
SIZE, ALARMS = 96, 0.1


class Grainy:
    """The images of a data set as a noisy sensor would show them."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def get(self, key: str) -> bytes:
        image = decode(self._dataset.store.get(key)).image
        noise = np.random.default_rng(len(key)).normal(0, 10, image.shape)
        noisy = np.clip(image + noise, 0, 255).astype(np.uint8)
        return bytes(cv2.imencode(".png", cv2.cvtColor(noisy, cv2.COLOR_RGB2BGR))[1])


def scores(textures: Textures, dataset: Dataset, quality: int | None) -> Any:
    """Return the score of each case of a data set, stored in one way."""
    cases = []
    for sample in dataset.samples:
        images = [texture._stored(decode(dataset.store.get(key)).image, quality) for key in sample.images]
        cases.append(textures.case_score(np.stack([fit(image, SIZE) for image in images])))
    return np.array(cases)


@pytest.fixture(scope="module")
def fitted() -> tuple[Textures, TextureRule]:
    return fit_on("generated:41:150", "generated:42:100")


def fit_on(training: str, calibration: str) -> tuple[Textures, TextureRule]:
    sets = ([open_dataset(training)], [open_dataset(calibration)])
    return texture.fit_textures(*sets, image_size=SIZE, how="LETTERBOX", false_alarms=ALARMS)


def test_false_alarms_are_at_most_as_stated_however_images_are_stored(fitted: Any) -> None:
    textures, rule = fitted
    assert (rule.false_alarms, rule.calibrated_on) == (ALARMS, 100)
    new = open_dataset("generated:43:100")
    alarms = {quality: (scores(textures, new, quality) > rule.threshold).mean() for quality in texture.QUALITIES}
    assert max(alarms.values()) <= ALARMS + 0.09  # three standard errors of 100 cases
    assert max(alarms.values()) - min(alarms.values()) <= 0.1


def test_images_of_another_texture_are_told(fitted: Any) -> None:
    textures, rule = fitted
    new = open_dataset("generated:44:30")
    grainy = replace(new, store=Grainy(new))
    assert (scores(textures, grainy, None) > rule.threshold).mean() >= 0.9
    assert (scores(textures, new, None) > rule.threshold).mean() <= 0.3


def test_the_threshold_is_the_place_among_cases_that_the_alarms_ask_for(fitted: Any) -> None:
    textures, rule = fitted
    calibration = open_dataset("generated:42:100")
    worst = np.max([scores(textures, calibration, quality) for quality in texture.QUALITIES], 0)
    assert rule.threshold == pytest.approx(np.sort(worst)[90])  # the 91st of 100: 10 of 101 new ones lie above


def test_the_same_drawings_give_the_same_file() -> None:
    one, other = (fit_on("generated:41:40", "generated:42:20") for _ in range(2))
    assert to_bytes(one[0]) == to_bytes(other[0])
    assert one[1] == other[1]
