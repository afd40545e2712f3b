"""Reads the answers of a self-report from a file."""

import json
from pathlib import Path
from typing import Any

import click

from dermis.shared.errors import DermisError, Kind


def read_answers(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file, or on stdin for "-"; INVALID says what is wrong with it."""
    try:
        with click.open_file(str(path), encoding="utf-8") as file:
            answers = json.load(file)
    except (json.JSONDecodeError, UnicodeDecodeError) as fault:
        raise DermisError(Kind.INVALID, "ANSWERS", f"{path} is no JSON ({fault}); write an object of answers") from None
    if not isinstance(answers, dict):
        raise DermisError(
            Kind.INVALID, "ANSWERS", f"{path} holds a {type(answers).__name__}; write an object of answers"
        )
    return answers
