"""dermis as a part of another chart: parent/ depends on it by its folder, as a chart of someone else's would."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.charts.conftest import CHART, ROOT

pytestmark = pytest.mark.charts
RELEASE = "day"


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The parent chart with its dependency built, beside a copy of ours: building writes into its folder."""
    import helm_python  # in .venv-charts only

    root = tmp_path_factory.mktemp("charts")
    folder = root / "tests/charts/parent"
    shutil.copytree(Path(__file__).parent / "parent", folder)
    shutil.copytree(CHART, root / CHART.relative_to(ROOT))
    helm_python.dependency_update(folder)
    return helm_python.Chart.load(folder)


def rendered(parent: Any, values: dict[str, Any]) -> dict[str, str]:
    parent.validate_schema(values)
    texts: dict[str, str] = parent.render(values, name=RELEASE, namespace="clinic")
    return {Path(name).name: text for name, text in texts.items()}


def objects(texts: dict[str, str]) -> list[dict[str, Any]]:
    return [each for text in texts.values() for each in yaml.safe_load_all(text) if isinstance(each, dict)]


def test_every_object_has_a_name_of_its_own_under_the_parents_release(parent: Any) -> None:
    texts = rendered(parent, {})
    notes = texts.pop("NOTES.txt")
    names = [(each["kind"], each["metadata"]["name"]) for each in objects(texts)]
    assert len(names) == len(set(names)) > 20
    assert all(name.startswith(f"{RELEASE}-skin") for _, name in names)
    assert f"deployment/{RELEASE}-skin-sweep -- dermis keys create" in notes


def test_parts_find_each_other_by_these_names(parent: Any) -> None:
    everything = objects({name: text for name, text in rendered(parent, {}).items() if name != "NOTES.txt"})
    services = {each["metadata"]["name"] for each in everything if each["kind"] == "Service"}
    deployments = {each["metadata"]["name"]: each for each in everything if each["kind"] == "Deployment"}
    worker = deployments[f"{RELEASE}-skin-worker"]
    env = {each["name"]: each.get("value", "") for each in worker["spec"]["template"]["spec"]["containers"][0]["env"]}
    for name in ("DERMIS_BROKER_URL", "DERMIS_METADATA_ADDRESS", "DERMIS_SERVING_ADDRESS"):
        assert any(service in env[name] for service in services), name


def test_globals_come_down_and_an_unknown_value_is_refused(parent: Any) -> None:
    import helm_python

    texts = rendered(parent, {"global": {"imageRegistry": "mirror.example.org"}})
    assert "image: mirror.example.org/dermis-gateway:" in texts["gateway.yaml"]
    with pytest.raises(helm_python.HelmValuesError):
        parent.validate_schema({"skin": {"replicas": 1}})
