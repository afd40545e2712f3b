"""Renders the chart: its defaults to k8s/base and k8s/claim, its examples to tests/charts/golden.

`.venv-charts/bin/python scripts/render_k8s.py [--check]`.
"""

import sys
from pathlib import Path
from typing import Any

import helm_python
import yaml

ROOT = Path(__file__).parents[1]
CHART = ROOT / "helm" / "dermis"
BASE = ROOT / "k8s" / "base"
CLAIM = ROOT / "k8s" / "claim"
GOLDEN = ROOT / "tests" / "charts" / "golden"


def render(values: dict[str, Any]) -> dict[str, str]:
    """Return the manifests by template, as a release `dermis` in the namespace `dermis` has them."""
    chart = helm_python.Chart.load(CHART)
    chart.validate_schema(values)
    rendered = chart.render(values, name="dermis", namespace="dermis")
    objects = {Path(name).name: _tidy(text) for name, text in sorted(rendered.items()) if not _for_helm_alone(name)}
    return {name: text for name, text in objects.items() if text}


def _for_helm_alone(name: str) -> bool:
    """Whether a template is no part of what runs: notes after an install, or the pod of `helm test`."""
    return name.endswith("NOTES.txt") or "/tests/" in name


def _tidy(text: str) -> str:
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return (
        "\n".join(lines[1:] if lines[:1] == ["---"] else lines) + "\n" if any(line != "---" for line in lines) else ""
    )


def wanted() -> dict[Path, str]:
    """Return what each file should hold."""
    base = render({})
    head = "# Rendered from helm/dermis by scripts/render_k8s.py: change the chart, not this.\n"
    # The claim of the store stands apart: who deletes what runs must not delete the cases.
    folders = {CLAIM: {"claim.yaml": base.pop("claim.yaml")}, BASE: base}
    files = {folder / name: head + text for folder, manifests in folders.items() for name, text in manifests.items()}
    for folder, manifests in folders.items():
        listed = "".join(f"  - {name}\n" for name in manifests)
        files[folder / "kustomization.yaml"] = (
            f"{head}apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n{listed}"
        )
    for example in sorted(CHART.glob("examples/*.yaml")):
        manifests = render(yaml.safe_load(example.read_text()))
        files[GOLDEN / example.name] = "---\n".join(manifests.values())
    return files


def main() -> None:
    files = wanted()
    present = {*BASE.glob("*.yaml"), *CLAIM.glob("*.yaml"), *GOLDEN.glob("*.yaml")}
    stale = sorted(
        str(path.relative_to(ROOT))
        for path in present | files.keys()
        if not path.exists() or path.read_text() != files.get(path)
    )
    if "--check" in sys.argv:
        if stale:
            sys.exit(f"not fresh: {', '.join(stale)}; run scripts/render_k8s.py")
        return
    for path in present - files.keys():
        path.unlink()
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
