"""The gate's last layer, its threshold and its files."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.skin_gate.features import extract, extractor
from benchmarks.skin_gate.views import SIZE, View

FOLDS = 5
REFUSED = 0.005
"""Share of training's photos and drawings of skin, of any kind, that may be refused out of fold: a quarter of the aim.

Others' cameras and skin differ from training's by more than its folds do.
"""
CS = (0.001, 0.003, 0.01, 0.03, 0.1)
ADVICE = (
    "This doesn't look like a photo of skin. Move so that the skin fills most of the photo, in good light and with "
    "nothing in front of it, and take it again. If something on your skin worries you, show it to a doctor whatever "
    "this page says."
)
Floats = npt.NDArray[np.float64]


def head(c: float) -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=3000, class_weight="balanced"))


def out_of_fold(features: npt.NDArray[np.float32], views: Sequence[View], c: float) -> Floats:
    """Return each view's log-odds by a head that saw nothing of its patient or picture."""
    skin = np.array([view.skin for view in views])
    groups = [view.group for view in views]
    scores = np.zeros(len(views))
    for train, test in GroupKFold(FOLDS, shuffle=True, random_state=0).split(features, skin, groups):
        scores[test] = head(c).fit(features[train], skin[train]).decision_function(features[test])
    return scores


def threshold(scores: Floats, views: Sequence[View]) -> float:
    """Return the highest threshold that refuses no more than `REFUSED` of each kind of skin, out of fold."""
    kinds = np.array([view.kind if view.skin else "" for view in views])
    limits = [np.quantile(scores[kinds == kind], REFUSED, method="lower") for kind in set(kinds) - {""}]
    return float(np.floor(min(limits) * 1000) / 1000)


def choose(features: npt.NDArray[np.float32], views: Sequence[View]) -> tuple[float, Floats, float]:
    """Return the regularisation that refuses most everyday pictures of training, its scores and its threshold."""
    tries = []
    for c in CS:
        scores = out_of_fold(features, views, c)
        limit = threshold(scores, views)
        refused = float(np.mean([score < limit for score, view in zip(scores, views, strict=True) if not view.skin]))
        tries.append((refused, c, scores, limit))
        print(f"C {c:g}: threshold {limit:.3f}, refuses {refused:.1%} of what is no skin, out of fold")
    _, c, scores, limit = max(tries, key=lambda one: one[0])
    return c, scores, limit


def write(folder: Path, features: npt.NDArray[np.float32], views: Sequence[View], *, c: float, limit: float) -> None:
    """Fit the head to all views and write network, threshold and advice."""
    scale, linear = head(c).fit(features, [view.skin for view in views])
    weights = linear.coef_[0] / scale.scale_
    bias = linear.intercept_[0] - float(weights @ scale.mean_)
    model = extractor(SIZE)
    layer = keras.layers.Dense(1, name="skin")
    model = keras.Model(model.input, layer(model.output))
    layer.set_weights([weights[:, None].astype(np.float32), np.array([bias], np.float32)])
    convert = tf.lite.TFLiteConverter.from_keras_model(model)
    convert.optimizations = [tf.lite.Optimize.DEFAULT]
    convert.target_spec.supported_types = [tf.float16]
    data = convert.convert()
    skin = [view for view in views if view.skin]
    spec = {
        "format": "dermis.skin-gate/1",
        "weights": hashlib.sha256(data).hexdigest(),
        "image_size": SIZE,
        "threshold": {
            "value": limit,
            "measured_on": f"out of fold by patient and picture: at most {REFUSED:.1%} of each kind of {len(skin):,} "
            f"views of skin below, of {len(views) - len(skin):,} views of what is no skin the rest",
            "by": "python -m benchmarks.skin_gate train",
        },
        "advice": ADVICE,
    }
    folder.joinpath("skin_gate.tflite").write_bytes(data)
    folder.joinpath("skin_gate.json").write_text(json.dumps(spec, indent=2, ensure_ascii=False) + "\n")
    print(f"{len(data):,} bytes, C {c:g}, threshold {limit:g}, in {folder}")


def train(folder: Path, views: Sequence[View]) -> None:
    """Train the gate on views and write its files into `folder`."""
    os.environ.setdefault("TF_DETERMINISTIC_OPS", "1")
    features = extract(extractor(SIZE), [view.pixels for view in views])
    c, _, limit = choose(features, views)
    write(folder, features, views, c=c, limit=limit)
