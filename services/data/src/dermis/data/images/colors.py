"""Colour spaces of images by tone and label: a profile that follows the label is a shortcut to it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from dermis.data.images.tables import NO_CASE, ImageTable
from dermis.data.mapping import CONDITION
from dermis.data.report.table import ReportTable
from dermis.data.scin.attributes import with_share

LEAST_IMAGES = 20
LEAST_DIFFERENCE = 0.1
LEVEL = 0.05
FOLLOWED = "Colour spaces that follow a label"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortcut:
    """A colour space that follows a label.

    `n` of its `of` images have it, `others` of the `others_of` of all other labels.
    """

    label: str
    space: str
    n: int
    of: int
    others: int
    others_of: int

    def __str__(self) -> str:
        share, rest = self.n / self.of, self.others / self.others_of
        return (
            f"{self.space} follows the label {self.label!r}: {share:.0%} of {self.of:,} images, {rest:.0%} of "
            f"{self.others_of:,} others; a model can learn the source of images instead of skin: balance the sources, "
            "or evaluate within one"
        )


def color_tables(images: ImageTable) -> list[ReportTable]:
    """Return how many images have which colour space, by the first scale of tone and by label where cases are there."""
    note = (
        "Images that can be decoded; without a profile they count as sRGB. All are converted to sRGB before they "
        "are measured."
    )
    section, spaces = "Colour", _spaces(images)
    counts = Counter(spaces)
    frame = with_share(
        pd.DataFrame([(space, n, len(spaces)) for space, n in sorted(counts.items())], columns=["value", "n", "of"])
    )
    tables = [
        ReportTable(name="color_spaces", section=section, title="Colour spaces", note=note, frame=frame, chart="bars")
    ]
    if images.side is None:
        return tables
    scale = [(name, name, attribute.title, 1) for name, attribute in images.scales.items()][:1]
    for attribute, name, title, least in (*scale, (CONDITION, "label", "Label", LEAST_IMAGES)):
        frame = _by(spaces, _groups(images, attribute), least)
        tables.append(
            ReportTable(
                name=f"color_spaces_by_{name}", section=section, title=f"Colour spaces: {title}", note=note, frame=frame
            )
        )
    return tables


def shortcuts(images: ImageTable) -> list[Shortcut]:
    """Return the colour spaces that follow a label.

    At least 20 images of the label and 20 of others, a share that differs from all others' by 10 points, and Fisher's
    exact test below .05 after Bonferroni's correction for all pairs; images of one case are taken as independent.
    """
    if images.side is None:
        return []
    pairs = list(_pairs(_spaces(images), _groups(images, CONDITION)))
    return [
        pair
        for pair in pairs
        if abs(pair.n / pair.of - pair.others / pair.others_of) >= LEAST_DIFFERENCE and _p(pair) * len(pairs) < LEVEL
    ]


def color_facts(followed: Sequence[Shortcut]) -> dict[str, str]:
    """Return the line of a report's head that says which colour spaces follow a label."""
    return {FOLLOWED: "; ".join(map(str, followed)) or "none"}


def _pairs(spaces: Sequence[str], labels: Sequence[str | None]) -> Iterator[Shortcut]:
    pairs = [(label, space) for label, space in zip(labels, spaces, strict=True) if label not in (None, NO_CASE)]
    both, by_label, by_space = (
        Counter(pairs),
        Counter(label for label, _ in pairs),
        Counter(space for _, space in pairs),
    )
    for label, of in sorted(by_label.items()):
        for space in sorted(by_space) if LEAST_IMAGES <= of <= len(pairs) - LEAST_IMAGES else ():
            n = both[label, space]
            yield Shortcut(label=label, space=space, n=n, of=of, others=by_space[space] - n, others_of=len(pairs) - of)


def _p(pair: Shortcut) -> float:
    from scipy.stats import fisher_exact  # takes as long to import as 100 photos to measure

    return float(fisher_exact([[pair.n, pair.of - pair.n], [pair.others, pair.others_of - pair.others]]).pvalue)


def _has_space(images: ImageTable) -> "pd.Series[bool]":
    return images.frame["color_space"].fillna("") != ""


def _spaces(images: ImageTable) -> list[str]:
    return [str(space) for space in images.frame.loc[_has_space(images), "color_space"]]


def _groups(images: ImageTable, attribute: str) -> list[str | None]:
    """Return a group for each image that has a colour space, None where its case has none."""
    values = images.values(attribute)
    return [value[0] if value else None for value, there in zip(values, _has_space(images), strict=True) if there]


def _by(spaces: Sequence[str], groups: Sequence[str | None], least: int) -> pd.DataFrame:
    of = Counter(group for group in groups if group is not None)
    both = Counter(zip(groups, spaces, strict=True))
    rows = [
        (group, space, both[group, space], n)
        for group, n in sorted(of.items())
        if n >= least
        for space in sorted(set(spaces))
    ]
    return with_share(pd.DataFrame(rows, columns=["value", "color_space", "n", "of"]))
