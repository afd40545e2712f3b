from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from dermis.metadata.core.encode import encode
from dermis.shared.errors import DermisError
from dermis.shared.vocabulary import SelfReport
from dermis.trainer.model import export
from dermis.trainer.model.backbones import small
from dermis.trainer.model.feature_schema import every_answer
from dermis.trainer.model.head import Head, answer_weights, build_head, join, join_visible, with_middle, with_taps
from dermis.trainer.model.test_time_augmentation import mirrored
from dermis.trainer.training.losses import class_weights, cross_entropy

pytestmark = pytest.mark.trainer
SIZE, CONDITIONS = 48, 5
SCHEMA = every_answer()
COLUMNS = len(SCHEMA.columns)
SIGNATURE = {
    "input images": f"uint8[-1, 3, {SIZE}, {SIZE}, 3]",
    "input image_mask": "bool[-1, 3]",
    "input features": f"float32[-1, {COLUMNS}]",
    "output probabilities": f"float32[-1, {CONDITIONS}]",
    "output embedding": "float32[-1, 64]",
    "output cam": f"float32[-1, 3, 6, 6, {CONDITIONS}]",
    "output answers_logits": f"float32[-1, {CONDITIONS}]",
}


def build(backbone: Any, *, head: Any = Head(), **sizes: Any) -> Any:  # noqa: B008 - frozen
    """Return a backbone and a new head as one model."""
    return join(backbone, build_head(backbone.output.shape[1:], head=head, **sizes))


def make_model() -> Any:
    keras.utils.set_random_seed(1)
    model = build(small(SIZE), columns=COLUMNS, conditions=CONDITIONS)
    # Away from the initial state, in which biases are zero and attention is nearly even.
    rng = np.random.default_rng(2)
    model.set_weights([weight + rng.normal(0, 0.1, weight.shape).astype(np.float32) for weight in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def model() -> Any:
    return make_model()


@pytest.fixture(scope="module")
def folder(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("exported")
    export.export(model, folder)
    return folder


@pytest.fixture
def inputs() -> Any:
    rng = np.random.default_rng(3)
    mask = np.array([[1, 0, 0], [1, 1, 0], [1, 1, 1], [0, 1, 0], [0, 0, 0]], bool)
    features = np.stack([encode(SCHEMA, SelfReport())] * len(mask))
    features[1:3] = rng.integers(0, 2, (2, COLUMNS))
    return {
        "images": rng.integers(0, 256, (len(mask), 3, SIZE, SIZE, 3), np.uint8),
        "image_mask": mask,
        "features": features,
    }


def softmax(logits: Any) -> Any:
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


@pytest.mark.parametrize("run", [export.run_tensorflow, export.run_openvino])
def test_logits_are_images_plus_answers_exactly(run: Any, folder: Any, inputs: Any) -> None:
    out = run(folder, inputs)
    logits = out["cam"].sum((1, 2, 3), dtype=np.float64) + out["answers_logits"]
    np.testing.assert_allclose(out["probabilities"], softmax(logits), atol=1e-6)


def test_answers_logits_depend_on_the_answers_alone_and_are_linear(model: Any, inputs: Any) -> None:
    weights, bias = model.get_layer("head").get_layer("answers").get_weights()
    found = model.predict(inputs, verbose=0)["answers_logits"]
    np.testing.assert_allclose(found, inputs["features"] @ weights + bias, atol=1e-5)


def test_image_logits_are_the_embeddings(model: Any, inputs: Any) -> None:
    out = model.predict(inputs, verbose=0)
    (weights,) = model.get_layer("head").get_layer("condition").get_weights()
    np.testing.assert_allclose(out["embedding"] @ weights, out["cam"].sum((1, 2, 3)), atol=1e-5)


@pytest.mark.parametrize("run", [export.run_tensorflow, export.run_openvino])
def test_masked_images_have_no_influence(run: Any, folder: Any, inputs: Any) -> None:
    other = inputs["images"].copy()
    other[~inputs["image_mask"]] = np.random.default_rng(4).integers(0, 256, (SIZE, SIZE, 3))
    one, two = run(folder, inputs), run(folder, {**inputs, "images": other})
    for name in one:
        assert np.array_equal(one[name], two[name]), name
    assert not one["cam"][~inputs["image_mask"]].any()


def test_without_any_image_the_answers_decide(folder: Any, inputs: Any) -> None:
    out = export.run_tensorflow(folder, inputs)
    assert not out["embedding"][4].any()
    np.testing.assert_allclose(out["probabilities"][4], softmax(out["answers_logits"][4]), atol=1e-6)


def test_the_order_of_images_does_not_matter(model: Any, inputs: Any) -> None:
    turned = {**inputs, "images": inputs["images"][:, ::-1], "image_mask": inputs["image_mask"][:, ::-1]}
    one, two = (model.predict(given, verbose=0)["probabilities"] for given in (inputs, turned))
    np.testing.assert_allclose(one, two, atol=1e-5)


def test_a_case_does_not_depend_on_its_batch(folder: Any, inputs: Any) -> None:
    whole = export.run_openvino(folder, inputs)
    for n in range(len(inputs["features"])):
        alone = export.run_openvino(folder, {name: array[n : n + 1] for name, array in inputs.items()})
        for name, values in alone.items():
            np.testing.assert_allclose(values[0], whole[name][n], atol=1e-5)


def test_one_signature_as_the_manifest_says(folder: Any) -> None:
    assert export.signature(folder) == SIGNATURE


def test_a_second_signature_is_refused(tmp_path: Path) -> None:
    module = tf.Module()
    module.f = tf.function(lambda x: {"y": x + 1}, input_signature=[tf.TensorSpec((None,), name="x")])
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": module.f, "other": module.f})
    with pytest.raises(DermisError, match="other"):
        export.signature(tmp_path)


def test_engines_agree(model: Any, folder: Any, inputs: Any) -> None:
    assert export.check_agreement(folder, model, inputs) < 1e-4


def test_an_export_that_differs_is_refused(folder: Any, inputs: Any) -> None:
    other = make_model()
    other.set_weights([weight * 1.01 for weight in other.get_weights()])
    with pytest.raises(DermisError, match="EXPORT_DIFFERS"):
        export.check_agreement(folder, other, inputs)


@pytest.mark.parametrize(
    ("output", "scale", "off", "passes"),
    [
        ("embedding", 300.0, 5e-3, True),
        ("embedding", 300.0, 5e-2, False),
        ("embedding", 0.01, 5e-5, True),
        ("embedding", 0.01, 5e-4, False),
        ("answers_logits", 20.0, 5e-3, False),
        ("probabilities", 1.0, 5e-5, True),
        ("probabilities", 1.0, 1.5e-4, False),
    ],
)
def test_only_probabilities_are_held_to_an_absolute_difference(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, output: str, scale: float, off: float, passes: bool
) -> None:
    said = {name: np.full((2, 3), 0.5, np.float32) for name in ("probabilities", "embedding", "cam", "answers_logits")}
    said[output][0, 0] = scale
    other = {name: values.copy() for name, values in said.items()}
    other[output][1, 1] += off
    monkeypatch.setattr(export, "run_tensorflow", lambda *_: said)
    monkeypatch.setattr(export, "run_openvino", lambda *_: other)

    class Trained:
        def predict(self, *_: Any, **__: Any) -> Any:
            return said

    if passes:
        assert export.check_agreement(tmp_path, Trained(), {}) <= 1e-4
    else:
        with pytest.raises(DermisError, match="EXPORT_DIFFERS"):
            export.check_agreement(tmp_path, Trained(), {})


def test_a_standardised_head_with_large_features_is_exported(tmp_path: Path, inputs: Any) -> None:
    keras.utils.set_random_seed(1)
    model = build(
        small(SIZE), columns=COLUMNS, conditions=CONDITIONS, head=Head(pooling="images", standardised=True, l2=0.1)
    )
    for layer in model._flatten_layers():
        if layer.name == "standardise":
            layer.spread.assign(np.full(layer.spread.shape, 1e-3))
    assert np.abs(model.predict(inputs, verbose=0)["embedding"]).max() > 100
    export.export(model, tmp_path)
    assert export.check_agreement(tmp_path, model, inputs) <= 1e-4


def test_an_export_is_compared_in_full_float32(folder: Any, inputs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU would round products to TensorFloat-32, and an export of a long training be refused for it."""
    rounded = []

    def run(folder: Path, inputs: Any) -> Any:
        rounded.append(tf.config.experimental.tensor_float_32_execution_enabled())
        return export.run_tensorflow(folder, inputs)

    class Model:
        def predict(self, inputs: Any, **_: object) -> Any:
            return run(folder, inputs)

    monkeypatch.setattr(export, "run_openvino", run)
    export.check_agreement(folder, Model(), inputs)
    assert rounded == [False, False]
    assert tf.config.experimental.tensor_float_32_execution_enabled()


def test_warm_up_is_a_prediction_log_that_the_signature_takes(folder: Any) -> None:
    (record,) = tf.data.TFRecordDataset(str(folder / export.WARM_UP))
    log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
    request = log.predict_log.request
    assert log.WhichOneof("log_type") == "predict_log"
    assert (request.model_spec.name, request.model_spec.signature_name) == ("dermis", "serving_default")
    out = export.run_tensorflow(folder, {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()})
    assert out["probabilities"].shape == (1, CONDITIONS)


@pytest.mark.parametrize(
    "head",
    [
        Head(pooling="images"),
        Head(pooling="images", standardised=True),
        Head(units=8, answers_units=4, dropout=0.5),
        Head(l2=0.1),
    ],
)
def test_every_head_keeps_logits_a_sum(head: Any, inputs: Any) -> None:
    backbone = mirrored(small(SIZE))
    model = build(backbone, columns=COLUMNS, conditions=CONDITIONS, head=head)
    rng = np.random.default_rng(2)
    model.set_weights([weight + rng.uniform(0, 0.1, weight.shape).astype(np.float32) for weight in model.get_weights()])
    out = model.predict(inputs, verbose=0)
    np.testing.assert_allclose(out["cam"].sum((1, 2, 3)) + out["answers_logits"], out["logits"], atol=1e-4)
    assert not out["cam"][~inputs["image_mask"]].any()
    assert not out["embedding"][4].any()


def test_pooled_features_are_all_that_attention_over_images_needs(inputs: Any) -> None:
    backbone = small(SIZE)
    model = build(backbone, columns=COLUMNS, conditions=CONDITIONS, head=Head(pooling="images"))
    maps = np.asarray(backbone(inputs["images"].reshape(-1, SIZE, SIZE, 3).astype(np.float32))).mean(
        (1, 2), keepdims=True
    )
    pooled = model_head(model, maps.shape[1:])
    found = pooled(
        {
            "maps": maps.reshape(-1, 3, *maps.shape[1:]),
            "image_mask": inputs["image_mask"],
            "features": inputs["features"],
        }
    )
    np.testing.assert_allclose(found["logits"], model.predict(inputs, verbose=0)["logits"], atol=1e-4)


def model_head(model: Any, shape: Any) -> Any:
    head = build_head(shape, columns=COLUMNS, conditions=CONDITIONS, head=Head(pooling="images"))
    head.set_weights(model.get_layer("head").get_weights())
    return head


def test_a_mirror_image_gives_the_same_answer(inputs: Any) -> None:
    model = build(mirrored(small(SIZE)), columns=COLUMNS, conditions=CONDITIONS)
    one, two = (
        model.predict({**inputs, "images": images}, verbose=0)
        for images in (inputs["images"], inputs["images"][:, :, :, ::-1])
    )
    np.testing.assert_allclose(one["logits"], two["logits"], atol=1e-4)
    np.testing.assert_allclose(one["cam"], two["cam"][:, :, :, ::-1], atol=1e-4)


def test_taps_stand_beside_the_last_layer() -> None:
    backbone = small(SIZE)
    tapped = with_taps(backbone, [backbone.layers[2].name])
    assert tapped.output.shape == (None, 6, 6, 16 + 64)
    image = np.random.default_rng(0).uniform(0, 255, (1, SIZE, SIZE, 3)).astype(np.float32)
    np.testing.assert_allclose(np.asarray(tapped(image))[..., 16:], backbone(image), atol=1e-5)


def test_the_middle_stands_beside_the_whole_and_its_mean_is_that_of_the_middle() -> None:
    backbone = small(SIZE)
    image = np.random.default_rng(0).uniform(0, 255, (2, SIZE, SIZE, 3)).astype(np.float32)
    plain, both = np.asarray(backbone(image)), np.asarray(with_middle(backbone)(image))
    np.testing.assert_allclose(both[..., :64], plain, atol=1e-5)
    edge = plain.shape[1] // 4
    middle = plain[:, edge:-edge, edge:-edge].mean((1, 2))
    np.testing.assert_allclose(both[..., 64:].mean((1, 2)), middle, rtol=1e-4, atol=1e-4)
    assert (both[:, 0, :, 64:] == 0).all()


def test_answers_may_have_a_penalty_of_their_own() -> None:
    heads = [Head(pooling="images", l2=0.1), Head(pooling="images", l2=0.1, answers_l2=0.001)]
    same, own = (build_head((1, 1, 8), columns=COLUMNS, conditions=CONDITIONS, head=head) for head in heads)
    for model, strength in ((same, 0.1), (own, 0.001)):
        assert model.get_layer("condition").kernel_regularizer.l2 == pytest.approx(0.1)
        assert model.get_layer("answers").kernel_regularizer.l2 == pytest.approx(strength)


def test_losses_by_hand() -> None:
    target, logits = np.array([[0.5, 0.5]], np.float32), np.log(np.array([[0.8, 0.2]], np.float32))
    assert float(cross_entropy()(target, logits)[0]) == pytest.approx(-0.5 * np.log(0.8) - 0.5 * np.log(0.2), rel=1e-5)
    focal = -0.5 * 0.2**2 * np.log(0.8) - 0.5 * 0.8**2 * np.log(0.2)
    assert float(cross_entropy(focal_gamma=2.0)(target, logits)[0]) == pytest.approx(focal, rel=1e-5)
    one = np.array([[1.0, 0.0]], np.float32)
    assert float(cross_entropy(label_smoothing=0.5)(one, logits)[0]) == pytest.approx(
        -0.75 * np.log(0.8) - 0.25 * np.log(0.2), rel=1e-5
    )
    weights = class_weights(np.array([[1, 0]] * 30 + [[0, 1]] * 3, float))
    assert weights.mean() == pytest.approx(1)
    assert weights[-1] > 5 * weights[0]


@pytest.mark.parametrize("visible", [(0, 0, 0), (1, 0, 0), (0, 1, 1), (1, 1, 1)])
def test_a_model_that_reads_visible_images_alone_gives_what_one_that_reads_all_gives(
    model: Any, inputs: Any, visible: tuple[int, ...]
) -> None:
    head = model.get_layer("head")
    read: list[int] = []
    backbone = small(SIZE)
    alone = join_visible(backbone, head)
    backbone.set_weights(model.get_layer("backbone").get_weights())
    masked = {**inputs, "image_mask": np.tile(np.array(visible, bool), (len(inputs["images"]), 1))}
    every = join(backbone, head).predict(masked, verbose=0)
    np.testing.assert_allclose(alone.predict(masked, verbose=0)["cam"], every["cam"], atol=1e-6)  # as a graph too
    through = alone.get_layer("visible_images")
    call = through.backbone.call
    through.backbone.call = lambda images, **rest: (read.append(int(images.shape[0])), call(images, **rest))[1]
    outputs = alone(masked, training=False)
    for name in ("probabilities", "embedding", "cam", "answers_logits"):
        np.testing.assert_allclose(outputs[name], every[name], atol=1e-6)
    assert read == [max(1, sum(visible) * len(inputs["images"]))]


def test_the_weights_of_answers_give_the_models_answers_logits(model: Any, inputs: Any) -> None:
    weights = answer_weights(model)
    assert weights.explain(inputs["features"][0], model.predict(inputs, verbose=0)["answers_logits"][0])
