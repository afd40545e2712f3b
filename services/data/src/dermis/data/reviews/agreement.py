"""How far readers agree with each other, and with the model, by skin type and tone; nobody is named."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import get_args

import numpy as np
import pandas as pd

from dermis.data.report.table import ReportTable
from dermis.data.reviews.cases import ReviewedCase, estimated_tone, estimated_type
from dermis.data.samples import NOT_GIVEN
from dermis.data.scin.attributes import monk_bin_of
from dermis.data.scin.label_policy import LabelPolicy, coarse_group
from dermis.data.statistics import Kappa, cohen_kappa, fleiss_kappa, share_interval
from dermis.shared.case import Outcome
from dermis.shared.manifest import FitzpatrickGroup
from dermis.shared.reviews import CaseReading
from dermis.worker.core.differential import FITZPATRICK_GROUPS

N_MIN = 30
"""Cases below which a row is grey: its interval says little."""
LEAST_SHARED = 10
"""Cases that two readers have both read, below which their pair has no row of its own."""
EVERYONE = "All readers"
TOP_LABEL, GRADABLE = "First condition", "Gradable"
TOP_1, IN_SET = "Model's first condition", "In the model's set"
ALL = "All cases"
_GROUPS: tuple[str, ...] = get_args(FitzpatrickGroup)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadCase:
    """A case that the model answered: for each reading whether its first condition, and its set, hold the reader's."""

    hits: Sequence[tuple[bool, bool]]
    set_size: int


def top_label(reading: CaseReading) -> str | None:
    """Return the condition of the highest confidence, of equals the one listed first; None where none is named."""
    return max(reading.conditions, key=lambda each: each.confidence).label if reading.conditions else None


def reader_agreement(cases: Sequence[ReviewedCase]) -> pd.DataFrame:
    """Return kappa of all first reads (Fleiss) and of each pair of readers (Cohen), on cases that both rated.

    Columns `readers`, `on`, `method`, `n`, `observed`, `estimate`, `low`, `high`. Readers are letters, who read most
    first. The first condition is compared where both name one.
    """
    ratings: dict[str, Callable[[CaseReading], str | None]] = {
        TOP_LABEL: top_label,
        GRADABLE: lambda reading: str(reading.gradable),
    }
    rows = []
    for on, rating in ratings.items():
        by_case = [
            {review.reader: value for review in case.reviews if (value := rating(review)) is not None} for case in cases
        ]
        several = [list(values.values()) for values in by_case if len(values) > 1]
        if several:
            rows.append(_kappa_row(EVERYONE, on, "Fleiss", fleiss_kappa(several)))
        for pair, (one, other) in _pairs(cases):
            both = [(values[one], values[other]) for values in by_case if one in values and other in values]
            if len(both) >= LEAST_SHARED:
                rows.append(_kappa_row(pair, on, "Cohen", cohen_kappa(*map(list, zip(*both, strict=True)))))
    return pd.DataFrame(rows, columns=["readers", "on", "method", "n", "observed", "estimate", "low", "high"])


def _pairs(cases: Sequence[ReviewedCase]) -> Iterator[tuple[str, tuple[str, str]]]:
    count = Counter(review.reader for case in cases for review in case.reviews)
    order = sorted(count, key=lambda reader: (-count[reader], reader))
    letters = {reader: _letters(place) for place, reader in enumerate(order)}
    return ((f"{letters[one]} and {letters[other]}", (one, other)) for one, other in combinations(order, 2))


def _letters(place: int) -> str:
    """Return A to Z, then AA, AB, ..."""
    return (_letters(place // 26 - 1) if place >= 26 else "") + chr(ord("A") + place % 26)


def _kappa_row(readers: str, on: str, method: str, kappa: Kappa) -> dict[str, object]:
    return {
        "readers": readers,
        "on": on,
        "method": method,
        "n": kappa.n,
        "observed": kappa.observed,
        "estimate": kappa.kappa,
        "low": kappa.low,
        "high": kappa.high,
    }


def scales(case: ReviewedCase) -> dict[str, str]:
    """Return a case's groups by scale; each scale stands for itself, none is converted into another."""
    reported = case.received.self_report.fitzpatrick_skin_type
    readings = case.reviews or ((case.adjudication,) if case.adjudication else ())
    tone, model = estimated_tone(readings), case.outcome.model if case.outcome else None
    return {
        "Fitzpatrick, self-reported": FITZPATRICK_GROUPS.get(reported) or NOT_GIVEN,
        "Fitzpatrick, estimated by readers": FITZPATRICK_GROUPS.get(estimated_type(readings)) or NOT_GIVEN,
        "Monk skin tone, estimated by readers": NOT_GIVEN if tone is None else monk_bin_of(tone),
        "Model version": f"{model.name}/{model.version}" if model else NOT_GIVEN,
    }


def model_agreement(cases: Sequence[ReviewedCase], policy: LabelPolicy) -> pd.DataFrame:
    """Return how often the model's answer is what its readers said, with intervals by case.

    Columns `by` (reader or adjudicator), `scale`, `value`, `n` (cases), `readings`, `set_size` (mean number of
    conditions in the model's set), `measure`, `estimate`, `low`, `high`. A case counts by the share of its readings;
    those without a condition, and cases that the model rejected, don't count. A reader's condition that the model has
    another name for is sought by the policy's coarse groups.
    """
    rows = []
    readings_of: Mapping[str, Callable[[ReviewedCase], Sequence[CaseReading]]] = {
        "Readers": lambda case: case.reviews,
        "Adjudicator": lambda case: (case.adjudication,) if case.adjudication else (),
    }
    for by, readings in readings_of.items():
        judged = [
            (scales(case), ReadCase(hits=hits, set_size=_set_size(case)))
            for case in cases
            if (hits := _hits(case, readings(case), policy))
        ]
        if not judged:
            continue
        rows += _rows(by, ALL, ALL, [each for _, each in judged])
        for scale in judged[0][0]:
            for value in sorted({groups[scale] for groups, _ in judged}, key=_place):
                rows += _rows(by, scale, value, [each for groups, each in judged if groups[scale] == value])
    columns = ["by", "scale", "value", "n", "readings", "set_size", "measure", "estimate", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def _place(value: str) -> tuple[bool, int, str]:
    """Sort groups as people count, what is not given last."""
    return value == NOT_GIVEN, _GROUPS.index(value) if value in _GROUPS else 0, value


def _hits(case: ReviewedCase, readings: Sequence[CaseReading], policy: LabelPolicy) -> list[tuple[bool, bool]]:
    outcome = case.outcome
    if outcome is None or not outcome.differential:
        return []
    labels = [label for reading in readings if (label := top_label(reading)) is not None]
    members = {each.name for each in outcome.differential if each.in_prediction_set}
    names = [condition_of(label, outcome, policy) for label in labels]
    return [(name == outcome.differential[0].name, name in members) for name in names]


def condition_of(label: str, outcome: Outcome, policy: LabelPolicy) -> str | None:
    """Return what the model calls a reader's condition: its name, its coarse group, or the policy's rest; else None."""
    named = {each.name.casefold(): each.name for each in outcome.differential}
    candidates = (label, coarse_group(policy, label), policy.other)
    return next((named[name.casefold()] for name in candidates if name and name.casefold() in named), None)


def _set_size(case: ReviewedCase) -> int:
    return sum(each.in_prediction_set for each in case.outcome.differential) if case.outcome else 0


def _rows(by: str, scale: str, value: str, judged: Sequence[ReadCase]) -> list[dict[str, object]]:
    rows = []
    for place, measure in enumerate((TOP_1, IN_SET)):
        shares = np.array([np.mean([hit[place] for hit in case.hits]) for case in judged])
        estimate, low, high = share_interval(shares)
        counts: dict[str, object] = {"n": len(judged), "readings": sum(len(case.hits) for case in judged)}
        counts["set_size"] = float(np.mean([case.set_size for case in judged]))
        about = {"by": by, "scale": scale, "value": value, **counts, "measure": measure}
        rows.append(about | {"estimate": estimate, "low": low, "high": high})
    return rows


def agreement_tables(cases: Sequence[ReviewedCase], policy: LabelPolicy) -> list[ReportTable]:
    """Return the tables of the report; one without a row is left out."""
    readers, model = reader_agreement(cases), model_agreement(cases, policy)
    grey = f"Grey: fewer than {N_MIN} cases. Intervals: bootstrap over cases, 1,000 resamples."
    tables = [
        ReportTable(
            name=f"readers_{name}",
            section="Readers",
            title=f"{on}: agreement beyond chance (kappa)",
            frame=readers[readers["on"] == on].drop(columns="on").reset_index(drop=True),
            note=f"First reads only, each blind. {grey}",
            chart="points",
            axes=("kappa with its 95 % interval", ""),
            n_min=N_MIN,
        )
        for name, on in (("condition", TOP_LABEL), ("gradable", GRADABLE))
    ]
    for (by, scale), frame in model.groupby(["by", "scale"], sort=False):
        tables.append(
            ReportTable(
                name=f"model_{by}_{scale}".lower().replace(",", "").replace(" ", "_"),
                section=f"Model and {str(by).lower()}",
                title=str(scale),
                frame=frame.drop(columns=["by", "scale"]).reset_index(drop=True),
                note=f"Share of the readings of a case, mean over cases. {grey}",
                chart="panels",
                n_min=N_MIN,
            )
        )
    return [table for table in tables if len(table.frame)]
