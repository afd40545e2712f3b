"""What a client likes best, by the weighted values of its Accept headers (RFC 9110, 12.4.2)."""

import re
from collections.abc import Sequence

_WEIGHT = re.compile(r"q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)", re.IGNORECASE)
_RANGE = re.compile(r"\*|[a-z]{1,8}(?:-[a-z0-9]{1,8}){0,8}")


def weights(header: str) -> list[tuple[str, float]]:
    """Return the values of a header in small letters, each with its weight; one that can't be read is left out."""
    return [(value, weight) for value, weight in map(_weighted, header.lower().split(",")) if value and weight >= 0]


def liked(header: str) -> dict[str, float]:
    """Return the values that a header accepts, each with its weight above 0."""
    return {value: weight for value, weight in weights(header) if weight > 0}


def best_language(header: str, languages: Sequence[str]) -> str:
    """Return which of `languages` an Accept-Language header likes best, the first where it likes none.

    Each range is looked up with fewer and fewer subtags (RFC 4647, 3.4). What weighs 0 is not wanted, and `*` stands
    for every language that no other range names.
    """
    ranges = [(tag, weight) for tag, weight in weights(header) if _RANGE.fullmatch(tag)]
    unwanted = {tag for tag, weight in ranges if weight == 0}
    named = [(_lookup(tag, languages), weight) for tag, weight in ranges if tag != "*"]
    wanted = [(language, weight) for language, weight in named if weight and language and language not in unwanted]
    rest = [language for language in languages if language not in unwanted and language not in dict(wanted)]
    wanted += [(language, weight) for tag, weight in ranges if tag == "*" and weight for language in rest]
    return max(wanted, key=lambda each: each[1])[0] if wanted else languages[0]


def _lookup(tag: str, languages: Sequence[str]) -> str | None:
    while tag:
        if tag in languages:
            return tag
        tag = tag.rpartition("-")[0]
    return None


def _weighted(part: str) -> tuple[str, float]:
    value, *parameters = (each.strip() for each in part.split(";"))
    if not parameters:
        return value, 1.0
    weight = _WEIGHT.fullmatch(parameters[-1])
    return value, float(weight[1]) if weight else -1.0
