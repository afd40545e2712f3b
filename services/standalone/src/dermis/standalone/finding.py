"""What `dermis doctor` says of one thing that it looked at."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    level: Level
    about: str
    text: str
    remedy: str = ""


def ok(about: str, text: str) -> Finding:
    return Finding(level=Level.OK, about=about, text=text)


def warn(about: str, text: str, remedy: str) -> Finding:
    return Finding(level=Level.WARN, about=about, text=text, remedy=remedy)


def fail(about: str, text: str, remedy: str) -> Finding:
    return Finding(level=Level.FAIL, about=about, text=text, remedy=remedy)
