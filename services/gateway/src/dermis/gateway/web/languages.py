"""The page's texts in each language, and the choice of the language for a person."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from dermis.gateway.core.accept import best_language

_FOLDER = Path(__file__).parent / "texts"
LANGUAGES = ("en", "es")
"""The first is spoken where none that a person reads is known."""


@cache
def translations(language: str) -> dict[str, Any]:
    """Return a language's words for what is English elsewhere: guidance, names, sources; empty for English itself."""
    path = Path(__file__).parent / f"assets/guidance.{language}.json"
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return document


@cache
def condition_names(language: str) -> dict[str, str]:
    """Return what people read of conditions in a language, by the names that models use, where that is another name."""
    names = {key.removeprefix("name."): text for key, text in texts(language).items() if key.startswith("name.")}
    names.update(translations(language).get("names", {}))
    return names


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
    """Return the language that a person chose, else the one that their browser likes best."""
    return chosen if chosen in LANGUAGES else best_language(accepted, LANGUAGES)
