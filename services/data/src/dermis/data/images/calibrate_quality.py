"""The quality policy's thresholds, fitted to what dermatologists called gradable.

Graders judge a case, not an image: a case's value is that of its best image, as one usable image is enough.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dermis.data.images.tables import ImageTable, reject_rates
from dermis.data.report.table import ReportTable
from dermis.data.scin.attributes import MONK_BINS, monk_bin, with_share
from dermis.data.split.groups import connected, image_links
from dermis.data.statistics import Z
from dermis.shared.report import Verdict
from dermis.shared.vocabulary import Gradable
from dermis.worker.core.quality import Number, Policy, Reason, Signals, judge
from dermis.worker.core.shard import MEASURES, SIGNALS

LOWER_IS_BETTER = ("underexp", "overexp", "shadow", "dark", "bright")
FOLDS = 5
FEWEST = 50
"""Cases that a tone bin needs to have a say of its own in a threshold."""
LEAST = 10
"""Cases of each answer that an interval needs."""
MARGINAL_TIMES = 5
"""A marginal threshold may cost that many times what an unusable one may: its advice costs a retake, not a case."""
_SIGNALS = tuple(field.name for field in fields(Signals))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """`policy` and the tables that say how good its signals and itself are."""

    policy: Policy
    tables: list[ReportTable]


def sufficient(gradable: Sequence[str]) -> bool | None:
    """Return whether most dermatologists found the images sufficient, None without a majority.

    No pathology is sufficient too.
    """
    bad = sum(answer == Gradable.NO_IMAGE_QUALITY_INSUFFICIENT for answer in gradable)
    return None if 2 * bad == len(gradable) else 2 * bad < len(gradable)


def auroc(values: Any, positive: Any) -> tuple[float, float, float]:
    """Return the area under the ROC curve with its 95 % interval (DeLong, DeLong and Clarke-Pearson 1988, Wald).

    NaN without both classes; the interval is NaN with fewer than `LEAST` of one, where it would be far too narrow.
    """
    values, positive = np.asarray(values, float), np.asarray(positive, bool)
    m, n = int(positive.sum()), int((~positive).sum())
    if not m or not n:
        return (float("nan"),) * 3
    ranks = rankdata(values)
    above = (ranks[positive] - rankdata(values[positive])) / n
    below = 1 - (ranks[~positive] - rankdata(values[~positive])) / m
    area = float(above.mean())
    if min(m, n) < LEAST:
        return area, float("nan"), float("nan")
    spread = sum(part.var(ddof=1) / len(part) for part in (above, below))
    return area, max(0.0, area - Z * float(np.sqrt(spread))), min(1.0, area + Z * float(np.sqrt(spread)))


def fit(images: ImageTable, cases_frame: pd.DataFrame, policy: Policy, *, loss: float, source: str, by: str) -> Fitted:
    """Fit thresholds so that no rule takes more than `loss` of the gradable cases of any tone with `FEWEST` of them.

    A signal whose AUROC is not above 0.5 with 95 % confidence keeps its threshold, as do those set by definition.
    `source` and `by` become the numbers' provenance. `cases_frame`: the cases' typed rows.
    """
    cases = _by_case(images, cases_frame)
    rows = _aurocs(cases)
    if cases["sufficient"].value_counts().reindex([True, False], fill_value=0).min() >= LEAST:
        rows.append(("combined (out of fold)", *auroc(_out_of_fold(cases, cases_frame), cases["sufficient"])))
    informative = {name for name, _, low, _ in rows if low > 0.5}
    fitted = _thresholds(cases, policy, informative, loss=loss, source=source, by=by)
    good = int(cases["sufficient"].sum())
    table = pd.DataFrame(rows, columns=["column", "estimate", "low", "high"]).assign(
        sufficient=good, insufficient=len(cases) - good
    )
    section = "Calibration"
    note = (
        "Cases with a majority of dermatologists for or against sufficient quality and an image that can be decoded; "
        "best image of a case. Above 0.5: the column tells sufficient images in the expected direction. Combined: "
        f"logistic regression on the signals, {FOLDS} folds, connected cases together. Interval: DeLong."
    )
    verdicts = judged(images.frame, fitted)
    return Fitted(
        policy=fitted,
        tables=[
            ReportTable(name="auroc", section=section, title="AUROC against gradable", note=note, frame=table),
            _changes(policy, fitted),
            _caught(images, cases_frame, {"shipped or given": images.frame["verdict"], "fitted": verdicts}),
            *reject_rates(
                images, verdicts == Verdict.UNUSABLE, suffix="_fitted", section="Reject rate by tone, fitted policy"
            ),
        ],
    )


def judged(frame: pd.DataFrame, policy: Policy) -> pd.Series:
    """Return each row's verdict under another policy, from its signals.

    What can't be decoded, or shows no skin, keeps its own: no threshold of a policy decides that.
    """
    verdicts = frame["verdict"].copy()
    is_skin = frame["width"].notna() & ~frame["reasons"].fillna("").str.startswith(Reason.NOT_SKIN)
    for place, row in zip(
        frame.index[is_skin],
        frame.loc[is_skin, list(SIGNALS)].to_dict("records"),
        strict=True,
    ):
        verdicts[place] = judge(Signals(**{str(name): value for name, value in row.items()}), policy.thresholds)[
            0
        ].value
    return verdicts


def _by_case(images: ImageTable, cases_frame: pd.DataFrame) -> pd.DataFrame:
    """Return a row per case whose graders have a majority.

    Columns: `sufficient`, `tone`, and the best image's value of each measure.
    """
    answer = [sufficient(opinions) for opinions in cases_frame["gradable"]]
    frame = images.frame.assign(place=list(images.owners))
    usable = frame[images.decoded & (frame["place"] >= 0)]
    columns = dict.fromkeys((*MEASURES, *_SIGNALS))
    best = usable.groupby("place").agg({name: "min" if name in LOWER_IS_BETTER else "max" for name in columns})
    best["seen_share"] = (1 - usable["dark"] - usable["bright"]).groupby(usable["place"]).max()
    best["sufficient"] = [answer[place] for place in best.index]
    best["tone"] = np.array(monk_bin(cases_frame))[best.index]
    decided = best[best["sufficient"].notna()]
    return decided.assign(sufficient=decided["sufficient"].astype(bool))


def _aurocs(cases: pd.DataFrame) -> list[tuple[Any, ...]]:
    columns = list(dict.fromkeys((*MEASURES, "seen_share", *_SIGNALS)))
    signs = {name: -1 if name in LOWER_IS_BETTER else 1 for name in columns}
    return [(name, *auroc(signs[name] * cases[name].to_numpy(float), cases["sufficient"])) for name in columns]


def _out_of_fold(cases: pd.DataFrame, cases_frame: pd.DataFrame) -> Any:
    """Return each case's chance of being sufficient by a model that saw no case connected with it."""
    y = cases["sufficient"].to_numpy()
    group = connected(list(cases_frame["case_id"]), image_links(cases_frame))
    groups = [group[case_id] for case_id in cases_frame["case_id"].iloc[cases.index]]
    x = np.log(cases[[*_SIGNALS]].to_numpy(float) + 0.01)
    out = np.zeros(len(y))
    for train, test in StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0).split(x, y, groups):
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(x[train], y[train])
        out[test] = model.predict_proba(x[test])[:, 1]
    return out


def _thresholds(
    cases: pd.DataFrame, policy: Policy, informative: set[str], *, loss: float, source: str, by: str
) -> Policy:
    good = cases[cases["sufficient"]]

    def number(signal: str, shipped: Number, share: float) -> Number:
        tones = [good.loc[good["tone"] == tone, signal] for tone in MONK_BINS]
        parts = [good[signal], *(part for part in tones if len(part) >= FEWEST)]
        if signal not in informative or len(good) < FEWEST:
            return shipped
        value = min(float(np.quantile(part.to_numpy(float), share, method="lower")) for part in parts)
        value = math.floor(value * 1e6) / 1e6  # down: rounded up it would lie above the image that sets it
        return Number(
            value=value,
            measured_on=f"{source}; at most {share:.1%} of {len(good):,} gradable cases below, on every tone with "
            f"{FEWEST}",
            by=by,
        )

    old = policy.thresholds
    pairs = {"seen_share": old.seen_share, "short_side": old.short_side}
    limits = {
        name: limit.model_copy(
            update={
                "unusable": number(name, limit.unusable, loss),
                "marginal": number(name, limit.marginal, min(0.5, MARGINAL_TIMES * loss)),
            }
        )
        for name, limit in pairs.items()
    }
    single = {
        "texture": number("texture", old.texture, loss),
        "redness": number("redness", old.redness, loss),
        "fine_to_coarse": number("fine_to_coarse", old.fine_to_coarse, loss),
        "fine_to_middle": number("fine_to_middle", old.fine_to_middle, min(0.5, MARGINAL_TIMES * loss)),
    }
    return policy.model_copy(update={"thresholds": old.model_copy(update=limits | single)})


def _changes(old: Policy, new: Policy) -> ReportTable:
    rows = []
    for name, was in _numbers(old).items():
        rows.append((name, was, _numbers(new)[name], "kept" if was == _numbers(new)[name] else "fitted"))
    note = "Kept: set by definition, or its signal does not tell gradable cases here."
    frame = pd.DataFrame(rows, columns=["threshold", "was", "is", "state"])
    return ReportTable(name="thresholds", section="Calibration", title="Thresholds", note=note, frame=frame)


def _numbers(policy: Policy) -> dict[str, float]:
    flat: dict[str, float] = {}
    for name, value in policy.thresholds:
        parts = {name: value} if isinstance(value, Number) else {f"{name}.{part}": number for part, number in value}
        flat |= {key: number.value for key, number in parts.items()}
    return flat


def _caught(images: ImageTable, cases: pd.DataFrame, verdicts: Mapping[str, pd.Series]) -> ReportTable:
    """Count the cases without a usable image under each policy, of those judged sufficient and insufficient."""
    answer = [sufficient(opinions) for opinions in cases["gradable"]]
    in_a_case = images.decoded & (pd.Series(images.owners, index=images.frame.index) >= 0)
    owners = np.array(images.owners)[in_a_case.to_numpy()]
    rows = []
    for name, verdict in verdicts.items():
        gone = (verdict[in_a_case] == Verdict.UNUSABLE).groupby(owners).all()
        for flag, words in ((False, "insufficient"), (True, "sufficient")):
            of = [bool(gone[place]) for place in gone.index if answer[place] is flag]
            rows.append((f"{name}: graders say {words}", sum(of), len(of)))
    frame = with_share(pd.DataFrame(rows, columns=["value", "n", "of"]))
    note = "n: cases without a usable image. The fitted policy's are of the cases that it was fitted on."
    return ReportTable(
        name="caught",
        section="Calibration",
        title="Cases rejected, by what graders say",
        note=note,
        frame=frame,
        chart="bars",
    )
