"""A pod runs the same command with the same variables as Compose does."""

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.charts.conftest import ROOT, Manifest, Render

pytestmark = pytest.mark.charts
CONTAINERS = ("gateway", "worker", "metadata", "sweep", "init", "trainer", "serving")


WRITTEN_BY_THE_TRAINER = {"models", "runs", "evaluations", "promotions", "reports", "profiles", "audit"}


class Loader(yaml.SafeLoader):
    """Reads Compose's own tags as if they were not there."""


def _untagged(loader: Loader, _tag: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node)
    assert isinstance(node, yaml.MappingNode)
    return loader.construct_mapping(node)


Loader.add_multi_constructor("!", _untagged)


def services(*files: str) -> dict[str, Manifest]:
    found: dict[str, Manifest] = {}
    for file in files:
        for name, service in yaml.load((ROOT / file).read_text(), Loader)["services"].items():  # noqa: S506
            found[name] = {**found.get(name, {}), **service}
    return found


TWIN = services("docker-compose.yml", "compose.twin.yaml")
TENSORFLOW = services("docker-compose.yml")
# In Compose the peers have no prefix, and what .env may say has its default here.
PREFIX = ("redis:6379", "metadata:50051", "serving:8500")


def as_in_compose(value: Any) -> str:
    text = str(value)
    for peer in PREFIX:
        text = text.replace(f"dermis-{peer}", peer)
    return text


def without_choice(value: Any) -> str:
    """Return what `${NAME:-default}` is when nothing is chosen."""
    text = str(value)
    while "${" in text:
        before, _, rest = text.partition("${")
        choice, _, after = rest.partition("}")
        text = before + choice.partition(":-")[2] + after
    return text


@pytest.mark.parametrize("name", CONTAINERS)
def test_the_variables_are_the_same(rendered: Callable[..., Render], name: str) -> None:
    compose = {key: without_choice(value) for key, value in TWIN[name]["environment"].items() if value is not None}
    compose.pop("DERMIS_GATEWAY_KEYLESS", None)  # below
    pod = {key: as_in_compose(value) for key, value in rendered("default").env(name).items()}
    pod.pop("DERMIS_GATEWAY_ALLOWED_HOSTS", None)  # in Compose a peer's name has no dot
    assert pod == compose


def test_compose_alone_serves_callers_without_a_key_as_nobody_else_reaches_its_port(
    rendered: Callable[..., Render],
) -> None:
    assert TWIN["gateway"]["environment"]["DERMIS_GATEWAY_KEYLESS"] == "${DERMIS_GATEWAY_KEYLESS:-true}"
    assert all(port.startswith("127.0.0.1:") for port in TWIN["gateway"]["ports"])
    assert "DERMIS_GATEWAY_KEYLESS" not in rendered("default").env("gateway")


@pytest.mark.parametrize("name", CONTAINERS)
def test_the_command_is_the_same(rendered: Callable[..., Render], name: str) -> None:
    (container,) = (each for found, each in rendered("default").containers() if found == name)
    assert container.get("command") == TWIN[name].get("entrypoint")
    assert container.get("args", []) == [without_choice(word) for word in TWIN[name].get("command") or []]


def test_the_job_runs_what_compose_runs(rendered: Callable[..., Render]) -> None:
    pod = rendered("default").one("CronJob", "trainer")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["args"] == TWIN["trainer"]["command"]
    assert pod["terminationGracePeriodSeconds"] == int(TWIN["trainer"]["stop_grace_period"].removesuffix("s"))


def test_tensorflow_serving_is_told_the_same(rendered: Callable[..., Render]) -> None:
    container = rendered("default", {"serving": {"kind": "tensorflow"}}).pods()["serving"]["containers"][0]
    assert container["args"] == [without_choice(word) for word in TENSORFLOW["serving"]["command"]]


def test_redis_is_told_the_same(rendered: Callable[..., Render]) -> None:
    container = rendered("default").pods()["redis"]["containers"][0]
    assert container["image"] == TWIN["redis"]["image"]
    assert container["args"] == TWIN["redis"]["command"]


@pytest.mark.parametrize("name", [name for name in TWIN if name not in ("gcs",)])
def test_compose_is_as_strict(name: str) -> None:
    service = TWIN[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_the_same_images_are_named(rendered: Callable[..., Render]) -> None:
    kinds = (rendered("default"), rendered("gpu-prod", {"image": {"registry": ""}}))
    chart = {container["image"].partition(":")[0] for render in kinds for _, container in render.containers()}
    compose = {service["image"].partition(":")[0] for service in (*TWIN.values(), *TENSORFLOW.values())}
    assert chart == compose - {"dermis-gcs"}


def test_drain_is_as_long(rendered: Callable[..., Render]) -> None:
    pods = rendered("default").pods()
    for part in ("worker", "gateway"):
        assert f"{pods[part]['terminationGracePeriodSeconds']}s" == TWIN[part]["stop_grace_period"]


@pytest.mark.parametrize("name", ["metadata", "serving", "trainer", "worker", "gateway", "sweep"])
def test_the_same_of_the_store_is_mounted(rendered: Callable[..., Render], name: str) -> None:
    mounts = rendered("default").pods()[name]["containers"][0]["volumeMounts"]
    chart = [
        (each["mountPath"], each.get("subPath"), each.get("readOnly", False))
        for each in mounts
        if each["name"] == "store"
    ]
    assert chart == [mount for volume in TENSORFLOW[name]["volumes"] for mount in store_mount(volume)]


def store_mount(volume: Any) -> list[tuple[str, str | None, bool]]:
    """Return what a volume of a service mounts of the store: where, which folder, whether read-only."""
    if isinstance(volume, dict):
        return (
            [(volume["target"], volume["volume"]["subpath"], volume.get("read_only", False))]
            if volume["source"] == "store"
            else []
        )
    source, target, *mode = volume.split(":")
    return [(target, None, mode == ["ro"])] if source == "store" else []


def test_the_trainer_sees_neither_cases_nor_keys(each: Render) -> None:
    mounted = [mount for mount in each.pods()["trainer"]["containers"][0]["volumeMounts"] if mount["name"] == "store"]
    assert all(mount["subPath"] in WRITTEN_BY_THE_TRAINER for mount in mounted)
