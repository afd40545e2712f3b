"""A split without a leak.

Connected cases stay together, strata are spread evenly, and every label has training cases.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from dermis.data.samples import NOT_GIVEN, Sample
from dermis.data.scin.label_policy import PolicyModel
from dermis.data.split.groups import Links, connected, leaks
from dermis.shared.errors import DermisError, Kind

Part = Literal["train", "validation", "calibration", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "calibration", "test")
SHOWN_LEAKS = 10


class SplitCase(PolicyModel):
    """Where a case went; `fold` None: it trains in every fold, being all that some label has."""

    case_id: str
    group: str
    part: Part
    fold: int | None


class Split(PolicyModel):
    """A fold file.

    `tables`: SHA-256 of the tables split; `duplicates`: that of the near-duplicate groups used, None if none were.
    """

    format: Literal["dermis.split/1"] = "dermis.split/1"
    seed: int
    policy: str
    fractions: dict[Part, float]
    folds: Annotated[int, Field(ge=2)]
    tables: dict[str, str]
    duplicates: str | None
    cases: tuple[SplitCase, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, the name of this split in a training record."""
        return hashlib.sha256(
            json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":")).encode()
        ).hexdigest()

    def part_of(self) -> dict[str, Part]:
        return {case.case_id: case.part for case in self.cases}


def as_text(split: Split) -> str:
    """Return the fold file: JSON with its digest, a line per case."""
    document = split.model_dump(mode="json")
    cases = ",\n".join("  " + json.dumps(case) for case in document.pop("cases"))
    head = json.dumps({**document, "digest": split.digest}, indent=1)
    return f'{head[:-2]},\n "cases": [\n{cases}\n ]\n}}\n'


def from_text(text: str | bytes) -> Split:
    """Read a fold file; INVALID if it is none, or if it was changed after it was made."""
    try:
        document = dict(json.loads(text))
        digest = document.pop("digest")
        split = Split.model_validate(document)
    except (ValueError, KeyError, TypeError) as error:
        raise DermisError(Kind.INVALID, "SPLIT", f"this is no fold file of dermis data split: {error}") from error
    if split.digest != digest:
        raise DermisError(
            Kind.INVALID, "SPLIT", f"the fold file was changed: its digest is {split.digest}, not {digest}; split again"
        )
    return split


def make_split(
    samples: Sequence[Sample],
    *,
    tables: Mapping[str, str],
    policy: str,
    seed: int,
    fractions: Mapping[Part, float],
    folds: int = 5,
    duplicates: str | None = None,
) -> Split:
    """Split all samples, the unlabelled too, into parts and, independently, folds.

    The order of samples does not matter.

    Strata: the top condition, and the tone (Monk's bin where the set has it, else the estimated Fitzpatrick type), the
    unlabelled apart.
    `tables`, `policy` and `duplicates` (a digest) name what the samples were read from.
    """
    return Split(
        seed=seed,
        policy=policy,
        fractions=dict(fractions),
        folds=folds,
        tables=dict(tables),
        duplicates=duplicates,
        cases=assign(
            [sample.id for sample in samples],
            _links(samples),
            strata=_strata(samples),
            holds=[set(sample.target) for sample in samples],
            seed=seed,
            fractions=fractions,
            folds=folds,
        ),
    )


def _links(samples: Sequence[Sample]) -> Links:
    """Return what samples have in common: their group and their images."""
    return [(sample.id, thing) for sample in samples for thing in (*sample.images, f"group {sample.group}")]


def _strata(samples: Sequence[Sample]) -> np.ndarray:
    """Return [cases, strata] of 0 and 1."""
    scales = ("monk_bin", "fitzpatrick_estimated")
    scale = next((name for name in scales if {sample.slices[name] for sample in samples} != {NOT_GIVEN}), None)
    tops = [sample.top or "(unlabelled)" for sample in samples]
    tones = [f"{sample.slices[scale] if scale else NOT_GIVEN}, label: {sample.top is not None}" for sample in samples]
    columns = [[value == name for value in values] for values in (tops, tones) for name in sorted(set(values))]
    return np.array(columns, float).T


def assign(
    ids: Sequence[str],
    links: Links,
    *,
    strata: np.ndarray,
    holds: Sequence[set[str]],
    seed: int,
    fractions: Mapping[Part, float],
    folds: int,
) -> tuple[SplitCase, ...]:
    """Give each case its group, part and fold.

    `strata`: [cases, strata] of 0 and 1; `holds`: the labels of each case.
    """
    if (
        abs(sum(fractions.values()) - 1) > 1e-9
        or set(fractions) != set(PARTS)
        or min(fractions.values()) < 0
        or not fractions["train"]
    ):
        raise DermisError(
            Kind.INVALID, "SPLIT", f"fractions {dict(fractions)} have to name {', '.join(PARTS)} and add up to 1"
        )
    group_of = connected(ids, links)
    members: dict[str, list[int]] = {}
    for place, case_id in enumerate(ids):
        members.setdefault(group_of[case_id], []).append(place)
    groups = sorted(members)
    if len(groups) < max(folds, len(PARTS)):
        raise DermisError(
            Kind.INVALID, "SPLIT", f"{len(groups)} groups of connected cases can't make {folds} folds: ask for fewer"
        )
    table = np.array([np.sum(strata[members[group]], axis=0) for group in groups])
    labels_of = [set().union(*(holds[place] for place in members[group])) for group in groups]
    sizes = [len(members[group]) for group in groups]
    parts = _spread(table, list(fractions.values()), np.random.default_rng(seed))
    _fill_train(parts, labels_of, sizes=sizes)
    numbers = _spread(table, [1 / folds] * folds, np.random.default_rng(seed + 1))
    pinned = _only_holders(numbers, labels_of, sizes=sizes)
    place_of = {group: place for place, group in enumerate(groups)}
    rows = []
    for case_id in sorted(group_of):
        place = place_of[group_of[case_id]]
        fold = None if place in pinned else int(numbers[place])
        rows.append(SplitCase(case_id=case_id, group=group_of[case_id], part=list(fractions)[parts[place]], fold=fold))
    return tuple(rows)


def digest_of(duplicates: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(sorted(duplicates.items())).encode()).hexdigest()


def _spread(table: np.ndarray, fractions: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """Assign groups to parts so that each part gets its fraction of every stratum.

    By iterative stratification (Sechidis et al. 2011).

    `table`: [groups, strata] cases. The rarest stratum goes first, its largest groups first, each to the part that
    lacks it most; of equals to the part that lacks most cases, of equals by chance. Returns the part of each group.
    """
    share = np.array(fractions)
    wanted = np.outer(share, table.sum(0))
    wanted_cases = share * table.sum()
    part = np.full(len(table), -1)
    tie_break = rng.permutation(len(table))
    while (part < 0).any():
        left = table[part < 0].sum(0)
        rarest = int(np.argmin(np.where(left > 0, left, np.inf)))
        holders = np.flatnonzero((part < 0) & (table[:, rarest] > 0))
        for group in sorted(holders, key=lambda group: (-table[group].sum(), tie_break[group])):
            need = np.round(wanted[:, rarest], 9), np.round(wanted_cases, 9), rng.permutation(len(share))
            best = int(np.lexsort(need[::-1])[-1])
            part[group] = best
            wanted[best] -= table[group]
            wanted_cases[best] -= table[group].sum()
    return part


def _fill_train(parts: np.ndarray, holds: Sequence[set[str]], *, sizes: Sequence[int]) -> None:
    """Move the smallest group of each label that train lacks into train, which is part 0."""
    for _, groups in _holders(holds):
        if not any(parts[group] == 0 for group in groups):
            parts[min(groups, key=lambda group: (sizes[group], group))] = 0


def _only_holders(folds: np.ndarray, holds: Sequence[set[str]], *, sizes: Sequence[int]) -> set[int]:
    """Return groups that have to train in every fold.

    Without them a label would have no training case when its only fold is left out.
    """
    pinned: set[int] = set()
    for _, groups in _holders(holds):
        if len({folds[group] for group in groups}) == 1 and not pinned & set(groups):
            pinned.add(min(groups, key=lambda group: (sizes[group], group)))
    return pinned


def _holders(holds: Sequence[set[str]]) -> list[tuple[str, list[int]]]:
    by_label: dict[str, list[int]] = {}
    for group, names in enumerate(holds):
        for label in names:
            by_label.setdefault(label, []).append(group)
    return sorted(by_label.items(), key=lambda item: (len(item[1]), item[0]))


def audit_split(
    split: Split, samples: Sequence[Sample], *, tables: Mapping[str, str], policy: str, duplicates: str | None = None
) -> None:
    """Raise INVALID unless `split` is of these samples and nothing leaks: every training run calls this first.

    Checked: made from these tables and under this policy, every case in it once, no image and no near-duplicate group
    in two parts or two folds, no label without a training case. A split that was made with near-duplicate groups can't
    be checked without their digest.
    """
    holds = {sample.id: set(sample.target) for sample in samples}
    links = _links(samples)
    faults = []
    if split.duplicates and split.duplicates != duplicates:
        which = (
            "that were not given: give their file"
            if duplicates is None
            else "other than these: give its own, or split again"
        )
        faults.append(f"it was made with near-duplicate groups {which}")
    if split.tables != dict(tables):
        faults.append("it was made from other tables: split these")
    if split.policy != policy:
        faults.append(f"it was made under the label policy {split.policy}, not {policy}: split again")
    if sorted(case.case_id for case in split.cases) != sorted(holds):
        faults.append("it does not hold every case of the tables once: split again")
    if not faults:
        faults = [*_leak_faults(split, links), *_label_faults(split, holds)]
    if faults:
        raise DermisError(Kind.INVALID, "SPLIT_LEAK", "the split can't be used: " + "; ".join(faults))


def _leak_faults(split: Split, links: Links) -> list[str]:
    faults = []
    for kind, place_of in (("part", split.part_of()), ("fold", {case.case_id: str(case.fold) for case in split.cases})):
        leaked = leaks(place_of, links)
        faults += [
            f"{thing} is in {kind} {place_of[one]} (case {one}) and in {place_of[other]} (case {other})"
            for thing, one, other in leaked[:SHOWN_LEAKS]
        ]
        faults += (
            [f"... and {len(leaked) - SHOWN_LEAKS} more leaks between {kind}s"] if len(leaked) > SHOWN_LEAKS else []
        )
    return faults


def _label_faults(split: Split, holds: Mapping[str, set[str]]) -> list[str]:
    part_of = split.part_of()
    trained = {name for case_id, names in holds.items() if part_of[case_id] == "train" for name in names}
    return [f"label {name!r} has no case in train" for name in sorted(set().union(*holds.values()) - trained)]


def random_image_leak(samples: Sequence[Sample], *, test: float, seed: int) -> tuple[int, int]:
    """Return (leaked, all) test images of a split by image at random: leaked if its case has an image in train.

    This is what a split by image does; it is here to be stated, never to be used.
    """
    keys = sorted({(sample.group, key) for sample in samples for key in sample.images})
    in_test = np.random.default_rng(seed).random(len(keys)) < test
    trained = {group for (group, _), tested in zip(keys, in_test, strict=True) if not tested}
    tested_groups = [group for (group, _), tested in zip(keys, in_test, strict=True) if tested]
    return sum(group in trained for group in tested_groups), len(tested_groups)
