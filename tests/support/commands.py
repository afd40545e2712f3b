"""Who runs a command that the docs name: read from .ci/run, the workflows, the Makefile and the tests' own calls."""

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SUBCOMMAND = re.compile(r"[a-z][a-z-]+")
TARGET = re.compile(r"^(?!\.PHONY)([\w./ -]+):(?!=)([^#\n]*)(?:#.*)?\n((?:\t.*\n|\n(?=\t))*)", re.MULTILINE)


@cache
def recipes() -> dict[str, tuple[list[str], str]]:
    """Return each target's prerequisites and recipe, its continued lines joined."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    return {name: (match[2].split(), match[3]) for match in TARGET.finditer(text) for name in match[1].split()}


def targets(command: str) -> list[str]:
    """Return the targets that a `make` command line names."""
    words = shlex.split(command, comments=True)
    return [word for word in words[1:] if "=" not in word and not word.startswith("-")]


def made(text: str) -> Iterator[str]:
    """Yield every `make ...` in a shell script or workflow."""
    for match in re.finditer(r"(?:^|[\s\"&;])(make [\w.$][^\n&;|]*)", re.sub(r"^\s*#.*", "", text, flags=re.MULTILINE)):
        yield match[1].split('"$(')[0]


@cache
def ci_targets() -> frozenset[str]:
    """Return the targets that .ci/run and the workflows make, and what these need."""
    scripts = [ROOT / ".ci/run", *(ROOT / ".github/workflows").glob("*.yml")]
    todo = [target for script in scripts for line in made(stages(script)) for target in targets(line)]
    reached: set[str] = set()
    while todo:
        if (target := todo.pop()) not in reached:
            reached.add(target)
            todo += [name for name in recipes().get(target, ([], ""))[0] if name != "|"]
    return frozenset(reached)


def stages(script: Path) -> str:
    """Return what a script runs.

    Of .ci/run these are its stages without their names, of a workflow its `run` lines and matrix.
    """
    text = script.read_text(encoding="utf-8")
    if script.suffix == ".yml":
        return "\n".join(re.findall(r"^\s*(?:- )?(?:run: )?(make .*)$", text, re.MULTILINE))
    return "\n".join(re.findall(r'^stage "[^"]*" (.*)$', text, re.MULTILINE))


def ci_recipes() -> str:
    return "\n".join(recipes()[target][1] for target in ci_targets() if target in recipes())


@cache
def calls() -> dict[Path, tuple[tuple[str | None, ...], ...]]:
    """Return by file the words of every list, tuple and call in the tests: constants and names.

    What is computed is None.
    """
    paths = [*ROOT.glob("tests/**/*.py"), *ROOT.glob("benchmarks/**/*.py")]
    return {path: tuple(_rows(path)) for path in paths if path.name != "test_docs.py"}


def _rows(path: Path) -> Iterator[tuple[str | None, ...]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call | ast.List | ast.Tuple):
            yield tuple(spoken(node))


def spoken(node: ast.AST) -> Iterator[str | None]:
    match node:
        case ast.Constant(value=str(text)):
            yield from text.split()
        case ast.Name(id=name) | ast.Attribute(attr=name):
            yield name
        case ast.Call(args=items) | ast.List(elts=items) | ast.Tuple(elts=items):
            for item in items:
                yield from spoken(item)
        case ast.Starred(value=value):
            yield from spoken(value)
        case _:
            yield None


def called(*words: str) -> bool:
    """Return whether a test's call holds these words beside each other."""
    size = len(words)
    rows = (row for rows in calls().values() for row in rows)
    return any(words == row[at : at + size] for row in rows for at in range(len(row) - size + 1))


def command_called(name: str) -> bool:
    """Return whether a test calls `dermis NAME`: the name begins a list of words, or follows the command itself."""
    before = {None, "dermis", "main", "cli", ".venv/bin/dermis"}
    rows = (row for rows in calls().values() for row in rows)
    return any(word == name and (at == 0 or row[at - 1] in before) for row in rows for at, word in enumerate(row))


def member_called(group: str, name: str) -> bool:
    """Return whether a test calls `dermis GROUP NAME`.

    Both stand in one call, or the name begins one in a file that uses the group.
    """
    for rows in calls().values():
        of_group = [row for row in rows if group in row]
        if any(name in row[row.index(group) :] for row in of_group) or (
            of_group and any(row[:1] == (name,) for row in rows)
        ):
            return True
    return False


def main_called(module: str) -> bool:
    """Return whether a test calls a module's `main`, or starts it by `-m`."""
    package, _, name = module.rpartition(".")
    importing = re.compile(rf"^from {re.escape(package)} import {name}(?: as (\w+))?$", re.MULTILINE)
    texts = [path.read_text(encoding="utf-8") for path in calls()]
    imported = [(text, match[1] or name) for text in texts if (match := importing.search(text))]
    return called("-m", module) or any(f"{alias}.main(" in text for text, alias in imported)


@cache
def groups() -> frozenset[str]:
    """Return the names of the `dermis` command's groups, from their decorators."""
    names = set()
    for path in ROOT.glob("services/*/src/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                decorators = [each for each in node.decorator_list if isinstance(each, ast.Call)]
                if any(isinstance(each.func, ast.Attribute) and each.func.attr == "group" for each in decorators):
                    names.add(node.name)
    return frozenset(names)


def is_run(command: str) -> bool:
    """Return whether CI or a test runs a command of the docs: its target, sub-command, module or script."""
    words = shlex.split(command, comments=True)
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words.pop(0)
    program = Path(words[0]).name
    if program == "make":
        return all(_target_is_run(target) for target in targets(" ".join(words)))
    if program == "dermis":
        return _dermis_is_run(words[1:])
    if program.startswith("python") and words[1] == "-m":
        return f"-m {words[2]}" in ci_recipes() or main_called(words[2])
    if program == "docker":
        return _docker_is_run(words)
    return words[:2] == ["bash", ".ci/run"] or words[0] in ci_recipes()


def _target_is_run(target: str) -> bool:
    if target in ci_targets():
        return True
    lines = [line.strip().lstrip("@") for line in recipes().get(target, ([], ""))[1].splitlines() if line.strip()]
    return bool(lines) and all(re.match(r"[\w./]*dermis ", line) and is_run(line) for line in lines)


def _dermis_is_run(words: list[str]) -> bool:
    name, *rest = words
    if name in groups() and rest and SUBCOMMAND.fullmatch(rest[0]):
        return member_called(name, rest[0])
    return command_called(name) or f"dermis {name}" in ci_recipes()


def _docker_is_run(words: list[str]) -> bool:
    if words[1] == "compose":
        verb = next(word for word in words[2:] if word in {"build", "up", "down", "ps", "run", "logs"})
        return called(verb) or bool(re.search(rf"\)\s{verb}\b|compose\b.*\s{verb}\b", ci_recipes()))
    return called(words[1], words[2])
