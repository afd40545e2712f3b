"""Write a fold file, or check one against its data."""

from pathlib import Path

import pandas as pd

from dermis.data.dataset import Dataset
from dermis.data.split.split import PARTS, Part, Split, as_text, from_text, random_image_leak
from dermis.shared.errors import DermisError, Kind


def write_split(dataset: Dataset, *, seed: int, folds: int, fractions: str, out: Path) -> str:
    """Split a data set, audit the split and write its fold file; return what to print."""
    shares = _fractions(fractions)
    split = dataset.split(seed=seed, fractions=shares, folds=folds)
    dataset.audit(split)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(as_text(split), encoding="utf-8")
    groups = pd.Series([case.group for case in split.cases]).value_counts()
    leaked, tested = random_image_leak(dataset.samples, test=shares["test"], seed=seed)
    return "\n".join(
        [
            _summary(split, dataset).to_string(),
            f"groups: {len(groups):,}, {int((groups > 1).sum()):,} of several cases, the largest of {groups.max()}",
            (
                "cases that train in every fold, being all that a label has: "
                f"{sum(case.fold is None for case in split.cases):,}"
            ),
            (
                f"split by image at random, {leaked:,} of {tested:,} test images ({leaked / max(tested, 1):.0%}) "
                "would have a sibling in train"
            ),
            f"digest {split.digest}",
            f"written {out}",
        ]
    )


def audit_file(dataset: Dataset, path: Path) -> str:
    """Audit a fold file against its data set; return what to print, or raise INVALID."""
    split = from_text(path.read_bytes())
    dataset.audit(split)
    return f"no leak in {len(split.cases):,} cases; digest {split.digest}"


def _fractions(text: str) -> dict[Part, float]:
    try:
        return dict(zip(PARTS, [float(share) for share in text.split(":")], strict=True))
    except ValueError as error:
        raise DermisError(
            Kind.INVALID, "SPLIT", f"fractions {text!r}: write four numbers as 0.6:0.1:0.1:0.2 ({':'.join(PARTS)})"
        ) from error


def _summary(split: Split, dataset: Dataset) -> pd.DataFrame:
    part_of = split.part_of()
    rows = [(part_of[s.id], s.slices["monk_bin"], s.top is not None, s.top) for s in dataset.samples]
    frame = pd.DataFrame(rows, columns=["part", "tone", "labelled", "top"])
    by_part = frame.groupby("part")
    tones = pd.crosstab(frame["part"][frame["labelled"]], frame["tone"][frame["labelled"]]).add_prefix("labelled ")
    counts = pd.DataFrame(
        {"cases": by_part.size(), "labelled": by_part["labelled"].sum(), "top conditions": by_part["top"].nunique()}
    )
    return counts.join(tones).reindex(PARTS).fillna(0).astype(int)
