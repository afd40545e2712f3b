"""`dermis doctor`: each thing that can be wrong is found and comes with a remedy."""

import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from dermis.shared.stores.disk import DiskStore
from dermis.standalone import system
from dermis.standalone.cli import main
from dermis.standalone.doctor import examine
from dermis.standalone.finding import Finding, Level
from dermis.standalone.state import Running, hold

ENOUGH = SimpleNamespace(free=10**12)


@pytest.fixture(autouse=True)
def _a_redis_and_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "redis-server").write_text("#!/bin/sh\necho Redis server v=9.9 sha=0\n")
    (tmp_path / "bin" / "redis-server").chmod(0o755)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: ENOUGH)


def findings(tmp_path: Path, **environ: str) -> dict[str, Finding]:
    settings = {
        "DERMIS_STANDALONE_STATE": str(tmp_path / "state"),
        "DERMIS_GATEWAY_PORT": "0",
        "PATH": str(tmp_path / "bin"),
    }
    return {finding.about: finding for finding in examine(settings | environ)}


def test_a_good_machine_fails_nothing(tmp_path: Path) -> None:
    result = findings(tmp_path)
    assert {about: f.text for about, f in result.items() if f.level is Level.FAIL and about != "bundle"} == {}
    assert "Redis server v=9.9" in result["redis"].text
    assert result["bundle"].remedy
    assert list(DiskStore(tmp_path / "state/store").list("")) == []


@pytest.mark.parametrize(
    ("about", "environ", "said"),
    [
        ("redis", {"DERMIS_BROKER_URL": "nonsense"}, "not understood"),
        ("redis", {"DERMIS_BROKER_URL": "redis://h?socket_timeout=x"}, "does not answer"),
        (
            "settings",
            {"DERMIS_BROKR_URL": "x", "DERMIS_SWEEP_INTERVAL_SECONDS": "-1"},
            "did you mean DERMIS_BROKER_URL",
        ),
        ("settings", {"DERMIS_SWEEP_INTERVAL_SECONDS": "-1"}, "DERMIS_SWEEP_INTERVAL_SECONDS='-1'"),
        ("store", {"DERMIS_STORE_URL": "ftp://x"}, "DERMIS_STORE_URL"),
        ("gateway", {"DERMIS_GATEWAY_PORT": "http"}, "can't be listened on"),
    ],
)
def test_what_is_wrong_is_found(tmp_path: Path, about: str, environ: dict[str, str], said: str) -> None:
    result = findings(tmp_path, **environ)[about]
    assert (result.level, said in result.text) == (Level.FAIL, True)


def test_a_taken_port_fails(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = findings(tmp_path, DERMIS_GATEWAY_PORT=str(taken.getsockname()[1]))["gateway"]
    assert (result.level, "DERMIS_GATEWAY_PORT" in result.remedy) == (Level.FAIL, True)


@pytest.mark.parametrize(
    ("megabytes", "level"), [(199, Level.FAIL), (200, Level.WARN), (1999, Level.WARN), (2000, Level.OK)]
)
def test_a_full_disk_is_noticed_before_it_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, megabytes: int, level: Level
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=megabytes * 10**6))
    assert findings(tmp_path)["disk"].level is level


def test_a_store_that_can_not_be_written_fails(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "store").write_text("a file where a folder should be")
    result = findings(tmp_path)["store"]
    assert result.level is Level.FAIL


def test_a_missing_extra_fails_with_the_command_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dermis.standalone.extras.missing", lambda _: {"worker": ["opencv-python-headless>=4"]})
    result = findings(tmp_path)["packages"]
    assert (result.level, result.remedy) == (Level.FAIL, "pip install 'dermis[worker]'")


@pytest.mark.parametrize(
    ("part", "extra"), [("sweep", "models"), ("worker", "worker"), ("gateway", "gateway"), ("standalone", "standalone")]
)
def test_an_image_needs_what_its_part_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str, extra: str
) -> None:
    looked = []
    monkeypatch.setattr("dermis.standalone.extras.missing", lambda names: looked.append(tuple(names)) or {})
    packages = findings(tmp_path, PART=part)["packages"]
    assert (packages.level, looked) == (Level.OK, [(extra,)])
    assert packages.text.endswith(f"as the image of {part} has it")


@pytest.mark.parametrize(("ready", "level"), [(True, Level.OK), (False, Level.FAIL)])
def test_a_running_dermis_is_asked_whether_it_is_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ready: bool, level: Level
) -> None:
    asked = []

    def answers_ok(*where: object, tls: bool) -> Callable[[], bool]:
        assert not tls
        asked.append(where)
        return lambda: ready

    monkeypatch.setattr(system, "answers_ok", answers_ok)
    with hold(tmp_path / "state", Running(pid=7, url="http://127.0.0.1:9", broker_url="nonsense")):
        result = findings(tmp_path)["gateway"]
    assert (result.level, "process 7" in result.text) == (level, True)
    assert asked == [("127.0.0.1", 9, "/readyz")]


def test_the_exit_code_says_whether_anything_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for level, code in ((Level.OK, 0), (Level.WARN, 0), (Level.FAIL, 1)):
        monkeypatch.setattr(
            "dermis.standalone.commands.doctor.examine",
            lambda _, _url, level=level: [Finding(level=level, about="x", text="t", remedy="do it")],
        )
        result = CliRunner().invoke(main, ["doctor", "--state", str(tmp_path)])
        assert result.exit_code == code
        assert f"{level:<4}  x         t\n" in result.stdout
        assert "-> do it" in result.stdout


def test_what_can_not_be_looked_at_keeps_nothing_else_from_being_looked_at(tmp_path: Path) -> None:
    (tmp_path / "bin" / "redis-server").write_bytes(b"\x7fELF no program")
    result = findings(tmp_path)
    assert result["redis"].level is Level.FAIL
    assert "redis-server" in result["redis"].text
    assert result["store"].level is Level.OK
