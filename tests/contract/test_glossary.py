"""The glossary and the code use the same words: a term is a name in the code, and a concept of the code has its row."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GLOSSARY = ROOT / "docs/glossary.md"
SOURCES = ("services", "shared", "clients/python")
CONCEPTS = {
    "AbstentionRule": "abstention",
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
    "LabelPolicy": "label",
    "Manifest": "manifest",
    "MonkSkinTone": "Monk skin tone",
    "Notice": "notice",
    "OutlierRule": "outlier score",
    "PredictionSets": "prediction set",
    "Problem": "problem",
    "QualityReport": "quality report",
    "RedFlag": "red flag",
    "Sample": "sample",
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
    "feature vector": "features",
}
ALLOWED = {
    "LabelPolicy": "makes the label of a data set's cases, not feedback",
    "LabelRow": "a label of SCIN and its group",
    "LabelStatus": "whether a data set's case has a label",
    "MetadataClient": "calls the part that is called metadata",
    "MetadataSettings": "settings of the part that is called metadata",
    "Patient": "a resource of FHIR, called so by the standard",
    "PredictionSets": "a term of its own: prediction set",
    "Sample": "a data set's case, not a person's",
}
"""Classes named by a word that the glossary rules out, and why."""

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
def trees() -> dict[Path, ast.Module]:
    files = [file for place in SOURCES for file in sorted((ROOT / place).rglob("*.py"))]
    return {file: ast.parse(file.read_text(encoding="utf-8")) for file in files}


@cache
def classes() -> frozenset[str]:
    nodes = (node for tree in trees().values() for node in ast.walk(tree))
    return frozenset(node.name for node in nodes if isinstance(node, ast.ClassDef))


@cache
def names() -> frozenset[str]:
    """Return every name that the code binds or reads, and of every file, with one underscore between words."""
    bound = {file.stem for place in SOURCES for file in (ROOT / place).rglob("*") if file.suffix in {".py", ".js"}}
    for tree in trees().values():
        for node in ast.walk(tree):
            match node:
                case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    bound.add(name)
                case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                    bound.add(name)
    return frozenset(as_words(name) for name in bound)


def as_words(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def as_name(term: str) -> str:
    return SPELLED.get(term, re.sub(r"[ -]", "_", term)).lower()


@pytest.mark.parametrize("term", terms())
def test_a_term_is_a_name_in_the_code(term: str) -> None:
    if term in ROOMS:
        assert list(ROOT.glob(f"services/*/src/dermis/*/{term}s*"))
        return
    name = as_name(term)
    pattern = re.compile(rf"(?:^|_){name}(?:e?s)?(?:_|$)")
    assert any(map(pattern.search, names())), f"no name holds {name}"


@pytest.mark.parametrize(("name", "term"), CONCEPTS.items())
def test_a_concept_of_the_code_has_its_row(name: str, term: str) -> None:
    assert name in classes()
    assert term in terms()


def test_no_class_is_named_by_a_word_that_the_glossary_rules_out() -> None:
    never = {word for *_, cell in rows() for word in re.split(r", ", re.sub(r" \(.*?\)", "", cell)) if word}
    ruled_out = {name: never & set(as_words(name.strip("_")).split("_")) for name in classes()}
    assert {name for name, words in ruled_out.items() if words} == set(ALLOWED)
