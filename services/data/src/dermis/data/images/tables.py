"""What a profile of images shows: extent, verdicts, reject rate by tone, histograms."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dermis.data.profile.profile import TONES
from dermis.data.report.table import Table
from dermis.data.scin.attributes import NO_RESPONSE, WHO, Attribute, count, monk_bin, with_share
from dermis.shared.report import Verdict
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
_TEXT = ("image", "mode", "format", "phash", "sha256", "verdict", "reasons", "fault")
TONE = Attribute(title="Monk skin tone", read=lambda cases: [(tone,) for tone in monk_bin(cases)], values=TONES)
BY: dict[str, Attribute] = {
    "monk_bin": TONE,
    **{name: WHO[name] for name in ("monk_us", "monk_india", "fitzpatrick_self", "fitzpatrick_estimated")},
}
"""What the reject rate is told by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """`frame`: a row per image, columns `shard.COLUMNS`; `owners`: the case of each row, as its place in `cases`, or -1."""

    frame: pd.DataFrame
    cases: pd.DataFrame | None
    owners: Sequence[int]

    @property
    def decoded(self) -> pd.Series:
        return self.frame["width"].notna()

    def values(self, attribute: Attribute) -> list[tuple[str, ...] | None]:
        """Return the attribute's values of each image's case, None for no response."""
        if self.cases is None:
            return [(NO_CASE,)] * len(self.frame)
        of_case = attribute.read(self.cases)
        return [of_case[place] if place >= 0 else (NO_CASE,) for place in self.owners]

    @property
    def tones(self) -> list[str]:
        """Return each image's Monk bin."""
        return [answer[0] if answer else NO_CASE for answer in self.values(TONE)]


def images_frame(rows: Sequence[Row]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    types = {name: "Int64" if name in _WHOLE else "str" if name in _TEXT else "float64" for name in COLUMNS}
    return frame.astype(types)


def with_cases(frame: pd.DataFrame, cases: pd.DataFrame | None, *, by_name: bool = False) -> Images:
    """Give each image its case, the first that lists it; `by_name`: by the last part of the key alone."""

    def name(key: str) -> str:
        return key.rpartition("/")[2] if by_name else key

    first: dict[str, int] = {}
    for place, listed in enumerate([] if cases is None else cases["images"]):
        for key, _ in listed:
            first.setdefault(name(key), place)
    return Images(frame=frame, cases=cases, owners=[first.get(name(key), -1) for key in frame["image"]])


def image_tables(images: Images) -> list[Table]:
    """Return every table of the profile, in reading order."""
    return [
        *_extent(images),
        *_verdicts(images),
        *reject_rates(images, images.frame["verdict"] == Verdict.UNUSABLE),
        *(_histogram(images, measure, title) for measure, title in HISTOGRAMS.items() if measure != "sharpness"),
    ]


def _extent(images: Images) -> list[Table]:
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
        Table(name="overview", section=section, title="Images", frame=pd.DataFrame(counts.items(), columns=["measure", "n"])),
        _bars("faults", section, "Faults of objects", [(fault,) if fault else ("NONE",) for fault in frame["fault"]]),
        _bars("formats", section, "Format and mode", [(f"{f}, {m}",) for f, m in zip(decoded["format"], decoded["mode"], strict=True)]),
        Table(
            name="quantiles",
            section=section,
            title="Sizes and the eight measures",
            note="Measures at the working size: longest side 512 pixels.",
            frame=pd.DataFrame(quantiles, columns=["column", "least", "5 %", "median", "95 %", "largest"]),
        ),
        Table(name="faulty", section=section, title="Objects with a fault", frame=faults),
    ]


def _verdicts(images: Images) -> list[Table]:
    section, decoded = "Verdict", images.frame[images.decoded]
    reasons = [tuple(text.split()) or ("NONE",) for text in decoded["reasons"]]
    return [
        _bars("verdicts", section, "Verdict of images that can be decoded", [(value,) for value in decoded["verdict"]], tuple(Verdict)),
        _bars("reasons", section, "Reasons", reasons, tuple(Reason)[1:], "An image may have several: shares can add up to more than 1."),
    ]


def _bars(
    name: str, section: str, title: str, answers: Sequence[tuple[str, ...] | None], order: Sequence[str] = (), note: str = ""
) -> Table:
    counts = {value: n for value, n in count(answers, order).items() if value != NO_RESPONSE or n}
    frame = pd.DataFrame(counts.items(), columns=["value", "n"]).assign(of=len(answers))
    return Table(name=name, section=section, title=title, note=note, frame=with_share(frame), chart="bars")


def reject_rates(images: Images, rejected: "pd.Series[bool]", *, suffix: str = "", section: str = "Reject rate by tone") -> list[Table]:
    """Return the share of images that are rejected by each scale of tone, and of cases that have no usable image."""
    if images.cases is None:
        return []
    decoded = images.decoded.to_numpy()
    dropped = rejected.to_numpy() & decoded
    note = "n: UNUSABLE; of: images that can be decoded. An image of several cases counts with the first. Wilson's interval takes images as independent."
    tables = []
    for name, attribute in BY.items():
        given = images.values(attribute)
        frame = _rate(given, decoded, dropped, attribute)
        tables.append(
            Table(
                name=f"rejected_by_{name}{suffix}",
                section=section,
                title=f"Rejected images: {attribute.title}",
                note=note,
                frame=frame,
                chart="bars",
            )
        )
    by_case: dict[int, list[bool]] = {}
    for place, known, gone in zip(images.owners, decoded, dropped, strict=True):
        if place >= 0 and known:
            by_case.setdefault(place, []).append(bool(gone))
    tone = TONE.read(images.cases)
    cases = _rate([tone[place] for place in by_case], np.ones(len(by_case), bool), np.array([all(g) for g in by_case.values()], bool), TONE)
    return [
        *tables,
        Table(
            name=f"rejected_cases{suffix}",
            section=section,
            title="Cases without a usable image: Monk skin tone",
            note="of: cases with an image that can be decoded.",
            frame=cases,
            chart="bars",
        ),
    ]


def _rate(given: Sequence[tuple[str, ...] | None], known: Any, dropped: Any, attribute: Attribute) -> pd.DataFrame:
    of = count((value for value, there in zip(given, known, strict=True) if there), attribute.values)
    n: Counter[str] = count((value for value, gone in zip(given, dropped, strict=True) if gone), attribute.values)
    return with_share(pd.DataFrame([(value, n[value], of[value]) for value in of], columns=["value", "n", "of"]))


def _histogram(images: Images, measure: str, title: str) -> Table:
    measured = images.frame.loc[images.decoded, measure].to_numpy(float)
    tones = np.array(images.tones)[images.decoded.to_numpy()]
    edges = _edges(measured, log=measure in _LOG)
    groups: Mapping[str, Any] = {"all": np.ones(len(measured), bool), **{tone: tones == tone for tone in TONES[:3]}}
    frame = pd.DataFrame({"low": edges[:-1], "high": edges[1:]})
    # Outer values count in the outer bins: rounding of an edge loses no image.
    place = np.clip(np.searchsorted(edges, measured, side="right") - 1, 0, BINS - 1)
    for group, mask in groups.items():
        if mask.any():
            frame[group] = np.bincount(place[mask], minlength=BINS)
    scale = "The scale is logarithmic. " if measure in _LOG else ""
    note = f"{scale}Images that can be decoded; lines: share of the images of a tone, by US graders, else India's."
    return Table(name=f"histogram_{measure}", section="Histograms", title=title, note=note, frame=frame, chart="histogram")


def _edges(values: Any, *, log: bool) -> Any:
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    if high <= low:
        high = low + 1
    return np.geomspace(max(low, 0.01), max(high, 1.0), BINS + 1) if log else np.linspace(low, high, BINS + 1)
