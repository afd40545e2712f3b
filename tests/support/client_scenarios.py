"""The scenarios of clients/scenarios.json: run by a client through a proxy with faults, against a running system."""

import json
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from dermis.client import Client
from dermis.shared.ids import first_id
from dermis.shared.test_images import FORCED_ENDS, drawing
from tests.support.faulty_proxy import FaultyProxy, HttpFault

CLIENTS = Path(__file__).parents[2] / "clients"
SCENARIOS: list[dict[str, Any]] = json.loads((CLIENTS / "scenarios.json").read_text(encoding="utf-8"))["scenarios"]
_OF_THE_HARNESS = ("least_seconds", "most_seconds", "most_sent", "cases")
KEYS = ("key", "other", "publishable")
"""Test keys that scenarios use: one for all, another one for all, and one that only creates, of the first's owner."""


class ScenarioRunner:
    """A client's program that runs scenarios, and the proxy between it and the system at `url`."""

    def __init__(self, command: Sequence[str], url: str, keys: Mapping[str, str], folder: Path, image: Path) -> None:
        self._url, self._keys = url, keys
        self._folder, self._image = folder, image
        self._proxy = FaultyProxy(url)
        self._process = subprocess.Popen(
            [*command, self._proxy.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def stop(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()
        self._proxy.stop()

    def faults_of(self, scenario: dict[str, Any]) -> list[str]:
        """Run a scenario and return what was not as expected."""
        self._proxy.begin([HttpFault(**fault) for fault in scenario.get("faults", ())])
        before, begun = self._cases(), time.monotonic()
        answer = self._answer(scenario)
        seconds, expected = time.monotonic() - begun, scenario["expect"]
        actual = {name: answer.get(name) for name in expected if name not in _OF_THE_HARNESS}
        wanted = {name: value for name, value in expected.items() if name not in _OF_THE_HARNESS}
        problems = [] if actual == wanted else [f"expected {wanted}, came {answer}"]
        if not expected.get("least_seconds", 0) <= seconds <= expected.get("most_seconds", 60):
            problems.append(f"took {seconds:.1f} s")
        if "most_sent" in expected and self._proxy.sent_bytes > expected["most_sent"] * (size := self._size(scenario)):
            problems.append(f"sent {self._proxy.sent_bytes} bytes of an image of {size}")
        if "cases" in expected and self._cases() - before != expected["cases"]:
            problems.append(f"made {self._cases() - before} cases")
        return problems

    def _answer(self, scenario: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        sent = scenario | {"keys": self._keys, "expired": first_id("upload", datetime.now(UTC) - timedelta(hours=2))}
        if "image" in scenario:
            sent["file"] = str(self._file(scenario["image"]))
        self._process.stdin.write(json.dumps(sent) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def _cases(self) -> int:
        with Client(self._url, key=self._keys["key"]) as client:
            return sum(1 for _ in client.cases())

    def _size(self, scenario: dict[str, Any]) -> int:
        return self._file(scenario["image"]).stat().st_size

    def _file(self, image: str) -> Path:
        """Return the file of an image: a photo, a test image by its name, or text."""
        if image in ("bytes", "stream"):
            return self._image
        file = self._folder / image
        file.write_bytes(drawing(image) if image in {end.name for end in FORCED_ENDS} else b"no image at all")
        return file


@contextmanager
def scenario_runner(
    command: Sequence[str], url: str, keys: Mapping[str, str], folder: Path, image: Path
) -> Iterator[ScenarioRunner]:
    runner = ScenarioRunner(command, url, keys, folder, image)
    try:
        yield runner
    finally:
        runner.stop()
