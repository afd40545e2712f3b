"""Writes docs/reference/helm-values.md and the chart's README.md from its Chart.yaml, values.yaml and schema.

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
README = CHART / "README.md"
HEAD = """# Values of the chart

`helm/dermis` takes these values and no other: a name or a value that is not foreseen is refused before anything \
reaches a cluster. The examples of `helm/dermis/examples` show which belong
together; [how to use them](../how-to/kubernetes.md). This page is generated: `scripts/generate_helm_values.py`.
"""
README_HEAD = """# {name}

{description} Chart {version}, dermis {appVersion}, Kubernetes {kubeVersion}. This page is generated: \
`scripts/generate_helm_values.py`.

```sh
helm install dermis helm/dermis --namespace dermis --create-namespace --values helm/dermis/examples/cpu-dev.yaml
helm test dermis --namespace dermis
helm uninstall dermis --namespace dermis    # the claim of the store stays, with all cases
```

The examples in `examples/` are values for one node (`cpu-dev`), for GKE with GPUs, a bucket, KEDA and the Gateway API \
(`gpu-prod`), a Redis that is run elsewhere (`external-redis`), or a backup each night (`nightly`). An unknown \
value is refused.
How to run dermis on Kubernetes, from the first key to an upgrade: `docs/how-to/kubernetes.md`.

Maintainers: {maintainers}.
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


def tables() -> str:
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
    return "\n".join(f"\n## {name}\n\n{markdown_table(head, rows)}" for name, rows in groups.items()) + "\n"


def pages() -> dict[Path, str]:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    chart["maintainers"] = ", ".join(each["name"] for each in chart["maintainers"])
    return {PAGE: HEAD + tables(), README: README_HEAD.format(**chart) + tables()}


if __name__ == "__main__":
    for path, text in pages().items():
        if "--check" not in sys.argv:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            sys.exit(f"{path.relative_to(ROOT)} is not fresh; run scripts/generate_helm_values.py")
