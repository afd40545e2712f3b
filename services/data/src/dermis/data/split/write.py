"""Write a fold file, or check one against its data."""

from pathlib import Path

import pandas as pd

from dermis.data.scin.attributes import monk_bin
from dermis.data.scin.label_policy import Labels
from dermis.data.scin.source import Scin, open_scin
from dermis.data.split.groups import read_duplicates
from dermis.data.split.split import PARTS, Part, Split, as_text, audit_split, from_text, make_split, random_image_leak
from dermis.shared.errors import DermisError, Kind

DIGEST_LENGTH = 16
"""Characters of a digest that stand in a key, as for evaluations."""


def write_split(source: str, policy: str, duplicates: Path | None, *, seed: int, folds: int, fractions: str, out: Path) -> str:
    shares = _fractions(fractions)
    scin = open_scin(source)
    labels = scin.labels(policy)
    known = read_duplicates(duplicates.read_bytes()) if duplicates else None
    made = make_split(scin.tables, labels, seed=seed, fractions=shares, folds=folds, duplicates=known)
    audit_split(made, scin.tables, labels, duplicates=known)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(as_text(made), encoding="utf-8")
    groups = pd.Series([case.group for case in made.cases]).value_counts()
    leaked, tested = random_image_leak(scin.tables, test=shares["test"], seed=seed)
    return "\n".join(
        [
            _summary(made, scin, labels).to_string(),
            f"groups: {len(groups):,}, {int((groups > 1).sum()):,} of several cases, the largest of {groups.max()}",
            f"cases that train in every fold, being all that a label has: {sum(case.fold is None for case in made.cases):,}",
            f"split by image at random, {leaked:,} of {tested:,} test images ({leaked / max(tested, 1):.0%}) would have a sibling in train",
            f"digest {made.digest}",
            f"written {out}",
        ]
    )


def audit(source: str, policy: str, duplicates: Path | None, split: Path) -> str:
    made = from_text(split.read_bytes())
    scin = open_scin(source)
    audit_split(made, scin.tables, scin.labels(policy), duplicates=read_duplicates(duplicates.read_bytes()) if duplicates else None)
    return f"no leak in {len(made.cases):,} cases; digest {made.digest}"


def _fractions(text: str) -> dict[Part, float]:
    try:
        return dict(zip(PARTS, [float(share) for share in text.split(":")], strict=True))
    except ValueError as error:
        raise DermisError(
            Kind.INVALID, "SPLIT", f"fractions {text!r}: write four numbers as 0.6:0.1:0.1:0.2 ({':'.join(PARTS)})"
        ) from error


def _summary(split: Split, scin: Scin, labels: Labels) -> pd.DataFrame:
    part = scin.cases["case_id"].map(split.part_of())
    frame = pd.DataFrame({"part": part, "tone": monk_bin(scin.cases), "labelled": labels.has_label, "top": labels.frame["top"]})
    by_part = frame.groupby("part")
    tones = pd.crosstab(frame["part"][frame["labelled"]], frame["tone"][frame["labelled"]]).add_prefix("labelled ")
    counts = pd.DataFrame({"cases": by_part.size(), "labelled": by_part["labelled"].sum(), "top conditions": by_part["top"].nunique()})
    return counts.join(tones).reindex(PARTS).fillna(0).astype(int)
