"""What a model rests on and what shakes it: ablation, robustness, skin-tone flips. Each is a pass over the data set, or several."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pandas as pd
import simplejpeg

from dermis.data.dataset import GENERATED, Dataset
from dermis.data.generated import cases as generated
from dermis.data.report.table import Table
from dermis.shared.errors import DermisError, Kind
from dermis.shared.vocabulary import MonkSkinTone
from dermis.trainer import metrics as measures
from dermis.trainer.evaluation.decisions import at, decided
from dermis.trainer.evaluation.predict import Bundle, Change, predict
from dermis.trainer.evaluation.predictions import SHOWN_TO_SERVE, Predictions
from dermis.trainer.evaluation.report import differences, with_interval
from dermis.trainer.evaluation.slices import by_tone
from dermis.trainer.model.feature_schema import FEATURE_GROUPS
from dermis.worker.core.prepare import Image

Step = Callable[[int], None]
_SHOWN_DIFFERENCES = ("top_1", "top_3", "top_3_soft", "macro_auroc", "brier_soft")


def blur(sigma: float) -> Change:
    """Gaussian blur, `sigma` in pixels of the working image."""
    return lambda image: np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def expose(stops: float) -> Change:
    """Exposure by so many stops, in linear light (sRGB, IEC 61966-2-1), clipped as a sensor clips."""
    levels = np.arange(256) / 255
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4) * 2.0**stops
    shown = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055)
    table = (np.clip(shown, 0, 1) * 255 + 0.5).astype(np.uint8)
    return lambda image: table[image]


def jpeg(quality: int) -> Change:
    """JPEG compression, chroma halved."""

    def change(image: Image) -> Image:
        data = simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality=quality, colorsubsampling="420")
        return np.asarray(simplejpeg.decode_jpeg(data), np.uint8)

    return change


def lighten(amount: float) -> Change:
    """Shift of CIE L* by `amount` (0 to 100 is black to white), a* and b* as they are: an approximation of another skin tone."""

    def change(image: Image) -> Image:
        lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
        lab[..., 0] = np.clip(lab[..., 0] + amount, 0, 100)
        return (np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1) * 255 + 0.5).astype(np.uint8)

    return change


CHANGES: Mapping[str, Change] = {
    **{f"blur {sigma} px": blur(sigma) for sigma in (1, 2, 4)},
    **{f"exposure {stops:+d} stops": expose(stops) for stops in (-2, -1, 1, 2)},
    **{f"JPEG quality {quality}": jpeg(quality) for quality in (50, 20, 5)},
}
LIGHTNESS: Mapping[str, Change] = {f"L* {amount:+d}": lighten(amount) for amount in (-20, -10, 10, 20)}


def passes(source: str, *, ablation: bool, robustness: bool) -> int:
    """Return how often these studies go over the data set."""
    flips = len(MonkSkinTone) if GENERATED.fullmatch(source) else len(LIGHTNESS)
    return ablation * (len(FEATURE_GROUPS) + 1) + robustness * (len(CHANGES) + flips)


def ablation(bundle: Bundle, dataset: Dataset, whole: Predictions, *, step: Step) -> list[dict[str, Any]]:
    """Return what is lost without each answer group that the model reads, each modality and the quality filter; paired differences."""
    read = {field.name for field in bundle.schema.fields}
    rows = []
    for left_out, names in FEATURE_GROUPS.items():
        if read & set(names):
            found = predict(bundle, dataset, hidden=names, shown=(SHOWN_TO_SERVE,), step=step)
            rows.append(_against(bundle, whole, found, left_out=f"answers: {left_out}"))
    for left_out, shown in (("every answer", "images alone"), ("images", "answers alone")):
        rows.append(_against(bundle, whole, replace(whole, raw={SHOWN_TO_SERVE: whole.raw[shown]}), left_out=left_out))  # type: ignore[index]
    unfiltered = predict(bundle, dataset, quality_filter=False, shown=(SHOWN_TO_SERVE,), step=step)
    return [*rows, _against(bundle, whole, unfiltered, left_out="quality filter")]


def robustness(bundle: Bundle, dataset: Dataset, whole: Predictions, *, step: Step) -> list[dict[str, Any]]:
    """Return what each change of the images costs, overall and by tone: paired differences, and how often the first condition stays."""
    rows = []
    for name, change in CHANGES.items():
        found = predict(bundle, dataset, change=change, shown=(SHOWN_TO_SERVE,), step=step)
        for scale, value, here in _tones(bundle, whole):
            part, changed = at(whole, here), at(found, here)
            rows.append(_against(bundle, part, changed, change=name, slice=scale, value=value) | {"first_stays": _stays(part, changed)})
    return rows


def tone_flips(bundle: Bundle, dataset: Dataset, whole: Predictions, *, source: str, step: Step) -> dict[str, Any]:
    """Return how often another skin tone gives another first condition, all else being equal; `source`: what the data set was opened by.

    Generated cases are painted again on all ten Monk tones: exact. Photos can't be: their lightness is shifted in CIE Lab, which
    moves lesion, light and background too; that is an approximation, and no tone is claimed for it.
    """
    if GENERATED.fullmatch(source):
        versions: Iterator[tuple[str, Predictions]] = (
            (tone.value, predict(bundle, _repainted(dataset, source, tone), shown=(SHOWN_TO_SERVE,), step=step)) for tone in MonkSkinTone
        )
        how, own = "EXACT: the same scene painted on every Monk tone", whole.slices["monk_skin_tone"]
    else:
        versions = (
            (name, predict(bundle, dataset, change=change, shown=(SHOWN_TO_SERVE,), step=step)) for name, change in LIGHTNESS.items()
        )
        how, own = "APPROXIMATION: lightness shifted in CIE Lab, lesion and background with it", ("",) * len(whole)
    first = _first(whole)
    flips, rows = [], []
    for name, found in versions:
        other = np.array([value != name for value in own])
        changed = (_first(found) != first) & other
        flips.append((changed, other))
        rows.append({"shown_as": name, "n": int(other.sum()), "flips": _mean(changed[other], _taken(whole.groups, other))})
        rows[-1]["top_1"] = _mean(_first(found) == whole.labels, whole.groups)
    changed, other = (np.stack(table) for table in zip(*flips, strict=True))
    rate = changed.sum(0) / np.maximum(other.sum(0), 1)
    return {
        "how": how,
        "n": len(whole),
        "flip_rate": _mean(rate, whole.groups),
        "cases_with_a_flip": _mean(changed.any(0), whole.groups),
        "shown_as": rows,
        "by_slice": [
            {"slice": scale, "value": value, "n": int(here.sum()), "flip_rate": _mean(rate[here], _taken(whole.groups, here))}
            for scale, value, here in _tones(bundle, whole)
        ],
    }


class _Repainted:
    def __init__(self, seed: int, longest: int, tone: MonkSkinTone) -> None:
        self._seed, self._longest, self._tone = seed, longest, tone

    def get(self, key: str) -> bytes:
        index, n = map(int, key.split("/"))
        pixels = generated.case(self._seed, index, longest=self._longest, repaint=self._tone).images[n]
        _, data = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1])
        return bytes(data)


def _repainted(dataset: Dataset, source: str, tone: MonkSkinTone) -> Dataset:
    if not (match := GENERATED.fullmatch(source)):
        raise DermisError(Kind.INVALID, "DATA_SET", f"{source} is no generated data set and can't be painted again")
    return replace(dataset, store=_Repainted(int(match[1]), int(match[3] or 112), tone))


def _tones(bundle: Bundle, predictions: Predictions) -> Iterator[tuple[str, str, measures.Hits]]:
    """Yield all cases, then those of each value of each tone scale that the data set knows."""
    yield "all", "all", np.ones(len(predictions), bool)
    yield from by_tone(bundle.manifest, predictions)


def _against(bundle: Bundle, whole: Predictions, found: Predictions, **what: str) -> dict[str, Any]:
    """Return the paired differences of the changed way minus the whole one."""
    one, two = (decided(bundle.manifest, predictions, bundle.outliers)[0] for predictions in (found, whole))
    weights = measures.draw_weights(whole.groups, np.random.default_rng(0))
    return {**what, "n": len(whole), **differences(one, two, weights, whole.groups)}


def _stays(whole: Predictions, found: Predictions) -> dict[str, Any]:
    return _mean(_first(found) == _first(whole), whole.groups)


def _mean(values: Any, groups: Sequence[str]) -> dict[str, Any]:
    if not len(values):
        return {"value": None, "interval": None}
    return with_interval(measures.mean(np.asarray(values, float), measures.draw_weights(groups, np.random.default_rng(0))), groups)


def _taken(groups: Sequence[str], here: measures.Hits) -> list[str]:
    return [group for group, kept in zip(groups, here, strict=True) if kept]


def _first(predictions: Predictions) -> measures.Ints:
    return np.asarray(np.argsort(-predictions.raw[SHOWN_TO_SERVE], axis=1, kind="stable")[:, 0])


def as_tables(studies: Mapping[str, Any]) -> list[Table]:
    """Return what the page shows of "ablation", "robustness" and "skin_tone_flips"."""
    tables = []
    for name, title, key in (("ablation", "Without a part", "left_out"), ("robustness", "Changed images", "change")):
        rows = [
            {key: row[key], **({"of": row["value"]} if "value" in row else {}), "n": row["n"]}
            | {figure.replace("_", " "): _said(row[figure]) for figure in _SHOWN_DIFFERENCES}
            | ({"first condition stays": _said(row["first_stays"], "value")} if "first_stays" in row else {})
            for row in studies.get(name, ())
        ]
        if rows:
            note = "Differences to the whole model on unchanged images, on the same cases, with their intervals."
            tables.append(Table(name=name, section="Studies", title=title, note=note, frame=pd.DataFrame(rows)))
    if flips := studies.get("skin_tone_flips"):
        rows = [
            {"shown as": row["shown_as"], "n": row["n"], "flips": _said(row["flips"], "value"), "top-1": _said(row["top_1"], "value")}
            for row in flips["shown_as"]
        ]
        rows += [
            {"shown as": f"any other, of {row['value']}", "n": row["n"], "flips": _said(row["flip_rate"], "value"), "top-1": ""}
            for row in flips["by_slice"]
        ]
        note = f"{flips['how']}. Of {flips['n']:,} cases {_said(flips['cases_with_a_flip'], 'value')} have at least one flip."
        tables.append(Table(name="skin_tone_flips", section="Studies", title="Skin-tone flip rate", note=note, frame=pd.DataFrame(rows)))
    return tables


def _said(figure: Mapping[str, Any], name: str = "difference") -> str:
    value, interval = figure[name], figure["interval"]
    if value is None:
        return ""
    sign = "+" if name == "difference" else ""
    return f"{value:{sign}.3f}" + (f" ({interval[0]:{sign}.3f} to {interval[1]:{sign}.3f})" if interval else "")
