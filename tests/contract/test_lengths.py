"""Modules and functions stay short enough to be read in one go."""

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST_LINES_OF_A_MODULE = 400
MOST_LINES_OF_A_FUNCTION = 85
SOURCES = ("clients/python/src", "shared/src", "services")


def modules() -> Iterator[tuple[str, str]]:
    """Yield path and text of each committed module that is shipped; the generated stubs lie elsewhere."""
    listed = subprocess.run(["git", "ls-files", *SOURCES], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for path in listed.splitlines():
        if path.endswith(".py") and (ROOT / path).exists():
            yield path, (ROOT / path).read_text()


def functions(text: str) -> Iterator[tuple[str, int]]:
    """Yield name and lines of each function, its decorators and its docstring apart."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            documented = ast.get_docstring(node) is not None
            lines = (node.end_lineno or 0) - node.lineno + 1
            yield node.name, lines - (node.body[0].end_lineno - node.body[0].lineno + 1 if documented else 0)


def test_no_module_is_longer_than_400_lines() -> None:
    lengths = {path: len(text.splitlines()) for path, text in modules()}
    assert len(lengths) > 200
    assert {path: n for path, n in lengths.items() if n > MOST_LINES_OF_A_MODULE} == {}


def test_no_function_is_longer_than_85_lines() -> None:
    lengths = {f"{path}:{name}": n for path, text in modules() for name, n in functions(text)}
    longest = max(lengths, key=lambda name: lengths[name])
    print(f"the longest: {longest}, {lengths[longest]} lines")
    assert {name: n for name, n in lengths.items() if n > MOST_LINES_OF_A_FUNCTION} == {}


@pytest.mark.parametrize("text", ['def f():\n    """A."""\n    return 1\n', "@a\ndef f():\n    pass\n"])
def test_docstring_and_decorators_do_not_count(text: str) -> None:
    assert list(functions(text)) == [("f", 2)]
