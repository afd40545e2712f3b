"""What cases are counted by: for whom, where on the body, how it feels.

An answer that was not given is a row of its own.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dermis.data.scin.columns import ANY_OF, FITZPATRICK, MONK, ONE_OF
from dermis.data.statistics import wilson
from dermis.shared.vocabulary import MonkSkinTone

NO_RESPONSE = "No response"
SEVERAL = "Several answers may be given: shares add up to more than 1."
Answers = Sequence[tuple[str, ...] | None]
"""Per case the values given, or None for no response."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """A thing that cases are counted by.

    `values` in the order shown, those met beside them after, most frequent first.
    """

    title: str
    read: Callable[[pd.DataFrame], Answers]
    values: tuple[str, ...] = ()
    note: str = ""


def _single(column: str) -> Callable[[pd.DataFrame], Answers]:
    return lambda cases: [None if pd.isna(value) else (str(value),) for value in cases[column]]


def _first_efst(cases: pd.DataFrame) -> Answers:
    return [(efst[0],) if efst[0] else None for efst in cases["efst"]]


def _one_of(column: str, title: str, values: tuple[str, ...] | None = None) -> Attribute:
    return Attribute(title=title, read=_single(column), values=ONE_OF.get(column, ()) if values is None else values)


def _any_of(column: str, title: str) -> Attribute:
    return Attribute(title=title, read=lambda cases: list(cases[column]), values=ANY_OF[column], note=SEVERAL)


_MONK = tuple(str(tone) for tone in MONK)
WHO: dict[str, Attribute] = {
    "monk_us": _one_of("monk_us", "Monk skin tone, graders in the US", _MONK),
    "monk_india": _one_of("monk_india", "Monk skin tone, graders in India", _MONK),
    "fitzpatrick_self": _one_of("fitzpatrick_skin_type", "Fitzpatrick skin type, self-reported"),
    "fitzpatrick_estimated": Attribute(
        title="Fitzpatrick skin type, estimated",
        note="By the first dermatologist.",
        read=_first_efst,
        values=FITZPATRICK,
    ),
    "race_ethnicity": _any_of("race_ethnicity", "Race and ethnicity, every box ticked"),
    "combined_race": _one_of("combined_race", "Race and ethnicity, combined"),
    "age_group": _one_of("age_group", "Age"),
    "sex_at_birth": _one_of("sex_at_birth", "Sex at birth"),
}
"""The attributes that say whose skin it is."""
REPORTED: dict[str, Attribute] = {
    "related_category": _one_of("related_category", "Related category"),
    "condition_duration": _one_of("condition_duration", "Duration"),
    "body_parts": _any_of("body_parts", "Body parts"),
    "textures": _any_of("textures", "Textures"),
    "condition_symptoms": _any_of("condition_symptoms", "Symptoms of the skin"),
    "other_symptoms": _any_of("other_symptoms", "Other symptoms"),
}
"""The attributes that contributors report of their concern."""


def count(answers: Iterable[tuple[str, ...] | None], order: Sequence[str] = ()) -> Counter[str]:
    """Count cases by value, no response last; a case with several values counts once for each."""
    met = Counter(value for answer in answers for value in (answer or (NO_RESPONSE,)))
    rest = sorted(
        (value for value in met if value not in order and value != NO_RESPONSE), key=lambda value: (-met[value], value)
    )
    return Counter({value: met[value] for value in (*order, *rest, NO_RESPONSE)})


def shares(answers: Answers, order: Sequence[str] = ()) -> pd.DataFrame:
    """Return `value, n, of, share, low, high`: cases with the value, of all cases, with the Wilson interval."""
    return with_share(pd.DataFrame(count(answers, order).items(), columns=["value", "n"]).assign(of=len(answers)))


def with_share(frame: pd.DataFrame, n: str = "n", of: str = "of") -> pd.DataFrame:
    """Add `share, low, high` of `n` in `of`; all empty where there are none to take a share of."""
    low, high = wilson(frame[n], frame[of])
    none = frame[of] == 0
    columns: dict[str, Any] = {
        "share": frame[n] / frame[of].where(~none),
        "low": pd.Series(low),
        "high": pd.Series(high),
    }
    return frame.assign(**{name: values.mask(none).astype(float) for name, values in columns.items()})


MONK_BINS = ("MST_1_3", "MST_4_6", "MST_7_10", "MST_NONE")


def monk_bin(cases: pd.DataFrame) -> list[str]:
    """Return MST_1_3, MST_4_6, MST_7_10 or MST_NONE per case.

    The US pool, which used the scale's whole width, decides; where it is silent, India's does.
    """
    return ["MST_NONE" if pd.isna(tone) else _bin(tone) for tone in cases["monk_us"].fillna(cases["monk_india"])]


def monk_bins(us: Answers, india: Answers) -> list[str]:
    """Return the same of what two pools answered."""
    return [_bin(int(first[0])) if (first := a or b) else "MST_NONE" for a, b in zip(us, india, strict=True)]


def monk_bin_of(tone: MonkSkinTone) -> str:
    return _bin(tuple(MonkSkinTone).index(tone) + 1)


def _bin(tone: int) -> str:
    return "MST_1_3" if tone <= 3 else "MST_4_6" if tone <= 6 else "MST_7_10"
