"""The page's texts in each language, and the choice of the language for a person."""

import json
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent / "texts"
LANGUAGES = ("en", "es")
"""The first is spoken where none that a person reads is known."""


@cache
def condition_names(language: str) -> dict[str, str]:
    """Return what people read of conditions in a language, by the names that models use, where that is another name."""
    path = Path(__file__).parent / f"assets/guidance.{language}.json"
    names = {key.removeprefix("name."): text for key, text in texts(language).items() if key.startswith("name.")}
    return names | (json.loads(path.read_text(encoding="utf-8"))["names"] if path.exists() else {})


class Texts(dict[str, str]):
    """One language's catalogue: a text by its key, `{name}` standing for a value."""

    def __call__(self, key: str, **values: object) -> str:
        return self[key].format(**values) if values else self[key]

    def of_group(self, cut: str, value: str) -> str | None:
        """Return what a group of a report's cut is called, None if this language has no word of its own for it."""
        return next(
            (self[key] for key in (f"answer.{cut}.{value}", f"verdict.{value}", f"group.{value}") if key in self), None
        )


@cache
def texts(language: str) -> Texts:
    return Texts(json.loads((_FOLDER / f"{language}.json").read_text(encoding="utf-8")))


def language_of(chosen: str, accepted: str) -> str:
    """Return the language that a person chose, else the one that their browser likes best (RFC 9110, 12.5.4)."""
    if chosen in LANGUAGES:
        return chosen
    liked = sorted(likings(accepted), key=lambda each: -each[1])
    return next((language for tag, _ in liked if (language := tag.split("-")[0]) in LANGUAGES), LANGUAGES[0])


def likings(accepted: str) -> list[tuple[str, float]]:
    """Return what a header of weighted values accepts, each with its weight.

    What weighs nothing, more than 1 (RFC 9110, 12.4.2) or can't be read is left out.
    """
    return [(value, weight) for value, weight in map(_liking, accepted.lower().split(",")) if 0 < weight <= 1]


def _liking(part: str) -> tuple[str, float]:
    value, _, weight = part.partition(";")
    try:
        return value.strip(), float(weight.strip().removeprefix("q=") or 1)
    except ValueError:
        return "", 0.0
