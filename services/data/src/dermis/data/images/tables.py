"""Makes the tables of a profile of images: extent, verdicts, reject rate by tone, histograms."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dermis.data.mapping import MONK_BIN, DataSide
from dermis.data.report.table import ReportTable
from dermis.data.scin.attributes import MONK_BINS, NO_RESPONSE, WHO, Attribute, count, with_share
from dermis.shared.errors import DermisError, Kind
from dermis.shared.report import Verdict
from dermis.worker.core.differential import FITZPATRICK_GROUPS
from dermis.worker.core.quality import Reason
from dermis.worker.core.shard import COLUMNS, MISSING, Row

BINS = 24
NO_CASE = "NO_CASE"
"""In place of an answer: an image that no case of the tables has."""
HISTOGRAMS = {
    "brightness_mean": "Mean brightness",
    "brightness_std": "Spread of brightness",
    "underexp": "Share underexposed",
    "overexp": "Share overexposed",
    "contrast": "Contrast",
    "shadow": "Share in shadow",
    "blur": "Blur and sharpness, which are one number (higher is sharper)",
    "sharpness": "Sharpness",
}
_LOG = ("blur", "sharpness")
_WHOLE = ("width", "height", "bytes", "short_side")
_TEXT = ("image", "mode", "color_space", "format", "phash", "sha256", "verdict", "reasons", "fault")
TONE = Attribute(title="Monk skin tone", read=lambda _: (), values=MONK_BINS)
BY: dict[str, Attribute] = {
    MONK_BIN: TONE,
    **{name: WHO[name] for name in ("monk_us", "monk_india", "fitzpatrick_self", "fitzpatrick_estimated")},
}
"""What the reject rate is told by; the first of them that a data set tells is what its images are grouped by."""
_TYPES: Mapping[str, str] = {str(skin_type): group for skin_type, group in FITZPATRICK_GROUPS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTable:
    """`frame`: a row per image, columns `shard.COLUMNS`.

    `owners`: the case of each row, as its place in `side`, or -1.
    """

    frame: pd.DataFrame
    side: DataSide | None
    owners: Sequence[int]

    @property
    def decoded(self) -> pd.Series:
        return self.frame["width"].notna()

    @property
    def scales(self) -> dict[str, Attribute]:
        """Return the scales of tone that the data set tells, in the order of `BY`."""
        return {name: attribute for name, attribute in BY.items() if self.side and self.side.read(name) is not None}

    def values(self, name: str) -> list[tuple[str, ...] | None]:
        """Return the values of an attribute of each image's case, None for no response."""
        of_case = self.side.read(name) if self.side else None
        return [(NO_CASE,) if place < 0 else of_case[place] if of_case else None for place in self.owners]

    @property
    def tones(self) -> list[str]:
        """Return each image's tone on the first of its scales."""
        return [answer[0] if answer else NO_RESPONSE for answer in self.values(next(iter(self.scales), MONK_BIN))]


def images_frame(rows: Sequence[Row]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    types = {name: "Int64" if name in _WHOLE else "str" if name in _TEXT else "float64" for name in COLUMNS}
    return frame.astype(types)


def read_images(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read a table of images as text; INVALID if it is no CSV or lacks one of the columns."""
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except ValueError as error:  # empty, of other bytes than text, or with rows of different lengths
        detail = f"{path} is no CSV in UTF-8 ({error}); give the images.csv that `dermis data images` wrote"
        raise DermisError(Kind.INVALID, "IMAGE_TABLE", detail) from error
    if missing := [name for name in columns if name not in frame]:
        detail = f"{path.name} has no column {missing[0]!r}: give the images.csv that `dermis data images` wrote"
        raise DermisError(Kind.INVALID, "IMAGE_TABLE", detail)
    return frame


def with_cases(frame: pd.DataFrame, side: DataSide | None, *, by_name: bool = False) -> ImageTable:
    """Give each image its case."""
    return ImageTable(frame=frame, side=side, owners=owners_of(list(frame["image"]), side, by_name=by_name))


def owners_of(keys: Sequence[str], side: DataSide | None, *, by_name: bool) -> list[int]:
    """Return the place of each image's case, the first that lists it, -1 for none.

    `by_name`: by the last part of the key alone.
    """

    def name(key: str) -> str:
        return key.rpartition("/")[2] if by_name else key

    first: dict[str, int] = {}
    for place, listed in enumerate(side.images if side else ()):
        for key in listed:
            first.setdefault(name(key), place)
    return [first.get(name(key), -1) for key in keys]


def image_tables(images: ImageTable) -> list[ReportTable]:
    """Return every table of the profile, in reading order."""
    return [
        *_extent(images),
        *_verdicts(images),
        *reject_rates(images, images.frame["verdict"] == Verdict.UNUSABLE),
        *(_histogram(images, measure, title) for measure, title in HISTOGRAMS.items() if measure != "sharpness"),
    ]


def _extent(images: ImageTable) -> list[ReportTable]:
    section, frame = "Extent", images.frame
    counts = {
        "Images listed": len(frame),
        "Missing": int((frame["fault"] == MISSING).sum()),
        "There, but can't be decoded": int((frame["sha256"].notna() & ~images.decoded).sum()),
        "Decoded and judged": int(images.decoded.sum()),
        "Images whose bytes are another image's too": int(frame["sha256"].dropna().duplicated(keep=False).sum()),
        "Images of a case in the tables": sum(place >= 0 for place in images.owners),
    }
    faults = frame.loc[frame["fault"] != "", ["image", "fault", "bytes"]].reset_index(drop=True)
    decoded = frame[images.decoded]
    quantiles = [
        (name, *(float(value) for value in np.quantile(decoded[name].to_numpy(float), (0, 0.05, 0.5, 0.95, 1))))
        for name in ("width", "height", "bytes", *HISTOGRAMS)
        if len(decoded)
    ]
    return [
        ReportTable(
            name="overview",
            section=section,
            title="ImageTable",
            frame=pd.DataFrame(counts.items(), columns=["measure", "n"]),
        ),
        _bars("faults", section, "Faults of objects", [(fault,) if fault else ("NONE",) for fault in frame["fault"]]),
        _bars(
            "formats",
            section,
            "Format and mode",
            [(f"{f}, {m}",) for f, m in zip(decoded["format"], decoded["mode"], strict=True)],
        ),
        ReportTable(
            name="quantiles",
            section=section,
            title="Sizes and the eight measures",
            note="Measures at the working size: longest side 512 pixels.",
            frame=pd.DataFrame(quantiles, columns=["column", "least", "5 %", "median", "95 %", "largest"]),
        ),
        ReportTable(name="faulty", section=section, title="Objects with a fault", frame=faults),
    ]


def _verdicts(images: ImageTable) -> list[ReportTable]:
    section, decoded = "Verdict", images.frame[images.decoded]
    reasons = [tuple(text.split()) or ("NONE",) for text in decoded["reasons"]]
    return [
        _bars(
            "verdicts",
            section,
            "Verdict of images that can be decoded",
            [(value,) for value in decoded["verdict"]],
            tuple(Verdict),
        ),
        _bars(
            "reasons",
            section,
            "Reasons",
            reasons,
            tuple(Reason)[1:],
            "An image may have several: shares can add up to more than 1.",
        ),
    ]


def _bars(
    name: str,
    section: str,
    title: str,
    answers: Sequence[tuple[str, ...] | None],
    order: Sequence[str] = (),
    note: str = "",
) -> ReportTable:
    counts = {value: n for value, n in count(answers, order).items() if value != NO_RESPONSE or n}
    frame = pd.DataFrame(counts.items(), columns=["value", "n"]).assign(of=len(answers))
    return ReportTable(name=name, section=section, title=title, note=note, frame=with_share(frame), chart="bars")


def reject_rates(
    images: ImageTable, rejected: "pd.Series[bool]", *, suffix: str = "", section: str = "Reject rate by tone"
) -> list[ReportTable]:
    """Return the share of images rejected by each scale of tone, and of cases without a usable image by the first."""
    scales = images.scales
    if images.side is None or not scales:
        return []
    decoded = images.decoded.to_numpy()
    dropped = rejected.to_numpy() & decoded
    note = (
        "n: UNUSABLE; of: images that can be decoded. An image of several cases counts with the first. Wilson's "
        "interval takes images as independent."
    )
    tables = []
    for name, attribute in scales.items():
        answers = images.values(name)
        frame = _rate(answers, decoded, dropped, attribute)
        tables.append(
            ReportTable(
                name=f"rejected_by_{name}{suffix}",
                section=section,
                title=f"Rejected images: {attribute.title}",
                note=note,
                frame=frame,
                chart="bars",
            )
        )
    by_case: dict[int, list[bool]] = {}
    for place, is_decoded, gone in zip(images.owners, decoded, dropped, strict=True):
        if place >= 0 and is_decoded:
            by_case.setdefault(place, []).append(bool(gone))
    name, attribute = next(iter(scales.items()))
    tone = images.side.read(name) or ()
    gone_cases = np.array([all(gone) for gone in by_case.values()], bool)
    cases = _rate([tone[place] for place in by_case], np.ones(len(by_case), bool), gone_cases, attribute)
    return [
        *tables,
        ReportTable(
            name=f"rejected_cases{suffix}",
            section=section,
            title=f"Cases without a usable image: {attribute.title}",
            note="of: cases with an image that can be decoded.",
            frame=cases,
            chart="bars",
        ),
    ]


def _rate(answers: Sequence[tuple[str, ...] | None], decoded: Any, dropped: Any, attribute: Attribute) -> pd.DataFrame:
    of = count((value for value, there in zip(answers, decoded, strict=True) if there), attribute.values)
    n: Counter[str] = count((value for value, gone in zip(answers, dropped, strict=True) if gone), attribute.values)
    return with_share(pd.DataFrame([(value, n[value], of[value]) for value in of], columns=["value", "n", "of"]))


def _histogram(images: ImageTable, measure: str, title: str) -> ReportTable:
    measured = images.frame.loc[images.decoded, measure].to_numpy(float)
    tones = np.array([_TYPES.get(tone, tone) for tone in images.tones])[images.decoded.to_numpy()]
    edges = _edges(measured, log=measure in _LOG)
    scale = next(iter(images.scales), MONK_BIN)
    tones_drawn = MONK_BINS[:3] if scale == MONK_BIN else tuple(dict.fromkeys(_TYPES.values()))
    groups: Mapping[str, Any] = {"all": np.ones(len(measured), bool), **{tone: tones == tone for tone in tones_drawn}}
    frame = pd.DataFrame({"low": edges[:-1], "high": edges[1:]})
    # Outer values count in the outer bins: rounding of an edge loses no image.
    place = np.clip(np.searchsorted(edges, measured, side="right") - 1, 0, BINS - 1)
    for group, mask in groups.items():
        if mask.any():
            frame[group] = np.bincount(place[mask], minlength=BINS)
    axis = "The scale is logarithmic. " if measure in _LOG else ""
    graders = "US graders, else India's" if scale == MONK_BIN else BY[scale].title
    note = f"{axis}Images that can be decoded; lines: share of the images of a tone, by {graders}."
    return ReportTable(
        name=f"histogram_{measure}", section="Histograms", title=title, note=note, frame=frame, chart="histogram"
    )


def _edges(values: Any, *, log: bool) -> Any:
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    if high <= low:
        high = low + 1
    return np.geomspace(max(low, 0.01), max(high, 1.0), BINS + 1) if log else np.linspace(low, high, BINS + 1)
