"""Names say what a thing is: no value is called "found" or "told", and no two classes bear one name."""

import ast
import re
import textwrap
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLACES = ("services", "shared", "clients/python", "benchmarks", "scripts")
NO_NAMES = {"found", "known", "given", "held", "said", "told", "shown", "made", "wish"}
WIRE = {
    "shared/src/dermis/shared/evaluation.py": ("held", "shown"),
    "clients/python/src/dermis/client/evaluation.py": ("held", "shown"),
}
"""Keys of evaluation.json that have such a name, each in one field: names of wire and file formats stay."""

HTTP = "services/gateway/src/dermis/gateway/http.py"
HTTP_SHAPES = re.compile(rf"{re.escape(HTTP)}|services/gateway/src/dermis/gateway/\w+_schemas\.py")
MIRRORED = {"Event": "the client reads the events that the gateway sends"}
"""A class of the client that bears the name of one outside of `HTTP` and shared/, and why."""


@cache
def trees() -> dict[str, ast.Module]:
    files = [file for place in PLACES for file in sorted((ROOT / place).rglob("*.py"))]
    return {str(file.relative_to(ROOT)): ast.parse(file.read_text()) for file in files}


def bound(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Give line and name of every parameter, variable, attribute and function that is bound."""
    for node in ast.walk(tree):
        match node:
            case ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield node.lineno, name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name


def faults(file: str, tree: ast.AST) -> list[str]:
    names = sorted((line, name) for line, name in bound(tree) if name.strip("_") in NO_NAMES)
    if [name for _, name in names] == list(WIRE.get(file, ())):
        return []
    return [f"{file}:{line} {name}" for line, name in names]


def test_a_value_is_called_what_it_is() -> None:
    assert [fault for file, tree in trees().items() for fault in faults(file, tree)] == []


@pytest.mark.parametrize(
    "text",
    [
        "def f(given): ...",
        "def f(**known): ...",
        "found = 1",
        "for told in []: ...",
        "[said for said in []]",
        "if (held := 1): ...",
        "def _shown(): ...",
        "class A:\n    made: int",
        "class A:\n    def __init__(self): self._wish = 1",
        "lambda shown: shown",
    ],
)
def test_each_way_to_bind_a_name_is_seen(text: str) -> None:
    assert len(faults("a.py", ast.parse(textwrap.dedent(text)))) == 1


def classes(*, of_the_client: bool) -> dict[str, list[str]]:
    files: dict[str, list[str]] = defaultdict(list)
    for file, tree in trees().items():
        if file.startswith("clients/") == of_the_client:
            for node in ast.walk(tree):
                if isinstance(node, ast.ClassDef):
                    files[node.name].append(file)
    return files


@pytest.mark.parametrize("of_the_client", [False, True])
def test_no_two_classes_bear_one_name(of_the_client: bool) -> None:
    assert {name: files for name, files in classes(of_the_client=of_the_client).items() if len(files) > 1} == {}


def test_the_client_borrows_names_from_the_wire_alone() -> None:
    ours = classes(of_the_client=False)
    borrowed = {
        name for name in classes(of_the_client=True) for file in ours.get(name, ()) if not file.startswith("shared/")
    }
    assert {name for name in borrowed if not all(map(HTTP_SHAPES.fullmatch, ours[name]))} == set(MIRRORED)
