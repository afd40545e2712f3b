"""`dermis data duplicates`: pairs and groups of images that show the same, from the table of images."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from dermis.data.data_source import SCIN
from dermis.data.embeddings import read_embeddings
from dermis.data.images.near_duplicates import grouped, near_pairs, similar_pairs
from dermis.data.images.tables import owners_of, read_images
from dermis.data.mapping import open_side
from dermis.data.report.pictures import picture
from dermis.data.report.report import Report, write_report
from dermis.data.report.table import ReportTable
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ports import BlobStore
from dermis.shared.stores import open_store

EARLIER_COUNT = (
    "An earlier project on SCIN counted 598 near-duplicates on the full set of 10,379 images and did not say how. What "
    "compares with it is the count of images that would go if one of each group stayed."
)
_SHOWN = 12
_OF_ONE = 3


def write_duplicates(
    table: Path,
    *,
    radius: int,
    embeddings: Path | None,
    cosine: float,
    source: str | None,
    tables: str | None,
    out: Path,
) -> str:
    """Write pairs.csv, groups.csv (which `dermis data split --duplicates` takes) and the report.

    Return what was found.
    """
    frame = read_hashes(table)
    pairs = _pairs(frame, radius, read_embeddings(embeddings).of(list(frame["image"])) if embeddings else None, cosine)
    group = grouped(len(frame), [pairs[["a", "b"]].to_numpy(np.int64)])
    side = open_side(tables, None, per="case") if tables else None
    owners = np.array(owners_of(list(frame["image"]), side, by_name=True))
    names = frame["image"].to_numpy()
    listed = pd.DataFrame({"image": names, "group": [names[place] if place >= 0 else "" for place in group]})[
        group >= 0
    ]
    out.mkdir(parents=True, exist_ok=True)
    listed.to_csv(out / "groups.csv", index=False, lineterminator="\n")
    listing = pairs.assign(image_a=names[pairs["a"]], image_b=names[pairs["b"]])[
        ["image_a", "image_b", "by", "bits", "cosine"]
    ]
    listing.to_csv(out / "pairs.csv", index=False, lineterminator="\n")
    tables_of_groups = _tables(pairs, group, owners, has_cases=side is not None)
    sheet = _sheet(names, group, pairs, open_store(source)) if source else []
    facts = {
        "Table": table.name,
        "Images": f"{len(frame):,}",
        "Hamming radius": f"{radius} of 64 bits",
    }
    if side and side.name == SCIN:
        facts["An earlier project's count"] = EARLIER_COUNT
    if embeddings:
        facts["Embeddings"] = f"{embeddings.name}, cosine of at least {cosine:g}"
    report = Report(name="duplicates", title="Images: near-duplicates", facts=facts, tables=[*tables_of_groups, *sheet])
    written = write_report(report, out)[:2]
    return (
        f"{tables_of_groups[0].frame.to_string(index=False)}\n"
        f"written {out / 'groups.csv'}, {out / 'pairs.csv'}, {', '.join(map(str, written))}"
    )


def read_hashes(path: Path) -> pd.DataFrame:
    """Read a table of images; INVALID if it has no images, keys or hashes."""
    frame = read_images(path, ("image", "sha256", "phash"))
    if wrong := [(row, text) for row, text in enumerate(frame["phash"], start=2) if text and not _is_hash(text)]:
        raise DermisError(
            Kind.INVALID, "IMAGE_TABLE", f"{path.name}, row {wrong[0][0]}: phash {wrong[0][1]!r} is not 16 hex digits"
        )
    return frame


def _is_hash(text: str) -> bool:
    return len(text) == 16 and set(text) <= set("0123456789abcdef")


def _pairs(frame: pd.DataFrame, radius: int, embeddings: np.ndarray | None, cosine: float) -> pd.DataFrame:
    """Return a row per pair: places `a` < `b`, what tells, bits and cosine.

    What tells is `BYTES`, `HASH` or `EMBEDDING`, the first that does.
    """
    hashed = np.flatnonzero(frame["phash"] != "")
    hashes = np.array([int(text, 16) for text in frame["phash"].iloc[hashed]], np.uint64)
    near, bits = near_pairs(hashes, radius)
    evidence_of: dict[tuple[int, int], dict[str, float]] = {}
    for (a, b), n in zip(hashed[near].tolist(), bits.tolist(), strict=True):
        evidence_of[a, b] = {"bits": n}
    if embeddings is not None:
        alike, cosines = similar_pairs(embeddings, cosine)
        for (a, b), value in zip(alike.tolist(), cosines.tolist(), strict=True):
            evidence_of.setdefault((a, b), {})["cosine"] = round(value, 4)
    digest = frame["sha256"].to_numpy()
    for digests in frame.index[frame["sha256"] != ""].groupby(frame["sha256"][frame["sha256"] != ""]).values():
        for other in digests[1:]:
            evidence_of.setdefault((int(digests[0]), int(other)), {})
    rows = [
        {
            "a": a,
            "b": b,
            "by": "BYTES" if digest[a] and digest[a] == digest[b] else "HASH" if "bits" in evidence else "EMBEDDING",
            "bits": evidence.get("bits"),
            "cosine": evidence.get("cosine"),
        }
        for (a, b), evidence in sorted(evidence_of.items())
    ]
    return pd.DataFrame(rows, columns=["a", "b", "by", "bits", "cosine"]).astype(
        {"a": int, "b": int, "bits": "Int64", "cosine": float}
    )


def _tables(pairs: pd.DataFrame, group: np.ndarray, owners: np.ndarray, *, has_cases: bool) -> list[ReportTable]:
    sizes = Counter(group[group >= 0].tolist())
    by = Counter(pairs["by"])
    counts = {
        "Pairs with the same bytes": by["BYTES"],
        "Pairs with near hashes": by["HASH"],
        "Pairs by embedding alone": by["EMBEDDING"],
        "Groups": len(sizes),
        "Images in groups": sum(sizes.values()),
        "Images that would go if one of each group stayed": sum(sizes.values()) - len(sizes),
        "The largest group's images": max(sizes.values(), default=0),
    }
    if has_cases:
        cases = {place: set(owners[group == place].tolist()) - {-1} for place in sizes}
        counts["Groups within one case"] = sum(len(groups_of_case) == 1 for groups_of_case in cases.values())
        counts["Groups across cases"] = sum(len(groups_of_case) > 1 for groups_of_case in cases.values())
        counts["Cases in groups across cases"] = len(
            set().union(*(groups_of_case for groups_of_case in cases.values() if len(groups_of_case) > 1))
        )
    bits = Counter(pairs["bits"].dropna().astype(int))
    how_many = Counter(sizes.values())
    return [
        ReportTable(
            name="overview",
            section="Near-duplicates",
            title="Counts",
            frame=pd.DataFrame(counts.items(), columns=["measure", "n"]),
        ),
        _counted("bits", "Bits in which the hashes of a pair differ", bits, "bits"),
        _counted("sizes", "Images of a group", how_many, "images"),
    ]


def _counted(name: str, title: str, counts: Counter[int], of: str) -> ReportTable:
    frame = pd.DataFrame(sorted(counts.items()), columns=[of, "n"])
    return ReportTable(name=name, section="Near-duplicates", title=title, frame=frame)


def _sheet(names: np.ndarray, group: np.ndarray, pairs: pd.DataFrame, source: BlobStore) -> list[ReportTable]:
    """Return pictures of the groups that are least alike, where the radius shows."""
    width = dict.fromkeys(group.tolist(), 0)
    for a, bits in zip(pairs["a"], pairs["bits"].fillna(0), strict=True):
        width[int(group[a])] = max(width[int(group[a])], int(bits))
    widest = sorted(set(group[group >= 0].tolist()), key=lambda place: (-width[place], place))[:_SHOWN]
    pictures = [
        thumbnail
        for number, place in enumerate(widest, start=1)
        for name in names[group == place][:_OF_ONE]
        if (
            thumbnail := picture(
                source, str(name), f"group {number}, up to {width[place]} bits: {str(name).rpartition('/')[2]}"
            )
        )
    ]
    note = "Of each up to three. The pictures are of people: share this page as you would share them."
    frame = pd.DataFrame(
        {"group": [names[place] for place in widest], "images": [int((group == place).sum()) for place in widest]}
    )
    return [
        ReportTable(
            name="least_alike",
            section="Pictures",
            title="Groups that are least alike",
            note=note,
            frame=frame,
            pictures=pictures,
        )
    ]
