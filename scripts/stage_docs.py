"""Lay out the documentation site's sources in build/docs: pages, an index per folder, the API pages, navigation.

The pages under docs/ are written for a reader of the repository. For the site, links that leave docs/ lead to the
copied page, or become plain text where the site has none; folders without an index get one.
"""

import ast
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "build" / "docs"
PAGES = OUT / "pages"
SECTIONS = {
    "tutorial": "Tutorials",
    "how-to": "How-to guides",
    "reference": "Reference",
    "explanation": "Explanation",
    "decisions": "Decisions",
    "runbooks": "Runbooks",
}
SINGLES = ["glossary.md", "hazards.md", "changelog.md", "contributing.md", "security.md"]
# Pages that stand outside of docs/ and where the site has them.
OUTSIDE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "clients/python/README.md": "how-to/python-client.md",
    "SECURITY.md": "security.md",
    "k8s/cluster/README.md": "how-to/cluster-requirements.md",
    "services/serving/tfserving/README.md": "reference/tensorflow-serving.md",
    "tests/contract/openapi.json": "assets/openapi.json",
}
LINK = re.compile(r"\]\((?P<target>[^)#\s:]+)(?P<anchor>#[^)\s]*)?\)")
LABELLED = re.compile(r"(?<!!)\[(?P<label>[^\[\]]+)\]" + LINK.pattern[2:])


def place(path: Path) -> Path | None:
    """Return where the site has a path of the repository, relative to the pages, or None."""
    inside = path.relative_to(ROOT)
    if str(inside) in OUTSIDE:
        return Path(OUTSIDE[str(inside)])
    if inside.parts[0] != "docs":
        return None
    page = Path(*inside.parts[1:])
    if path.is_dir():
        return page / "index.md"
    return page.with_name("index.md") if page.name == "README.md" else page


def relink(text: str, source: Path) -> str:
    """Return a page's Markdown with its links as the site needs them; what the site lacks becomes plain text."""
    here = place(source) or Path(source.name)

    def link(match: re.Match[str]) -> str:
        target = (source.parent / match["target"]).resolve()
        page = place(target) if target.exists() and target.is_relative_to(ROOT) else None
        if page is None:
            return match[0]
        return f"]({os.path.relpath(page, here.parent)}{match['anchor'] or ''})"

    def label(match: re.Match[str]) -> str:
        target = (source.parent / match["target"]).resolve()
        outside = target.exists() and (not target.is_relative_to(ROOT) or place(target) is None)
        return match["label"] if outside else match[0]

    return spaced(LINK.sub(link, LABELLED.sub(label, text)))


def spaced(text: str) -> str:
    """Return Markdown with an empty line before each list, which Python-Markdown asks for and GitHub does not."""
    return re.sub(r"^(?!- |\d+\. |  |#|\||```)(.+)\n(?=- )", r"\1\n\n", text, flags=re.MULTILINE)


def title(page: Path) -> str:
    return re.sub(r"`|\[([^]]*)\]\([^)]*\)", r"\1", page.read_text(encoding="utf-8").partition("\n")[0].lstrip("# "))


def write(path: str | Path, text: str) -> None:
    page = PAGES / path
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(text, encoding="utf-8")


def copy_pages() -> None:
    """Copy docs/ and the pages outside of it, their links rewritten."""
    files = [path for path in (ROOT / "docs").rglob("*") if path.is_file()]
    for source in [*files, *(ROOT / name for name in OUTSIDE)]:
        page = PAGES / (place(source) or "")
        page.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix == ".md":
            page.write_text(relink(source.read_text(encoding="utf-8"), source), encoding="utf-8")
        else:
            shutil.copy(source, page)
    shutil.copytree(OUT / "vendor", PAGES / "assets", dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*"))


def sources() -> list[Path]:
    """Return the folders that hold a portion of the namespace package `dermis`, stubs apart."""
    parts = [ROOT / "shared/src", *ROOT.glob("services/*/src"), *ROOT.glob("clients/*/src")]
    return sorted(part for part in parts if (part / "dermis").is_dir())


def modules(src: Path) -> Iterator[tuple[str, str]]:
    """Yield each public module's dotted name and the first sentence of its docstring."""
    for path in sorted(src.rglob("*.py")):
        parts = path.relative_to(src).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        if docstring and not any(part.startswith("_") for part in parts):
            yield ".".join(parts), re.split(r"(?<=\.)\s|\n\n", docstring, maxsplit=1)[0].replace("\n", " ")


def python_pages() -> list[object]:
    """Write a page per module and an index of all; return their navigation."""
    index = ["# Python API", "", "Every public module of each part, from its docstrings."]
    entries: list[object] = []
    for src in sources():
        rows = dict(modules(src))
        part = ".".join(next(iter(rows)).split(".")[:2])
        index += ["", f"## {part}", "", "| module | what it holds |", "|---|---|"]
        pages = []
        for module, sentence in rows.items():
            page = f"{module}.md"
            write(f"reference/python/{page}", f"# {module}\n\n::: {module}\n")
            index.append(f"| [{module}]({page}) | {sentence.replace('|', '&#124;')} |")
            pages.append({module.removeprefix(part + ".") or part: f"reference/python/{page}"})
        entries.append({part: pages})
    write("reference/python/index.md", "\n".join(index) + "\n")
    return ["reference/python/index.md", *entries]


def http_page() -> None:
    """Write the list of the HTTP API's calls, for the search, with the way to the rendered OpenAPI file."""
    paths = json.loads((PAGES / "assets/openapi.json").read_text(encoding="utf-8"))["paths"]
    rows = [
        f"| `{verb.upper()}` | `{path}` | {call.get('summary', '')} |"
        for path, calls in paths.items()
        for verb, call in calls.items()
    ]
    head = "# HTTP API\n\n[Every field, answer and error, from the OpenAPI file](../assets/openapi.html).\n"
    write("reference/openapi.md", "\n".join([head, "| method | path | what it does |", "|---|---|---|", *rows]) + "\n")


def section(folder: str, name: str) -> list[object]:
    """Return the navigation of a folder's pages by title, its index first, written if there is none."""
    pages = [page for page in (PAGES / folder).glob("*.md") if page.name != "index.md"]
    pages.sort(key=lambda page: page.name if folder == "decisions" else title(page).lower())
    if not (PAGES / folder / "index.md").exists():
        write(f"{folder}/index.md", f"# {name}\n\n" + "".join(f"- [{title(page)}]({page.name})\n" for page in pages))
    return [f"{folder}/index.md", *({title(page): f"{folder}/{page.name}"} for page in pages)]


def navigation(python: list[object]) -> list[object]:
    nav: list[object] = [{"Home": "index.md"}]
    for folder, name in SECTIONS.items():
        if (PAGES / folder).is_dir():
            pages = section(folder, name)
            nav.append({name: [*pages, {"Python API": python}] if folder == "reference" else pages})
    return [*nav, {"More": [{title(PAGES / page): page} for page in SINGLES]}]


def main() -> None:
    shutil.rmtree(PAGES, ignore_errors=True)
    copy_pages()
    http_page()
    python = python_pages()
    nav = navigation(python)
    paths = [str(src) for src in sources()]
    base = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    python_options = "          options:\n"
    if base.count(python_options) != 1:
        sys.exit("mkdocs.yml has no options of the Python handler to put the paths before")
    base = base.replace(python_options, f"          paths: {json.dumps(paths)}\n{python_options}")  # JSON is YAML
    (OUT / "mkdocs.yml").write_text(
        f"{base}docs_dir: pages\nsite_dir: site\nnav: {json.dumps(nav)}\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
