"""The flow of a cohort, as STARD and CONSORT draw it: what each step leaves, and why the others go.

Bossuyt et al. 2015 (STARD), doi:10.1136/bmj.h5527, item 19.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from dermis.data.samples import Sample
from dermis.data.scin.label_policy import LabelStatus
from dermis.shared.evaluation import CohortDrop, CohortStep

STAYS = ""


def narrowed(images: Sequence[int], steps: Mapping[str, Sequence[str]]) -> tuple[CohortStep, ...]:
    """Return each step with what it leaves of N cases of `images` listed each.

    `steps`: name -> for each case why it is left out here, `STAYS` where it stays; a case leaves at its first reason.
    """
    counts = np.asarray(images, int)
    left = np.ones(len(counts), bool)
    rows = []
    for name, reasons in steps.items():
        why = np.asarray(reasons, object)
        dropped = []
        for reason in dict.fromkeys(why[left].tolist()):
            here = left & (why == reason)
            if reason != STAYS:
                dropped.append(CohortDrop(reason=reason, cases=int(here.sum()), images=int(counts[here].sum())))
        left &= why == STAYS
        dropped.sort(key=lambda drop: (-drop.cases, drop.reason))
        rows.append(
            CohortStep(name=name, cases=int(left.sum()), images=int(counts[left].sum()), dropped=tuple(dropped))
        )
    return tuple(rows)


def label_steps(unlabelled: Sequence[str]) -> dict[str, Sequence[str]]:
    """Return the steps from the tables to the labelled cases; `unlabelled`: why a case has no label, "" with one.

    Only where graders judged the photos is there a step for those that they could not use.
    """
    gradable = [why if why == LabelStatus.NOT_GRADABLE else STAYS for why in unlabelled]
    usable = {"gradable": gradable} if any(gradable) else {}
    return {"tables": [STAYS] * len(unlabelled), **usable, "labelled": unlabelled}


def cohort(
    samples: Sequence[Sample], conditions: Sequence[str], *, part_of: Mapping[str, str] | None = None, part: str = ""
) -> tuple[CohortStep, ...]:
    """Return the steps from a data set to the cases that a model of these conditions is measured on.

    `part_of`: case id -> part of a split, of which `part` is measured; None where all cases are.
    """
    steps = label_steps([sample.unlabelled for sample in samples])
    if part_of is not None:
        parts = [part_of.get(sample.id, "none") for sample in samples]
        steps["part"] = [STAYS if each == part else f"PART_{each.upper()}" for each in parts]
    names = set(conditions)
    steps["known"] = [STAYS if names & sample.target.keys() else "UNKNOWN_CONDITION" for sample in samples]
    return narrowed([len(sample.images) for sample in samples], steps)
