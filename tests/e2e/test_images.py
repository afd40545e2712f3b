"""What the built images hold and may do; DERMIS_TAG names their version (dev)."""

import json
import os
import subprocess

import pytest

pytestmark = pytest.mark.containers
TAG = os.environ.get("DERMIS_TAG", "dev")
BASE = "python:3.11-slim-bookworm"
LIGHT = ("gateway", "metadata", "worker", "serving", "standalone")
GATEWAY_MB = 120
"""Most that the gateway's image may add to its base."""


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], check=True, capture_output=True, text=True).stdout


def inside(part: str, *command: str) -> str:
    return docker(
        "run",
        "--rm",
        "--read-only",
        "--cap-drop",
        "ALL",
        "--entrypoint",
        command[0],
        f"dermis-{part}:{TAG}",
        *command[1:],
    )


def megabytes(image: str) -> float:
    return int(docker("image", "inspect", "-f", "{{.Size}}", image)) / 1e6


@pytest.mark.parametrize("part", LIGHT)
def test_an_image_says_who_it_is_and_runs_as_nobody(part: str) -> None:
    config = json.loads(docker("image", "inspect", "-f", "{{json .Config}}", f"dermis-{part}:{TAG}"))
    assert config["User"] == "10001:10001"
    assert config["Labels"]["org.opencontainers.image.title"] == f"dermis-{part}"
    assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert config["Healthcheck"]["Test"] == ["CMD", "python3", "-m", "dermis.shared.health"]


@pytest.mark.parametrize("part", LIGHT)
def test_the_bill_names_every_package_that_is_in_it(part: str) -> None:
    bill = json.loads(inside(part, "cat", f"/usr/share/sbom/dermis-{part}.cdx.json"))
    named = {(each["name"].lower().replace("_", "-"), each["version"]) for each in bill["components"]}
    listing = (
        "from importlib.metadata import distributions as d; print(*{(x.name.lower().replace('_', '-'), x.version) "
        "for x in d()}, sep=chr(10))"
    )
    present = {
        tuple(line.strip("()").replace("'", "").split(", "))
        for line in inside(part, "python3", "-c", listing).splitlines()
    }
    assert {each for each in present if each[0] != "dermis"} <= named
    assert len(named) > 20


@pytest.mark.parametrize("part", LIGHT)
def test_no_build_tools_are_left(part: str) -> None:
    # The base image has a pip of its own, outside of the part's environment.
    assert (
        inside(
            part,
            "sh",
            "-c",
            "command -v gcc cc make cargo git; ls /opt/venv/bin | grep -xE 'pip.*|uv|cyclonedx.*'; true",
        )
        == ""
    )


def test_the_gateway_stays_light() -> None:
    added = megabytes(f"dermis-gateway:{TAG}") - megabytes(BASE)
    print(f"the gateway adds {added:.0f} MB to its base")
    assert added <= GATEWAY_MB
    heavy = "import importlib.util as u; print([n for n in ('numpy', 'cv2', 'grpc', 'tensorflow') if u.find_spec(n)])"
    assert inside("gateway", "python3", "-c", heavy).strip() == "[]"
