"""What the absence of an answer gives away: columns that are missing together, and absence that predicts a label.

A form that was filled for some people only leaves the same cells empty in the same rows. A model that reads absence as
a value then learns who had a form, not what the skin has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Present = Mapping[str, npt.NDArray[np.bool_]]
"""Column -> bool[N]: whether each row has a value."""
FEWEST_ABSENT = 20
SAME = 0.99
"""Share of the rows that lack either column which lack both, from which on two columns count as missing together."""
STRONG = 0.2
"""Cramer's V from which on absence is said to predict the label."""
CERTAIN = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class AbsenceSign:
    """A column whose absence predicts the label: `association` is Cramer's V, `p` Holm-corrected over the columns.

    `label`: the one whose share differs most, `among_absent` of the rows without a value and `among_present` of the
    rest.
    """

    column: str
    absent: int
    n: int
    association: float
    p: float
    label: str
    among_absent: float
    among_present: float

    def __str__(self) -> str:
        return (
            f"absence of {self.column} ({self.absent:,} of {self.n:,}) predicts the label "
            f"(Cramer's V {self.association:.2f}): {self.label} is {self.among_absent:.0%} of the cases without it "
            f"and {self.among_present:.0%} of those with it; "
            "leave it out of the answers, and read no slice by it as one of people"
        )


def missing_together(present: Present) -> tuple[tuple[str, ...], ...]:
    """Return groups of two and more columns that are absent in the same rows, in the order of the columns.

    A column counts with at least `FEWEST_ABSENT` rows without a value, and as many with one.
    """
    absent = {name: ~np.asarray(values, bool) for name, values in present.items()}
    enough = [n for n, rows in absent.items() if min(rows.sum(), (~rows).sum()) >= FEWEST_ABSENT]
    groups: list[list[str]] = []
    for name in enough:
        for group in groups:
            first = absent[group[0]]
            if (first & absent[name]).sum() >= SAME * (first | absent[name]).sum():
                group.append(name)
                break
        else:
            groups.append([name])
    return tuple(tuple(group) for group in groups if len(group) > 1)


def absence_signs(present: Present, labels: Sequence[str | None]) -> tuple[AbsenceSign, ...]:
    """Return the columns whose absence predicts the label, the strongest first; rows without a label do not count.

    By the chi-square test of independence, at p < `CERTAIN` after Holm 1979, and Cramer's V >= `STRONG`.
    """
    labelled = np.array([label is not None for label in labels], bool)
    names, label_of = np.unique([label for label in labels if label is not None], return_inverse=True)
    from scipy.stats import chi2_contingency  # half of the time that commands which don't look at answers start for

    tested: list[tuple[str, npt.NDArray[np.bool_], Any, float]] = []
    for column, values in present.items():
        absent = ~np.asarray(values, bool)[labelled]
        if min(absent.sum(), (~absent).sum()) < FEWEST_ABSENT or len(names) < 2:
            continue
        table = np.stack([np.bincount(label_of[rows], minlength=len(names)) for rows in (absent, ~absent)])
        statistic = chi2_contingency(table, correction=False)
        tested.append((column, absent, table, float(statistic.pvalue)))
    signs, least = [], 0.0
    for rank, (column, absent, table, p) in enumerate(sorted(tested, key=lambda row: row[3])):
        least = max(least, min(1.0, p * (len(tested) - rank)))
        strength = float(np.sqrt(chi2_contingency(table, correction=False).statistic / table.sum()))
        if least >= CERTAIN or strength < STRONG:
            continue
        shares = table / table.sum(1, keepdims=True)
        most = int(np.abs(shares[0] - shares[1]).argmax())
        signs.append(
            AbsenceSign(
                column=column,
                absent=int(absent.sum()),
                n=len(absent),
                association=round(strength, 4),
                p=least,
                label=str(names[most]),
                among_absent=float(shares[0, most]),
                among_present=float(shares[1, most]),
            )
        )
    return tuple(sorted(signs, key=lambda sign: -sign.association))
