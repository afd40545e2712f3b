"""Groups of cases that must stay together: connected by a shared image, by near-duplicate images or by their person."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dermis.shared.errors import DermisError, Kind

Links = Sequence[tuple[str, str]]
"""(case, what it holds): cases that hold the same thing belong together."""


def image_links(cases: pd.DataFrame, duplicates: Mapping[str, str] | None = None) -> Links:
    """Return each case's images as links, an image of a near-duplicate group as that group too, and whose it is."""
    keys = [[key for key, _ in images] for images in cases["images"]]
    persons = zip(cases["case_id"], cases["person"], strict=True)
    return [
        *links_of(list(cases["case_id"]), keys, duplicates),
        *((case_id, f"person {person}") for case_id, person in persons if person),
    ]


def links_of(
    units: Sequence[str], images: Sequence[Sequence[str]], duplicates: Mapping[str, str] | None = None
) -> Links:
    """Return the same of units and the keys of their images."""
    named = duplicates or {}
    links = [(unit, key) for unit, keys in zip(units, images, strict=True) for key in keys]
    return [*links, *((unit, f"near-duplicate group {named[key]}") for unit, key in links if key in named)]


def connected(case_ids: Sequence[str], links: Links) -> dict[str, str]:
    """Map each case to its group, named after the smallest case_id in it."""
    case_at = {case_id: place for place, case_id in enumerate(case_ids)}
    thing_at = {thing: len(case_at) + place for place, thing in enumerate(dict.fromkeys(thing for _, thing in links))}
    size = len(case_at) + len(thing_at)
    rows = [case_at[case_id] for case_id, _ in links]
    columns = [thing_at[thing] for _, thing in links]
    _, component = connected_components(
        coo_array((np.ones(len(links)), (rows, columns)), shape=(size, size)), directed=False
    )
    first: dict[int, str] = {}
    for case_id in sorted(case_ids):
        first.setdefault(int(component[case_at[case_id]]), case_id)
    return {case_id: first[int(component[place])] for case_id, place in case_at.items()}


def read_duplicates(data: bytes) -> dict[str, str]:
    """Read near-duplicate groups, a CSV with columns `image` (key) and `group`.

    INVALID if they are not there or an image is in two.
    """
    reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
    rows = list(reader)
    if not {"image", "group"} <= set(reader.fieldnames or ()):
        raise DermisError(
            Kind.INVALID,
            "DUPLICATES",
            "the near-duplicate file has no columns image and group: write them in its first row",
        )
    group_of: dict[str, str] = {}
    for row, line in enumerate(rows, start=2):
        if group_of.setdefault(line["image"], line["group"]) != line["group"]:
            raise DermisError(
                Kind.INVALID, "DUPLICATES", f"row {row}: image {line['image']!r} stands in two groups: merge them"
            )
    return group_of


def leaks(part_of: Mapping[str, Iterable[str] | str], links: Links) -> list[tuple[str, str, str]]:
    """Return (thing, case, case) for each thing that is held in two parts."""
    first: dict[str, str] = {}
    leak_of: dict[str, tuple[str, str, str]] = {}
    for case_id, thing in links:
        other = first.setdefault(thing, case_id)
        if part_of[case_id] != part_of[other]:
            leak_of.setdefault(thing, (thing, other, case_id))
    return list(leak_of.values())
