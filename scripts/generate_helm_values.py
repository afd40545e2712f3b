"""Writes docs/reference/helm-values.md from the chart's values.yaml and schema.

`.venv/bin/python scripts/generate_helm_values.py [--check]`
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

from dermis.data.report.markdown import markdown_table

ROOT = Path(__file__).parents[1]
CHART = ROOT / "helm" / "dermis"
PAGE = ROOT / "docs" / "reference" / "helm-values.md"
KEY = re.compile(r"^( *)(\w+):")
HEAD = """# Values of the chart

`helm/dermis` takes these values and no other: a name or a value that is not foreseen is refused before anything \
reaches a cluster. The examples of `helm/dermis/examples` show which belong
together; [how to use them](../how-to/kubernetes.md). This page is generated: `scripts/generate_helm_values.py`.
"""


def descriptions(text: str) -> dict[str, str]:
    """Return what the comment above each key says, by the key's path."""
    descriptions_by_path: dict[str, str] = {}
    path: list[str] = []
    comment: list[str] = []
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            comment.append(line.lstrip("# ").rstrip())
        elif key := KEY.match(line):
            path = [*path[: len(key[1]) // 2], key[2]]
            if comment:
                descriptions_by_path[".".join(path)] = " ".join(comment)
            comment = []
        else:
            comment = []
    return descriptions_by_path


def undescribed(values: Any, described: dict[str, str], path: str = "") -> list[str]:
    """Return the values that neither have a description nor belong to one that has."""
    if path in described:
        return []
    if not isinstance(values, dict) or not values:
        return [path]
    return [
        each for key, value in values.items() for each in undescribed(value, described, f"{path}.{key}".lstrip("."))
    ]


def at(tree: Any, path: str) -> Any:
    for key in path.split("."):
        tree = tree[key]
    return tree


def allowed(schema: dict[str, Any], path: str) -> str:
    """Return what the schema lets a value be."""
    node = schema
    for key in path.split("."):
        node = node["properties"][key]
    if "$ref" in node:
        return str(node["$ref"].rpartition("/")[2])
    if "enum" in node:
        return " or ".join(f"`{each}`" for each in node["enum"])
    low, high = node.get("minimum"), node.get("maximum")
    limits = "" if low is None else f" from {low}" + ("" if high is None else f" to {high}")
    return f"{node['type']}{limits}"


def page() -> str:
    text = (CHART / "values.yaml").read_text()
    values, described = yaml.safe_load(text), descriptions(text)
    schema = json.loads((CHART / "values.schema.json").read_text())
    if missing := undescribed(values, described):
        sys.exit(f"values.yaml: no comment says what these are: {', '.join(missing)}")
    groups: dict[str, list[tuple[str, ...]]] = {}
    for path, description in described.items():
        default = json.dumps(at(values, path))
        row = (f"`{path}`", f"`{default}`", allowed(schema, path), description)
        groups.setdefault(path.partition(".")[0] if "." in path else "all", []).append(row)
    head = ["value", "default", "may be", "what it is"]
    tables = [f"\n## {name}\n\n{markdown_table(head, rows)}" for name, rows in groups.items()]
    return HEAD + "\n".join(tables) + "\n"


if __name__ == "__main__":
    if "--check" in sys.argv:
        if PAGE.read_text() != page():
            sys.exit(f"{PAGE.name} is not fresh; run scripts/generate_helm_values.py")
    else:
        PAGE.write_text(page())
