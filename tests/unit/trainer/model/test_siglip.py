"""The tower of a SiglipModel is KerasHub's."""

import json
from pathlib import Path

import numpy as np
import pytest

from dermis.shared.errors import DermisError
from dermis.trainer.model.backbones import make_backbone
from tests.support import own_backbones

pytestmark = [
    pytest.mark.trainer,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]  # TensorFlow and numpy 2


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
