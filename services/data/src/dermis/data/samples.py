"""What a model learns from and is measured on: cases of any data set, in one form."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dermis.shared.vocabulary import SelfReport

NOT_GIVEN = "NOT_GIVEN"
SLICES = (
    "monk_bin",
    "fitzpatrick_self",
    "fitzpatrick_estimated",
    "age_group",
    "sex_at_birth",
    "race_ethnicity",
    "images",
    "answers",
)
"""What every evaluation is cut by.

A data set that does not know one says `NOT_GIVEN`. Race audits, it never predicts.
"""

SOURCE = "source"
"""The slice of several data sets as one: the name of each case's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One case.

    `id` is unique in its data set. Samples of one `group` stay together in a split and are drawn together by a
    bootstrap. `images`: 0-3 keys in the data set's store. `target`: reference differential, condition -> weight, adds
    up to 1; empty where unlabelled, and then `top` is None. `graders`: each grader's own differential, where they can
    be told apart. `slices`: a value for each of `SLICES`; no model reads them. `unlabelled`: why it has no target, ""
    with one.
    """

    id: str
    group: str
    images: tuple[str, ...]
    report: SelfReport
    target: Mapping[str, float]
    top: str | None
    slices: Mapping[str, str]
    graders: tuple[Mapping[str, float], ...] = field(default=())
    unlabelled: str = ""
