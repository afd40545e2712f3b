"""What a model rests on and what shakes it: ablation, robustness, skin-tone flips.

Each is a pass over the data set, or several.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pandas as pd
import simplejpeg

from dermis.data.dataset import GENERATED, Dataset
from dermis.data.generated import cases as generated
from dermis.data.report.table import ReportTable
from dermis.shared.errors import DermisError, Kind
from dermis.shared.evaluation import Figure, Interval, ReportModel
from dermis.shared.vocabulary import MonkSkinTone
from dermis.trainer import metrics as measures
from dermis.trainer.evaluation.comparison import Difference, Differences, differences
from dermis.trainer.evaluation.decisions import at, decided
from dermis.trainer.evaluation.predict import Bundle, Change, predict
from dermis.trainer.evaluation.predictions import SERVED, Predictions
from dermis.trainer.evaluation.report import with_interval
from dermis.trainer.evaluation.slices import by_tone
from dermis.trainer.model.feature_schema import FEATURE_GROUPS
from dermis.worker.core.prepare import Image

Step = Callable[[int], None]
_SHOWN_DIFFERENCES = ("top_1", "top_3", "top_3_soft", "macro_auroc", "brier_soft")


class Ablation(Differences):
    """What is lost without a part of the input."""

    left_out: str


class ChangedImages(Differences):
    """What a `change` of the images costs the cases of one `value` of a tone scale.

    Beside it stands how often the first condition stays.
    """

    change: str
    slice: str
    value: str
    first_stays: Figure


class Tone(ReportModel):
    """The cases shown in another skin tone: how often their first condition flips, and top-1."""

    shown_as: str
    n: int
    flips: Figure
    top_1: Figure


class SliceFlips(ReportModel):
    """The flip rate of the cases of one value of a tone scale."""

    slice: str
    value: str
    n: int
    flip_rate: Figure


class ToneFlips(ReportModel):
    """How often another skin tone gives another first condition; `how` says whether exactly or by approximation."""

    how: str
    n: int
    flip_rate: Figure
    cases_with_a_flip: Figure
    shown_as: tuple[Tone, ...]
    by_slice: tuple[SliceFlips, ...]


class Studies(ReportModel):
    """`studies.json`: those that were asked for."""

    ablation: tuple[Ablation, ...] = ()
    robustness: tuple[ChangedImages, ...] = ()
    skin_tone_flips: ToneFlips | None = None


def blur(sigma: float) -> Change:
    """Gaussian blur, `sigma` in pixels of the working image."""
    return lambda image: np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def expose(stops: float) -> Change:
    """Exposure by so many stops, in linear light (sRGB, IEC 61966-2-1), clipped as a sensor clips."""
    levels = np.arange(256) / 255
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4) * 2.0**stops
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055)
    table = (np.clip(encoded, 0, 1) * 255 + 0.5).astype(np.uint8)
    return lambda image: table[image]


def jpeg(quality: int) -> Change:
    """JPEG compression, chroma halved."""

    def change(image: Image) -> Image:
        data = simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality=quality, colorsubsampling="420")
        return np.asarray(simplejpeg.decode_jpeg(data), np.uint8)

    return change


def lighten(amount: float) -> Change:
    """Shift of CIE L* by `amount` (0 to 100 is black to white), a* and b* as they are.

    This is an approximation of another skin tone.
    """

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


def ablation(bundle: Bundle, dataset: Dataset, whole: Predictions, *, step: Step) -> tuple[Ablation, ...]:
    """Return what is lost without each answer group that the model reads, each modality and the quality filter.

    Paired differences.
    """
    read = {field.name for field in bundle.schema.fields}
    rows = []
    for left_out, names in FEATURE_GROUPS.items():
        if read & set(names):
            ablated = predict(bundle, dataset, hidden=names, modalities=(SERVED,), step=step)
            rows.append(_ablation(bundle, whole, ablated, f"answers: {left_out}"))
    for left_out, modality in (("every answer", "images alone"), ("images", "answers alone")):
        rows.append(_ablation(bundle, whole, replace(whole, raw={SERVED: whole.raw[modality]}), left_out))  # type: ignore[index]
    unfiltered = predict(bundle, dataset, quality_filter=False, modalities=(SERVED,), step=step)
    return (*rows, _ablation(bundle, whole, unfiltered, "quality filter"))


def _ablation(bundle: Bundle, whole: Predictions, without: Predictions, left_out: str) -> Ablation:
    return Ablation.model_validate({"left_out": left_out, "n": len(whole), **_against(bundle, whole, without)})


def robustness(bundle: Bundle, dataset: Dataset, whole: Predictions, *, step: Step) -> tuple[ChangedImages, ...]:
    """Return what each change of the images costs, overall and by tone.

    These are paired differences, and how often the first condition stays.
    """
    rows = []
    for name, change in CHANGES.items():
        altered = predict(bundle, dataset, change=change, modalities=(SERVED,), step=step)
        for scale, value, here in _tones(bundle, whole):
            part, changed = at(whole, here), at(altered, here)
            what = {
                "change": name,
                "slice": scale,
                "value": value,
                "n": len(part),
                "first_stays": _stays(part, changed),
            }
            rows.append(ChangedImages.model_validate({**what, **_against(bundle, part, changed)}))
    return tuple(rows)


def tone_flips(bundle: Bundle, dataset: Dataset, whole: Predictions, *, source: str, step: Step) -> ToneFlips:
    """Return how often another skin tone gives another first condition, all else being equal.

    `source`: what the data set was opened by.

    Generated cases are painted again on all ten Monk tones: exact. Photos can't be: their lightness is shifted in CIE
    Lab, which moves lesion, light and background too; that is an approximation, and no tone is claimed for it.
    """
    if GENERATED.fullmatch(source):
        versions: Iterator[tuple[str, Predictions]] = (
            (tone.value, predict(bundle, _repainted(dataset, source, tone), modalities=(SERVED,), step=step))
            for tone in MonkSkinTone
        )
        how, own = "EXACT: the same scene painted on every Monk tone", whole.slices["monk_skin_tone"]
    else:
        versions = (
            (name, predict(bundle, dataset, change=change, modalities=(SERVED,), step=step))
            for name, change in LIGHTNESS.items()
        )
        how, own = "APPROXIMATION: lightness shifted in CIE Lab, lesion and background with it", ("",) * len(whole)
    first = _first(whole)
    flips, rows = [], []
    for name, version in versions:
        other = np.array([value != name for value in own])
        changed = (_first(version) != first) & other
        flips.append((changed, other))
        flipped = _mean(changed[other], _taken(whole.groups, other))
        top_1 = _mean(_first(version) == whole.labels, whole.groups)
        rows.append(Tone(shown_as=name, n=int(other.sum()), flips=flipped, top_1=top_1))
    changed, other = (np.stack(table) for table in zip(*flips, strict=True))
    rate = changed.sum(0) / np.maximum(other.sum(0), 1)
    return ToneFlips(
        how=how,
        n=len(whole),
        flip_rate=_mean(rate, whole.groups),
        cases_with_a_flip=_mean(changed.any(0), whole.groups),
        shown_as=tuple(rows),
        by_slice=tuple(
            SliceFlips(
                slice=scale, value=value, n=int(here.sum()), flip_rate=_mean(rate[here], _taken(whole.groups, here))
            )
            for scale, value, here in _tones(bundle, whole)
        ),
    )


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


def _against(bundle: Bundle, whole: Predictions, changed: Predictions) -> dict[str, Difference]:
    """Return the paired differences of the changed way minus the whole one."""
    one, two = (decided(bundle.manifest, predictions, bundle.outliers)[0] for predictions in (changed, whole))
    weights = measures.draw_weights(whole.groups, np.random.default_rng(0))
    return differences(one, two, weights, whole.groups)


def _stays(whole: Predictions, changed: Predictions) -> Figure:
    return _mean(_first(changed) == _first(whole), whole.groups)


def _mean(values: Any, groups: Sequence[str]) -> Figure:
    if not len(values):
        return Figure(value=None, interval=None)
    return with_interval(
        measures.mean(np.asarray(values, float), measures.draw_weights(groups, np.random.default_rng(0))), groups
    )


def _taken(groups: Sequence[str], here: measures.Hits) -> list[str]:
    return [group for group, kept in zip(groups, here, strict=True) if kept]


def _first(predictions: Predictions) -> measures.Ints:
    return np.asarray(np.argsort(-predictions.raw[SERVED], axis=1, kind="stable")[:, 0])


def as_tables(studies: Studies) -> list[ReportTable]:
    """Return what the page shows of the studies."""
    note = "Differences to the whole model on unchanged images, on the same cases, with their intervals."
    tables = []
    if studies.ablation:
        frame = _frame({"left_out": row.left_out, "n": row.n, **_differences(row)} for row in studies.ablation)
        tables.append(ReportTable(name="ablation", section="Studies", title="Without a part", note=note, frame=frame))
    if studies.robustness:
        frame = _frame(
            {
                "change": row.change,
                "of": row.value,
                "n": row.n,
                **_differences(row),
                "first condition stays": _text(row.first_stays),
            }
            for row in studies.robustness
        )
        tables.append(ReportTable(name="robustness", section="Studies", title="Changed images", note=note, frame=frame))
    return [*tables, *([_table_of_flips(studies.skin_tone_flips)] if studies.skin_tone_flips else ())]


def _table_of_flips(flips: ToneFlips) -> ReportTable:
    rows = [
        {"shown as": row.shown_as, "n": row.n, "flips": _text(row.flips), "top-1": _text(row.top_1)}
        for row in flips.shown_as
    ]
    rows += [
        {"shown as": f"any other, of {each.value}", "n": each.n, "flips": _text(each.flip_rate), "top-1": ""}
        for each in flips.by_slice
    ]
    note = f"{flips.how}. Of {flips.n:,} cases {_text(flips.cases_with_a_flip)} have at least one flip."
    return ReportTable(
        name="skin_tone_flips", section="Studies", title="Skin-tone flip rate", note=note, frame=_frame(rows)
    )


def _frame(rows: Iterable[Mapping[str, object]]) -> pd.DataFrame:
    return pd.DataFrame(list(rows))


def _differences(row: Differences) -> dict[str, str]:
    chosen = ((name, row.differences[name]) for name in _SHOWN_DIFFERENCES)
    return {name.replace("_", " "): _number(each.difference, each.interval, sign="+") for name, each in chosen}


def _text(figure: Figure) -> str:
    return _number(figure.value, figure.interval)


def _number(value: float | None, interval: Interval, *, sign: str = "") -> str:
    if value is None:
        return ""
    return f"{value:{sign}.3f}" + (f" ({interval[0]:{sign}.3f} to {interval[1]:{sign}.3f})" if interval else "")
