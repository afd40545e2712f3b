"""The gate's last layer, its threshold and its files."""

import hashlib
import json
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
from benchmarks.skin_gate.views import SIZE, GateView

FOLDS = 5
REFUSED = 0.005
"""Share of each kind of training's skin that may be refused, out of fold."""
C = 0.001
"""Strong regularisation: a looser head only learns the look of one clinic's photos."""
ADVICE = (
    "This doesn't look like a photo of skin. Move so that the skin fills most of the photo, in good light and with "
    "nothing in front of it, and take it again. If something on your skin worries you, show it to a doctor whatever "
    "this page says."
)
Floats = npt.NDArray[np.float64]


def head() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=3000, class_weight="balanced"))


def out_of_fold(features: npt.NDArray[np.float32], views: Sequence[GateView]) -> Floats:
    """Return each view's log-odds by a head that saw nothing of its patient or picture."""
    skin = np.array([view.skin for view in views])
    groups = [view.group for view in views]
    scores = np.zeros(len(views))
    for train, test in GroupKFold(FOLDS, shuffle=True, random_state=0).split(features, skin, groups):
        scores[test] = head().fit(features[train], skin[train]).decision_function(features[test])
    return scores


def threshold(scores: Floats, views: Sequence[GateView], others: Floats) -> float:
    """Return the highest threshold that refuses neither more than `REFUSED` of any kind of skin nor any of `others`.

    `scores`: out of fold; `others`: of photos by other cameras, of skin on other parts of the body, that did not train.
    Training's own folds are alike, so they alone would set a threshold that refuses a third of those.
    """
    kinds = np.array([view.kind if view.skin else "" for view in views])
    limits = [np.quantile(scores[kinds == kind], REFUSED, method="lower") for kind in set(kinds) - {""}]
    return float(np.floor(min(*limits, others.min()) * 1000) / 1000)


def write(folder: Path, features: npt.NDArray[np.float32], views: Sequence[GateView], *, limit: float) -> None:
    """Fit the head to all views and write network, threshold and advice."""
    scale, linear = head().fit(features, [view.skin for view in views])
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
            "measured_on": f"at most {REFUSED:.1%} of each kind of {len(skin):,} views of skin below, out of fold by "
            "patient, and none of the SCIN photos that quality keeps; Fitzpatrick17k had no say",
            "by": "python -m benchmarks.skin_gate train",
        },
        "advice": ADVICE,
    }
    folder.joinpath("skin_gate.tflite").write_bytes(data)
    folder.joinpath("skin_gate.json").write_text(json.dumps(spec, indent=2, ensure_ascii=False) + "\n")
    print(f"{len(data):,} bytes, threshold {limit:g}, in {folder}")


def train(folder: Path, views: Sequence[GateView], others: Sequence[GateView]) -> None:
    """Train the gate on views and write its files into `folder`; `others` have a say in the threshold alone."""
    model = extractor(SIZE)
    features, more = (extract(model, [view.pixels for view in part]) for part in (views, others))
    scores = out_of_fold(features, views)
    unseen = head().fit(features, [view.skin for view in views]).decision_function(more)
    write(folder, features, views, limit=threshold(scores, views, unseen))
