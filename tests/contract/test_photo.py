"""Who has a skin concern reads of photos; code and API say image."""

import json
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from dermis.shared.case import Notice
from dermis.standalone.commands.assess import command as assess
from dermis.worker.core import notices
from dermis.worker.core.red_flags import RULES

ROOT = Path(__file__).parents[2]
WEB = ROOT / "services/gateway/src/dermis/gateway/web"
IMAGE = re.compile(r"\b(images?|imagen|imágenes|pictures?)\b", re.IGNORECASE)


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from strings(each)


def visible(template: str) -> str:
    """Return what a template says itself: neither comments, tags, scripts nor expressions."""
    return re.sub(r"(?s)\{#.*?#\}|\{\{.*?\}\}|\{%.*?%\}|<script.*?</script>|<[^>]*>", " ", template)


def texts() -> dict[str, list[str]]:
    read: dict[str, list[str]] = {}
    for file in (
        *sorted((WEB / "texts").glob("*.json")),
        WEB.parent / "guidance.json",
        WEB / "assets/guidance.es.json",
    ):
        read[file.name] = list(strings(json.loads(file.read_text(encoding="utf-8"))))
    policy = json.loads((files("dermis.worker") / "quality_policy.json").read_text(encoding="utf-8"))
    read["advice"] = list(policy["advice"].values())
    read["notices"] = [each.text for each in vars(notices).values() if isinstance(each, Notice)]
    read["assess --help"] = [assess.get_help(assess.make_context("assess", [], resilient_parsing=True))]
    read["red flags"] = [rule.text for rule in RULES]
    for file in sorted((WEB / "templates").glob("**/*.html")):
        read[file.name] = [visible(file.read_text(encoding="utf-8"))]
    return read


@pytest.mark.parametrize("where", texts())
def test_people_read_of_photos(where: str) -> None:
    read = texts()[where]
    assert read
    assert [text for text in read if IMAGE.search(text)] == []


def test_the_texts_speak_of_photos_at_all() -> None:
    photo = re.compile(r"\b(photos?|fotos?)\b", re.IGNORECASE)
    places = {where for where, read in texts().items() if any(map(photo.search, read))}
    assert places >= {"en.json", "es.json", "guidance.json", "guidance.es.json", "advice", "notices"}
