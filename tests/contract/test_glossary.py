"""The glossary and the code use the same words: each term is a name in the code, each concept of the code has its row."""

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GLOSSARY = ROOT / "docs/glossary.md"
SOURCES = ("services", "shared", "clients/python")
CONCEPTS = {
    "Abstention": "abstention",
    "AnswerShare": "share",
    "BatchManifest": "batch",
    "CaseState": "case",
    "Condition": "condition",
    "ConditionGroup": "condition group",
    "ConditionGuidance": "guidance",
    "EvaluationReport": "evaluation report",
    "Fact": "fact",
    "FeatureSchema": "feature schema",
    "FitzpatrickSkinType": "Fitzpatrick skin type",
    "Floors": "floor",
    "GivenFeedback": "feedback",
    "Gradable": "gradable",
    "Manifest": "manifest",
    "MonkSkinTone": "Monk skin tone",
    "Notice": "notice",
    "OutlierRule": "outlier score",
    "PredictionSets": "prediction set",
    "Problem": "problem",
    "QualityReport": "quality report",
    "RedFlag": "red flag",
    "SelfReport": "self-report",
    "ShotType": "shot type",
    "Slice": "slice",
    "ToneFlips": "flip",
    "Urgency": "urgency",
    "VersionRef": "version",
}
"""The glossary's term for a class of the code that stands for a concept."""

SPELLED = {
    "Monk skin tone": "monk_skin_tone",
    "Fitzpatrick skin type": "fitzpatrick_skin_type",
    "failure": "failed",
    "job": "job",
}
ROOMS = ("port", "adapter")
"""Terms that name files and folders."""


@cache
def rows() -> list[tuple[str, str, str]]:
    lines = GLOSSARY.read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return [(word, meaning, never) for word, meaning, never in cells[1:]]


def terms() -> list[str]:
    """Return the terms, of a row that has several each."""
    words = [word for row, _, _ in rows() for word in re.split(r" / |, ", row)]
    return [re.sub(r" \(.*\)", "", word) for word in words]


@cache
def code() -> str:
    """Return all names and texts of the code, in lower case and with one underscore between words."""
    files = [file for place in SOURCES for file in sorted((ROOT / place).rglob("*")) if file.suffix in {".py", ".js"}]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text).lower()


def as_name(term: str) -> str:
    return SPELLED.get(term, re.sub(r"[ -]", "_", term)).lower()


@pytest.mark.parametrize("term", terms())
def test_a_term_is_a_name_in_the_code(term: str) -> None:
    if term in ROOMS:
        assert list(ROOT.glob(f"services/*/src/dermis/*/{term}s*"))
        return
    name = as_name(term)
    assert re.search(rf"(?:\b|_){name}(?:e?s)?(?:\b|_)", code()), f"no name holds {name}"


@pytest.mark.parametrize(("name", "term"), CONCEPTS.items())
def test_a_concept_of_the_code_has_its_row(name: str, term: str) -> None:
    classes = "".join(file.read_text() for place in SOURCES for file in (ROOT / place).rglob("*.py"))
    assert re.search(rf"^class _?{name}\w*\b", classes, re.MULTILINE), f"{name} is no class any more"
    assert term in terms()


def test_no_class_is_named_by_a_word_that_the_glossary_rules_out() -> None:
    names = re.findall(
        r"^class _?(\w+)",
        "\n".join(file.read_text() for place in SOURCES for file in (ROOT / place).rglob("*.py")),
        re.MULTILINE,
    )
    ruled_out = {
        word
        for _, _, never in rows()
        for word in re.split(r", ", re.sub(r" \(.*?\)", "", never))
        if word and " " not in word
    }
    parts = {name: set(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower().split()) for name in names}
    assert {name: words & ruled_out for name, words in parts.items() if words & ruled_out} == {}
