"""A SavedModel as backbone: the graph that takes pixels is the one that took photos."""

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


@pytest.mark.parametrize(("pixels", "size"), [("standardised", 64), ("bytes", 96)], ids=["standardised", "other size"])
def test_a_graph_that_takes_no_pixels_of_this_size_is_refused(pixels: Any, size: int, tmp_path: Path) -> None:
    folder = own_backbones.derm_foundation(tmp_path / "model", pixels=pixels, size=size)
    with pytest.raises(DermisError, match="no tensor of this SavedModel holds the pixels of a decoded photo of 64 px"):
        make_backbone(folder.as_uri(), 64)


def test_two_saved_models_have_two_digests(tmp_path: Path) -> None:
    """Else features that one has left in the cache would be read as the other's."""
    folders = [own_backbones.derm_foundation(tmp_path / str(seed), size=32, seed=seed) for seed in (3, 4)]
    one, again, other = (digest(make_backbone(folder.as_uri(), 32)) for folder in (folders[0], *folders))
    assert one == again
    assert one != other
