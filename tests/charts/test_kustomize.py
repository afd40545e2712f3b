"""k8s/ builds, and says the same as the chart."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.charts.conftest import ROOT, Manifest, Render

pytestmark = pytest.mark.charts
K8S = ROOT / "k8s"


def build(folder: Path) -> dict[tuple[str, str], Manifest]:
    run = subprocess.run(
        [os.environ.get("KUBECTL", "kubectl"), "kustomize", folder], check=False, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    return by_name(yaml.safe_load_all(run.stdout))


def by_name(objects: Any) -> dict[tuple[str, str], Manifest]:
    return {(each["kind"], each["metadata"]["name"]): in_order(each) for each in objects if each}


def in_order(value: Any) -> Any:
    """Sort lists of named things, whose order has no meaning except that of variables."""
    if isinstance(value, dict):
        return {key: in_order(each) for key, each in value.items()}
    if isinstance(value, list):
        items = [in_order(each) for each in value]
        named = all(isinstance(each, dict) and "name" in each and "value" not in each for each in items)
        return sorted(items, key=lambda each: each["name"]) if named and items else items
    return value


@pytest.mark.parametrize(("overlay", "example"), [("dev", "cpu-dev"), ("prod-gpu", "gpu-prod")])
def test_an_overlay_is_what_the_chart_makes_of_the_example(
    rendered: Callable[..., Render], overlay: str, example: str
) -> None:
    built, wanted = build(K8S / "overlays" / overlay), by_name(rendered(example).objects)
    claim = K8S / "overlays" / overlay / "claim"
    built |= build(claim) if claim.exists() else {}
    assert built.keys() == wanted.keys()
    for key in wanted:
        assert built[key] == wanted[key], key


def test_the_base_is_the_chart(rendered: Callable[..., Render]) -> None:
    assert build(K8S / "base") | build(K8S / "claim") == by_name(rendered("default").objects)


@pytest.mark.parametrize("folder", ["base", *(f"overlays/{path.name}" for path in (K8S / "overlays").iterdir())])
def test_who_deletes_what_runs_keeps_the_cases(folder: str) -> None:
    assert not [name for kind, name in build(K8S / folder) if kind in ("PersistentVolumeClaim", "Namespace")]
    assert [kind for kind, _ in build(K8S / "claim")] == ["PersistentVolumeClaim"]


@pytest.mark.parametrize("component", sorted(path.name for path in (K8S / "components").iterdir()))
def test_each_component_builds_on_the_base(tmp_path: Path, component: str) -> None:
    needed = {"spot-trainer": ["gpu"]}
    folder = K8S / "overlays" / f"test-{tmp_path.name}"
    folder.mkdir()
    try:
        listed = [f"../../components/{each}" for each in [*needed.get(component, []), component]]
        text = yaml.safe_dump({"kind": "Kustomization", "resources": ["../../base"], "components": listed})
        (folder / "kustomization.yaml").write_text(text)
        assert build(folder) != build(K8S / "base")
    finally:
        (folder / "kustomization.yaml").unlink()
        folder.rmdir()
