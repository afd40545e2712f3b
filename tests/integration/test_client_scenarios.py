"""The Python client does in each scenario what every client does; `make client` runs them by the TypeScript client."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from dermis.standalone import demo
from tests.integration.test_clients import wait_ready
from tests.support.client_scenarios import CLIENTS, KEYS, SCENARIOS, ScenarioRunner, scenario_runner

pytestmark = pytest.mark.timeout(240)
DERMIS = [sys.executable, "-m", "dermis.standalone"]
RUNNER = [sys.executable, str(CLIENTS / "python" / "scenarios.py")]


def new_key(state: list[str], *words: str) -> str:
    create = [*DERMIS, "keys", "create", "--name", "scenarios", "--test", *words, *state]
    return subprocess.run(create, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScenarioRunner]:
    folder = tmp_path_factory.mktemp("scenarios")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DERMIS_")}
    state = ["--state", str(folder / "state")]
    with (folder / "log").open("w+") as log:
        process = subprocess.Popen(
            [*DERMIS, "up", *state, "--port", "0"], env=kept, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            url = wait_ready(process, folder / "log")
            key = new_key(state)
            owner = ["--publishable", "--replaces", key.partition(".")[0]]
            keys = dict(zip(KEYS, (key, new_key(state), new_key(state, *owner)), strict=True))
            with scenario_runner(RUNNER, url, keys, folder, demo.CASE / "close_up.jpg") as ready:
                yield ready
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario["name"])
def test_a_scenario_comes_out_as_expected(runner: ScenarioRunner, scenario: dict[str, Any]) -> None:
    assert runner.faults_of(scenario) == []
