"""The chart, rendered by Helm's own library inside the test."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "dermis"
EXAMPLES = ("default", "cpu-dev", "gpu-prod", "external-redis", "nightly")
Manifest = dict[str, Any]


@dataclass(frozen=True)
class Render:
    """A render's objects; the parts' pods wherever they stand."""

    objects: tuple[Manifest, ...]
    texts: dict[str, str] = field(default_factory=dict)
    """Each template as it came out, notes and `helm test` too."""

    def one(self, kind: str, name: str) -> Manifest:
        (found,) = (
            each for each in self.objects if (each["kind"], each["metadata"]["name"]) == (kind, f"dermis-{name}")
        )
        return found

    def of(self, kind: str) -> list[Manifest]:
        return [each for each in self.objects if each["kind"] == kind]

    def pods(self) -> dict[str, Manifest]:
        """Return each part's pod spec."""
        found = {}
        for each in self.objects:
            spec = each.get("spec") or {}
            template = spec.get("template") or spec.get("jobTemplate", {}).get("spec", {}).get("template")
            if template:
                found[each["metadata"]["labels"]["app.kubernetes.io/component"]] = template["spec"]
        return found

    def containers(self) -> Iterator[tuple[str, Manifest]]:
        for part, pod in self.pods().items():
            for container in [*pod["containers"], *pod.get("initContainers", [])]:
                yield (
                    part if len(pod["containers"]) == 1 and container in pod["containers"] else container["name"],
                    container,
                )

    def env(self, name: str) -> dict[str, Any]:
        (container,) = (each for found, each in self.containers() if found == name)
        return {each["name"]: each.get("value", each.get("valueFrom")) for each in container.get("env", [])}


def example(name: str) -> Manifest:
    return {} if name == "default" else yaml.safe_load((CHART / "examples" / f"{name}.yaml").read_text())


def merged(values: Manifest, changes: Manifest) -> Manifest:
    out = copy.deepcopy(values)
    for key, value in changes.items():
        out[key] = merged(out[key], value) if isinstance(value, dict) and isinstance(out.get(key), dict) else value
    return out


@pytest.fixture(scope="session")
def rendered() -> Callable[..., Render]:
    """Render an example with some values changed."""
    import helm_python  # in .venv-charts only

    chart = helm_python.Chart.load(CHART)

    def render(name: str = "default", changes: Manifest | None = None, *, name_of_release: str = "dermis") -> Render:
        values = merged(example(name), changes or {})
        chart.validate_schema(values)
        texts = chart.render(values, name=name_of_release, namespace="dermis")
        return Render(
            tuple(
                each
                for template, text in texts.items()
                if not (template.endswith("NOTES.txt") or "/tests/" in template)
                for each in yaml.safe_load_all(text)
                if each
            ),
            texts={Path(template).name: text for template, text in texts.items()},
        )

    return render


@pytest.fixture(params=EXAMPLES)
def each(request: pytest.FixtureRequest, rendered: Callable[..., Render]) -> Render:
    """Every example in turn."""
    return rendered(request.param)
