"""The gate's last layer, its threshold and its files."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.skin_gate.features import as_tflite, extractor
from benchmarks.skin_gate.views import SIZE, GateView
from dermis.data.report.markdown import markdown_table

FOLDS = 5
REFUSED = 0.015
"""Share of training's skin that may be refused, see `threshold`."""
UNSEEN_REFUSED = 0.02
"""Share of the skin of unseen sources that may be refused where strengths of regularisation are compared."""
CS = (1e-4, 3e-4, 1e-3)
"""Inverse strengths of regularisation to choose from; a loose head only learns the look of one clinic's photos."""
ADVICE = (
    "This doesn't look like a photo of skin. Move so that the skin fills most of the photo, in good light and with "
    "nothing in front of it, and take it again. If something on your skin worries you, show it to a doctor whatever "
    "this page says."
)
Floats = npt.NDArray[np.float64]
Features = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The C that is taken, the scores `by_source` with it, and for each the share of everyday views refused."""

    c: float
    unseen: Floats
    refused: Mapping[float, float]

    def table(self) -> str:
        rows = [(f"{c:g}", f"{share:.1%}", "taken" if c == self.c else "") for c, share in self.refused.items()]
        return markdown_table(("C", "everyday pictures of unseen sources that are refused", ""), rows)


def choose(features: Features, views: Sequence[GateView]) -> Choice:
    """Choose C by how well heads part everyday pictures from skin, neither of a source that they have seen.

    Each head leaves out one source of skin and some packages. At the threshold that refuses `UNSEEN_REFUSED` of the
    left-out skin, each source of the same weight, the share of left-out pictures below it is taken, by kinds.
    """
    scores = {c: by_source(features, views, c) for c in CS}
    refused = {c: _refused(scores[c], views) for c in CS}
    best = max(refused, key=lambda c: refused[c])
    return Choice(c=best, unseen=scores[best], refused=refused)


def by_source(features: Features, views: Sequence[GateView], c: float) -> Floats:
    """Return each view's log-odds by a head that saw nothing of its source; what is generated, of its kind."""
    sources = np.array([_source(view) for view in views])
    folds = {source: place for place, source in enumerate(sorted({_source(view) for view in views if view.skin}))}
    rest = Counter(_source(view) for view in views if not view.skin).most_common()
    n, scores = len(folds), np.zeros(len(views))
    folds |= {source: place % n for place, (source, _) in enumerate(rest)}
    of = np.array([folds[source] for source in sources])
    for fold in range(n):
        train = np.flatnonzero(of != fold).tolist()
        head = fit(features[train], [views[place] for place in train], c)
        scores[of == fold] = head.decision_function(features[of == fold])
    return scores


def _source(view: GateView) -> str:
    if view.skin:
        return f"skin, {view.source}"
    return f"{view.source}, {view.kind}" if view.source == "generated" else view.source


def _refused(scores: Floats, views: Sequence[GateView]) -> float:
    skin = np.array([view.skin for view in views])
    sources, kinds = (np.array([of(view) for view in views]) for of in (_source, lambda view: view.kind))
    sizes = Counter(sources[skin])
    weights = np.array([1 / sizes[source] for source in sources[skin]])
    limit = _limit(scores[skin], weights, UNSEEN_REFUSED)
    return float(np.mean([np.mean(scores[~skin & (kinds == kind)] < limit) for kind in set(kinds[~skin])]))


def fit(features: Features, views: Sequence[GateView], c: float) -> Pipeline:
    """Fit the head; skin and the rest weigh the same, and so do, nearly, the kinds of each."""
    skin, kinds = np.array([view.skin for view in views]), [(view.skin, view.kind) for view in views]
    counts = Counter(kinds)
    weights = np.array([counts[kind] ** -0.5 for kind in kinds])
    for one in (True, False):
        weights[skin == one] *= len(views) / 2 / weights[skin == one].sum()
    head = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=3000))
    return head.fit(features, skin, logisticregression__sample_weight=weights)


def out_of_fold(features: Features, views: Sequence[GateView], c: float) -> Floats:
    """Return each view's log-odds by a head that saw nothing of its patient or picture."""
    scores, groups = np.zeros(len(views)), [view.group for view in views]
    for train, test in GroupKFold(FOLDS, shuffle=True, random_state=0).split(features, groups=groups):
        scores[test] = fit(features[train], [views[place] for place in train], c).decision_function(features[test])
    return scores


def threshold(scores: Floats, unseen: Floats, views: Sequence[GateView]) -> float:
    """Return the highest threshold that refuses no more than `REFUSED` of training's skin, counted in two ways.

    `scores`, of `out_of_fold`: of all kinds of skin, each of the same weight. `unseen`, of `by_source`: of photos as
    they are whose whole source the head has not seen, as it has seen nothing of a person's camera and light.
    """
    kinds = np.array([view.kind if view.skin else "" for view in views])
    photos = np.array([view.kind == "photos" and not view.changed for view in views])
    sizes = Counter(kinds[kinds != ""])
    weights = np.array([1 / sizes[kind] for kind in kinds[kinds != ""]])
    limits = _limit(scores[kinds != ""], weights), _limit(unseen[photos], np.ones(photos.sum()))
    return float(np.floor(min(limits) * 1000) / 1000)


def _limit(scores: Floats, weights: Floats, share: float = REFUSED) -> float:
    """Return the highest score below which no more than a share of the weight lies."""
    order = np.argsort(scores)
    return float(scores[order][np.searchsorted(np.cumsum(weights[order]) / weights.sum(), share, side="right")])


def write(folder: Path, features: Features, views: Sequence[GateView], c: float, *, limit: float) -> None:
    """Fit the head to all views and write network, threshold and advice."""
    scale, linear = fit(features, views, c)
    weights = linear.coef_[0] / scale.scale_
    bias = linear.intercept_[0] - float(weights @ scale.mean_)
    model = extractor()
    layer = keras.layers.Dense(1, name="skin")
    model = keras.Model(model.input, layer(model.output))
    layer.set_weights([weights[:, None].astype(np.float32), np.array([bias], np.float32)])
    data = as_tflite(model)
    skin = [view for view in views if view.skin]
    spec = {
        "format": "dermis.skin-gate/1",
        "weights": hashlib.sha256(data).hexdigest(),
        "image_size": SIZE,
        "threshold": {
            "value": limit,
            "measured_on": f"at most {REFUSED:.1%} of {len(skin):,} views of skin that trains below, its kinds "
            "alike, out of fold by person, and as few of the photos of a source that the head has not seen; neither "
            "SCIN nor Fitzpatrick17k had a say",
            "by": "python -m benchmarks.skin_gate train",
        },
        "advice": ADVICE,
    }
    folder.joinpath("skin_gate.tflite").write_bytes(data)
    folder.joinpath("skin_gate.json").write_text(json.dumps(spec, indent=2, ensure_ascii=False) + "\n")
    print(f"{len(data):,} bytes, threshold {limit:g}, in {folder}")
