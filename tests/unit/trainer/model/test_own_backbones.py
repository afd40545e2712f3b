"""Backbones that a person brings: the graph that takes pixels is the one that took photos, the tower is KerasHub's."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from dermis.shared.errors import DermisError
from dermis.trainer.model.backbones import make_backbone
from dermis.trainer.model.backbones.graph import digest
from dermis.trainer.model.backbones.saved_model import as_example
from tests.support import own_backbones

pytestmark = [
    pytest.mark.trainer,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]  # TensorFlow and numpy 2


def photos(size: int, count: int = 2) -> Any:
    return np.random.default_rng(1).integers(0, 256, (count, size, size, 3)).astype(np.uint8)


@pytest.mark.parametrize("pixels", own_backbones.PIXELS)
def test_derm_foundation_takes_pixels_and_answers_as_it_did_for_photos(pixels: Any, tmp_path: Path) -> None:
    folder = own_backbones.derm_foundation(tmp_path / "model", pixels=pixels)
    images = photos(own_backbones.SIZE)
    signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
    wanted = signature(inputs=tf.constant([as_example(image) for image in images]))["embedding"].numpy()
    backbone = make_backbone(folder.as_uri(), own_backbones.SIZE)
    assert backbone.output.shape == (None, 1, 1, 6144)
    assert np.abs(wanted).max() > 1
    np.testing.assert_allclose(backbone(images.astype(np.float32))[:, 0, 0], wanted, atol=1e-4)


def test_a_graph_that_is_no_longer_of_pixels_is_refused(tmp_path: Path) -> None:
    folder = own_backbones.derm_foundation(tmp_path / "model", pixels="standardised", size=64)
    with pytest.raises(DermisError, match="no tensor of this SavedModel holds the pixels of a decoded photo of 64 px"):
        make_backbone(folder.as_uri(), 64)


def test_two_saved_models_have_two_digests(tmp_path: Path) -> None:
    """Else features that one has left in the cache would be read as the other's."""
    folders = [own_backbones.derm_foundation(tmp_path / str(seed), size=32, seed=seed) for seed in (3, 4)]
    one, again, other = (digest(make_backbone(folder.as_uri(), 32)) for folder in (folders[0], *folders))
    assert one == again
    assert one != other


KERAS_HUB = [
    [0.222196, 0.408958, 0.350646, -0.460678],
    [0.274116, 0.323489, 0.483471, -0.407906],
    [0.195424, 0.396999, 0.474338, -0.349148],
]
"""The first numbers of each photo by KerasHub 0.32's SigLIPVisionEncoder, its weights set as its own converter does."""


def test_the_siglip_tower_is_keras_hubs(tmp_path: Path) -> None:
    folder = own_backbones.medsiglip(tmp_path / "model", size=56, hidden=32, layers=3, heads=4)
    images = np.random.default_rng(0).integers(0, 256, (3, 56, 56, 3)).astype(np.float32)
    backbone = make_backbone(folder.as_uri(), 56)
    assert backbone.output.shape == (None, 1, 1, 32)
    assert not backbone.trainable_variables
    np.testing.assert_allclose(backbone(images)[:, 0, 0, :4], KERAS_HUB, atol=2e-5)


def test_a_siglip_folder_says_what_it_can_read(tmp_path: Path) -> None:
    folder = own_backbones.medsiglip(tmp_path / "model", size=56)
    with pytest.raises(DermisError, match="reads images of 56 px, not 64: set image_size to that"):
        make_backbone(folder.as_uri(), 64)
    (folder / "config.json").write_text(json.dumps({"model_type": "clip", "vision_config": {"hidden_act": "gelu"}}))
    with pytest.raises(DermisError, match="of model type 'clip' with 'gelu'; a SiglipModel"):
        make_backbone(folder.as_uri(), 56)
