"""The gate's last layer, its threshold and its files."""

import hashlib
import json
from collections import Counter
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

from benchmarks.skin_gate.features import extractor
from benchmarks.skin_gate.views import SIZE, GateView

FOLDS = 5
REFUSED = 0.015
"""Share of each kind of training's skin, out of fold, that may be refused."""
C = 1e-4
"""Strong regularisation: a looser head only learns the look of one clinic's photos."""
ADVICE = (
    "This doesn't look like a photo of skin. Move so that the skin fills most of the photo, in good light and with "
    "nothing in front of it, and take it again. If something on your skin worries you, show it to a doctor whatever "
    "this page says."
)
Floats = npt.NDArray[np.float64]
Features = npt.NDArray[np.float32]


def fit(features: Features, views: Sequence[GateView]) -> Pipeline:
    """Fit the head; skin and the rest weigh the same, and so do, nearly, the kinds of each."""
    skin, kinds = np.array([view.skin for view in views]), [(view.skin, view.kind) for view in views]
    counts = Counter(kinds)
    weights = np.array([counts[kind] ** -0.5 for kind in kinds])
    for one in (True, False):
        weights[skin == one] *= len(views) / 2 / weights[skin == one].sum()
    head = make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=3000))
    return head.fit(features, skin, logisticregression__sample_weight=weights)


def out_of_fold(features: Features, views: Sequence[GateView]) -> Floats:
    """Return each view's log-odds by a head that saw nothing of its patient or picture."""
    scores, groups = np.zeros(len(views)), [view.group for view in views]
    for train, test in GroupKFold(FOLDS, shuffle=True, random_state=0).split(features, groups=groups):
        scores[test] = fit(features[train], [views[place] for place in train]).decision_function(features[test])
    return scores


def threshold(scores: Floats, views: Sequence[GateView]) -> float:
    """Return the highest threshold that refuses, out of fold, no more than `REFUSED` of any kind of skin."""
    kinds = np.array([view.kind if view.skin else "" for view in views])
    limits = [np.quantile(scores[kinds == kind], REFUSED, method="lower") for kind in set(kinds) - {""}]
    return float(np.floor(min(limits) * 1000) / 1000)


def write(folder: Path, features: Features, views: Sequence[GateView], *, limit: float) -> None:
    """Fit the head to all views and write network, threshold and advice."""
    scale, linear = fit(features, views)
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
            "measured_on": f"at most {REFUSED:.1%} of each kind of {len(skin):,} views of skin that trains below, "
            "out of fold by patient; neither SCIN nor Fitzpatrick17k had a say",
            "by": "python -m benchmarks.skin_gate train",
        },
        "advice": ADVICE,
    }
    folder.joinpath("skin_gate.tflite").write_bytes(data)
    folder.joinpath("skin_gate.json").write_text(json.dumps(spec, indent=2, ensure_ascii=False) + "\n")
    print(f"{len(data):,} bytes, threshold {limit:g}, in {folder}")
