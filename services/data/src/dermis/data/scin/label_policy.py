"""What the label of a case is: an explicit, versioned policy and its application."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import accumulate, pairwise
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator

from dermis.data.scin.columns import NO_PATHOLOGY, YES
from dermis.data.scin.reference_differential import GraderList, grader_lists, weigh

LOOKS_HEALTHY = "LOOKS_HEALTHY"
_EQUAL = 1e-9


class PolicyModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CoarseGroup(PolicyModel):
    """A coarse group: conditions whose name contains one of `contains`, whatever the case of its letters."""

    name: Annotated[str, Field(min_length=1)]
    contains: Annotated[tuple[str, ...], Field(min_length=1)]


class LabelPolicy(PolicyModel):
    """How a reference differential becomes the label of a case.

    `weights`: SCIN's own, rounded to 2 decimals, or recomputed from the dermatologists' lists (the published where they
    don't follow).
    `tie_rule`: of conditions with equal weight the top one is that of the highest summed confidence, then the one
    listed first.
    `min_support`: a condition that fewer cases name moves into the first of `groups` that takes it, a group that still
    fewer cases name (or a condition that none takes) into `other`; without `other` it is dropped and the rest of the
    differential scaled to 1.
    `healthy`: cases without a differential that get the label LOOKS_HEALTHY: by the contributor's own word, a
    dermatologist's ("no discernible pathology"), or either. `drop`: names that are no condition.
    """

    format: Literal["dermis.label-policy/1"] = "dermis.label-policy/1"
    name: str
    version: Annotated[int, Field(ge=1)]
    weights: Literal["PUBLISHED", "RECOMPUTED"] = "PUBLISHED"
    tie_rule: Literal["CONFIDENCE_THEN_LISTED"] = "CONFIDENCE_THEN_LISTED"
    min_support: Annotated[int, Field(ge=1)] = 1
    groups: tuple[CoarseGroup, ...] = ()
    other: str | None = None
    healthy: Literal["NONE", "SELF_REPORTED", "NO_PATHOLOGY", "EITHER"] = "NONE"
    drop: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _names_differ(self) -> "LabelPolicy":
        names = [group.name for group in self.groups] + [name for name in (self.other, LOOKS_HEALTHY) if name]
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise ValueError(f"{twice[0]!r} names two groups: give each its own name")
        return self

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON."""
        return hashlib.sha256(
            json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":")).encode()
        ).hexdigest()

    @property
    def reference(self) -> str:
        return f"{self.name}/{self.version} sha256:{self.digest}"


class LabelStatus(StrEnum):
    """Whether a case has a label, and if not, why."""

    LABELLED = "LABELLED"
    HEALTHY = "HEALTHY"
    NO_PATHOLOGY = "NO_PATHOLOGY"
    GRADABLE_BUT_UNLABELLED = "GRADABLE_BUT_UNLABELLED"
    NOT_GRADABLE = "NOT_GRADABLE"
    DROPPED = "DROPPED"


HAS_LABEL = (LabelStatus.LABELLED, LabelStatus.HEALTHY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """The labels of all cases under a policy.

    `frame`, a row per case in the order given: `case_id`, `status`, `top` (str, NaN without a label), `tied` (bool: the
    tie rule decided), `differential` (dict label -> weight, empty without a label), `lists` (the dermatologists' own
    lists, None if they can't be told apart).
    `conditions`, a row per condition named: `condition`, `cases`, `top_cases`, `weight`, `label` (None: dropped).
    `labels`: names in use.
    """

    policy: LabelPolicy
    frame: pd.DataFrame
    conditions: pd.DataFrame
    labels: tuple[str, ...]

    @property
    def has_label(self) -> pd.Series:
        return self.frame["status"].isin(HAS_LABEL)


def apply_policy(policy: LabelPolicy, cases: pd.DataFrame) -> Labels:
    """Label the cases of `read_tables`; no case is lost, those without a label say why."""
    spelling = _spelling(name for names in cases["weights"] for name in names)
    dropped = {name.casefold() for name in policy.drop}
    ways = [
        grader_lists(
            case.names, case.confidences, graders=case.gradable.count(YES) or len(case.gradable), published=case.weights
        )
        for case in cases.itertuples()
    ]
    differentials = []
    for way, case in zip(ways, cases.itertuples(), strict=True):
        weights = weigh(way[0]) if way and policy.weights == "RECOMPUTED" else case.weights
        differentials.append(
            _merged(weights, {name: spelling[name] for name in weights if name.casefold() not in dropped})
        )
    label_of = _labels_of_conditions(policy, differentials)
    rows = []
    tops: Counter[str | None] = Counter()
    for differential, way, case in zip(differentials, ways, cases.itertuples(), strict=True):
        named = _merged(differential, label_of)
        listed = [
            (spelling.get(name, name), confidence)
            for name, confidence in zip(case.names, case.confidences, strict=True)
        ]
        if differential:
            tops[_top(differential, listed)[0]] += 1
        status = _status(policy, case, labelled=bool(named))
        if status == LabelStatus.HEALTHY:
            named, listed = {LOOKS_HEALTHY: 1.0}, []
        top, tied = _top(named, [(label_of[name], confidence) for name, confidence in listed if name in label_of])
        rows.append((case.case_id, status, top, tied, named, _respelled(way[0], spelling) if len(way) == 1 else None))
    frame = pd.DataFrame(rows, columns=["case_id", "status", "top", "tied", "differential", "lists"])
    frame["top"] = frame["top"].astype("str")
    used = sorted({name for named in frame["differential"] for name in named})
    return Labels(policy=policy, frame=frame, conditions=_conditions(differentials, tops, label_of), labels=tuple(used))


def apply_to_all(policy: LabelPolicy, sources: Sequence[pd.DataFrame]) -> list[Labels]:
    """Label the cases of several sources by one space of labels: support and spelling count over all of them.

    A condition of few cases in each source, and of enough in both, has one label in both.
    """
    every = apply_policy(policy, pd.concat(sources, ignore_index=True))
    ends = list(accumulate(map(len, sources), initial=0))
    return [replace(every, frame=every.frame.iloc[start:end].reset_index(drop=True)) for start, end in pairwise(ends)]


def _spelling(names: Iterable[str]) -> dict[str, str]:
    """Map each name to one spelling.

    Names that differ in the case of letters only are one condition, spelled as most often.
    """
    count = Counter(names)
    best: dict[str, str] = {}
    for name in sorted(count, key=lambda name: (-count[name], name)):
        best.setdefault(name.casefold(), name)
    return {name: best[name.casefold()] for name in count}


def _respelled(way: tuple[GraderList, ...], spelling: Mapping[str, str]) -> tuple[GraderList, ...]:
    return tuple(tuple((spelling.get(name, name), confidence) for name, confidence in graded) for graded in way)


def _merged(weights: Mapping[str, float], target: Mapping[str, str]) -> dict[str, float]:
    """Add up the weights by target and scale them to 1; what has no target falls away."""
    total: dict[str, float] = {}
    for name, weight in weights.items():
        if name in target:
            total[target[name]] = total.get(target[name], 0.0) + weight
    whole = sum(total.values())
    return {name: weight / whole for name, weight in total.items()}


def _labels_of_conditions(policy: LabelPolicy, differentials: Sequence[Mapping[str, float]]) -> dict[str, str]:
    """Map each condition to its label. Support counts the cases that name it: no merging elsewhere can lower it."""
    label_of: dict[str, str | None] = {name: name for differential in differentials for name in differential}
    for wider in (lambda name: coarse_group(policy, name) or name, lambda _: policy.other):
        support = Counter(
            label for differential in differentials for label in {label_of[name] for name in differential}
        )
        label_of = {
            name: label if support[label] >= policy.min_support else wider(name) for name, label in label_of.items()
        }
    return {name: label for name, label in label_of.items() if label is not None}


def coarse_group(policy: LabelPolicy, name: str) -> str | None:
    """Return the first coarse group that takes a condition, None where none does."""
    folded = name.casefold()
    return next(
        (group.name for group in policy.groups if any(part.casefold() in folded for part in group.contains)), None
    )


def _top(weights: Mapping[str, float], listed: Sequence[tuple[str, int]]) -> tuple[str | None, bool]:
    if not weights:
        return None, False
    most = max(weights.values())
    tied = [name for name, weight in weights.items() if weight >= most - _EQUAL]
    place = {name: (-sum(c for other, c in listed if other == name), _first(listed, name), name) for name in tied}
    return min(tied, key=place.__getitem__), len(tied) > 1


def _first(listed: Sequence[tuple[str, int]], name: str) -> int:
    return next((place for place, (other, _) in enumerate(listed) if other == name), len(listed))


def _status(policy: LabelPolicy, case: Any, *, labelled: bool) -> LabelStatus:
    if labelled:
        return LabelStatus.LABELLED
    says_contributor = case.related_category == LOOKS_HEALTHY and policy.healthy in ("SELF_REPORTED", "EITHER")
    says_grader = NO_PATHOLOGY in case.gradable and policy.healthy in ("NO_PATHOLOGY", "EITHER")
    if not case.weights and (says_contributor or says_grader):
        return LabelStatus.HEALTHY
    if case.weights:
        return LabelStatus.DROPPED
    if YES in case.gradable:
        return LabelStatus.GRADABLE_BUT_UNLABELLED
    return LabelStatus.NO_PATHOLOGY if NO_PATHOLOGY in case.gradable else LabelStatus.NOT_GRADABLE


def _conditions(
    differentials: Sequence[Mapping[str, float]], tops: Mapping[str | None, int], label_of: Mapping[str, str]
) -> pd.DataFrame:
    named = Counter(name for differential in differentials for name in differential)
    weight: Counter[str] = Counter()
    for differential in differentials:
        weight.update(differential)
    order = sorted(named, key=lambda name: (-named[name], name))
    return pd.DataFrame(
        {
            "condition": order,
            "cases": [named[name] for name in order],
            "top_cases": [tops.get(name, 0) for name in order],
            "weight": [round(weight[name], 2) for name in order],
            "label": [label_of.get(name) for name in order],
        }
    )
