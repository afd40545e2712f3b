"""Which processes are planned, with which variables."""

import os
import re
import socket
import sys
from pathlib import Path

import pytest

from dermis.shared.errors import DermisError
from dermis.standalone import extras
from dermis.standalone.addresses import free_ports
from dermis.standalone.broker import find_redis_server, move_queue_aside, write_redis_config
from dermis.standalone.processes import ProcessPlan, make_plan
from dermis.standalone.settings import load_standalone


@pytest.fixture
def redis_path(tmp_path: Path) -> str:
    (tmp_path / "bin").mkdir()
    executable(tmp_path / "bin" / "redis-server")
    return str(tmp_path / "bin")


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def plan(tmp_path: Path, **environ: str) -> ProcessPlan:
    environ = {
        "PATH": os.environ["PATH"],
        "DERMIS_STANDALONE_STATE": str(tmp_path),
        "DERMIS_GATEWAY_PORT": "0",
    } | environ
    return make_plan(load_standalone(environ), environ)


def test_everything_is_started_with_the_variables_of_a_pod(tmp_path: Path, redis_path: str) -> None:
    planned = plan(tmp_path, PATH=redis_path, DERMIS_WORKER_CONCURRENCY="1")
    assert {part.name: part.leaves for part in planned.parts} == {
        "redis": 3,
        "gateway": 0,
        "sweep": 0,
        "worker": 1,
        "webhooks": 1,
        "metadata": 2,
        "serving": 2,
    }
    commands = {part.name: part.command for part in planned.parts}
    (webhooks,) = (part for part in planned.parts if part.name == "webhooks")
    assert webhooks.variables["DERMIS_WORKER_QUEUES"] == "webhooks"
    assert commands["worker"] == (sys.executable, "-m", "dermis.worker")
    assert commands["sweep"] == (sys.executable, "-m", "dermis.sweep")
    environ = planned.environ
    assert environ["DERMIS_STORE_URL"] == f"file://{tmp_path}/store"
    assert environ["DERMIS_METADATA_ADDRESS"] == environ["DERMIS_METADATA_LISTEN"] != environ["DERMIS_SERVING_ADDRESS"]
    assert environ["DERMIS_SERVING_ADDRESS"] == environ["DERMIS_SERVING_LISTEN"]
    assert planned.url == f"http://127.0.0.1:{environ['DERMIS_GATEWAY_PORT']}"
    next(part for part in planned.parts if part.name == "redis").prepare()
    config = Path(commands["redis"][1]).read_text()
    port, password = re.findall(r"^(?:requirepass|port) (\S+)$", config, re.MULTILINE)
    assert planned.broker_url == environ["DERMIS_BROKER_URL"] == f"redis://:{password}@127.0.0.1:{port}/0"
    assert environ["DERMIS_WORKER_CONCURRENCY"] == "1"
    assert planned.external == ()


def test_the_state_folder_is_its_owners_alone_from_the_start(tmp_path: Path, redis_path: str) -> None:
    plan(tmp_path, PATH=redis_path, DERMIS_STANDALONE_STATE=str(tmp_path / "state"))
    assert (tmp_path / "state").stat().st_mode & 0o077 == 0
    (tmp_path / "file").write_text("")
    with pytest.raises(DermisError, match="name another one with --state"):
        plan(tmp_path, PATH=redis_path, DERMIS_STANDALONE_STATE=str(tmp_path / "file"))


def test_a_part_that_runs_elsewhere_is_not_started(tmp_path: Path) -> None:
    given = {
        "DERMIS_BROKER_URL": "redis://elsewhere/0",
        "DERMIS_METADATA_ADDRESS": "elsewhere:1",
        "DERMIS_SERVING_ADDRESS": "elsewhere:2",
    }
    planned = plan(tmp_path, PATH="", **given)
    assert {part.name for part in planned.parts} == {"gateway", "sweep", "worker", "webhooks"}
    assert planned.environ.items() >= given.items()
    assert planned.external == tuple(given)


def test_a_taken_port_is_named_with_the_option(tmp_path: Path, redis_path: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(DermisError, match=rf"127\.0\.0\.1:{port} is taken by another process; name another --port"):
            plan(tmp_path, PATH=redis_path, DERMIS_GATEWAY_PORT=str(port))
        with pytest.raises(DermisError, match="DERMIS_STANDALONE_REDIS_PORT"):
            plan(tmp_path, PATH=redis_path, DERMIS_STANDALONE_REDIS_PORT=str(port))


def test_an_address_of_another_machine_is_named_with_the_option(tmp_path: Path, redis_path: str) -> None:
    for host in ("192.0.2.7", "300.1.1.1"):
        with pytest.raises(DermisError, match=f"--host '{host}' is no address of this machine"):
            plan(tmp_path, PATH=redis_path, DERMIS_GATEWAY_HOST=host)


def test_an_open_address_is_shown_as_one_that_can_be_called(tmp_path: Path, redis_path: str) -> None:
    planned = plan(tmp_path, PATH=redis_path, DERMIS_GATEWAY_HOST="0.0.0.0")  # noqa: S104
    assert planned.environ["DERMIS_GATEWAY_HOST"] == "0.0.0.0"  # noqa: S104
    assert planned.url.startswith("http://127.0.0.1:")


def test_no_port_is_a_clear_error(tmp_path: Path, redis_path: str) -> None:
    with pytest.raises(DermisError, match="DERMIS_GATEWAY_PORT='http' is no port"):
        plan(tmp_path, PATH=redis_path, DERMIS_GATEWAY_PORT="http")


def test_free_ports_differ() -> None:
    assert len(set(free_ports(20))) == 20


def test_redis_is_looked_for_on_path_then_in_the_environment(tmp_path: Path, redis_path: str) -> None:
    prefix = tmp_path / "env"
    with pytest.raises(DermisError, match=r"no redis-server on PATH; install it .* or set DERMIS_BROKER_URL"):
        find_redis_server({"PATH": ""}, prefix)
    carried = executable(prefix / "redis" / "bin" / "redis-server")
    assert find_redis_server({"PATH": ""}, prefix) == carried
    installed = executable(prefix / "bin" / "redis-server")
    assert find_redis_server({"PATH": ""}, prefix) == installed
    assert find_redis_server({"PATH": redis_path}, prefix) == Path(redis_path) / "redis-server"
    installed.chmod(0o644)
    assert find_redis_server({"PATH": ""}, prefix) == carried


def test_redis_keeps_its_queue_and_is_for_this_machine_and_who_may_read_its_folder(tmp_path: Path) -> None:
    write_redis_config(port=1, folder=tmp_path / "redis", password="secret")  # noqa: S106  # pragma: allowlist secret
    config = (tmp_path / "redis.conf").read_text().splitlines()
    assert {"bind 127.0.0.1", "port 1", "appendonly yes", "requirepass secret", f'dir "{tmp_path / "redis"}"'} <= set(
        config
    )
    assert (tmp_path / "redis.conf").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "redis").stat().st_mode & 0o777 == 0o700


def test_a_second_plan_changes_nothing_for_a_redis_that_runs(tmp_path: Path, redis_path: str) -> None:
    first, second = (plan(tmp_path, PATH=redis_path) for _ in range(2))
    assert first.broker_url != second.broker_url
    assert not (tmp_path / "redis.conf").exists()


def test_a_queue_that_cannot_be_loaded_is_moved_aside(tmp_path: Path) -> None:
    for n in (1, 2):
        (tmp_path / "appendonly.aof").write_bytes(bytes(n))
        assert "moved" in move_queue_aside(tmp_path)
        assert (tmp_path / "damaged" / "appendonly.aof").read_bytes() == bytes(n)
    assert move_queue_aside(tmp_path) == ""


def test_this_environment_has_what_up_needs() -> None:
    assert extras.missing(("gateway", "worker", "metadata", "serving")) == {}


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wanted = [
        "celery>=5",
        "no-such-package>=1; extra == 'worker'",
        "dermis[worker]; extra == 'data'",
        "click>=999; extra == 'gateway'",
    ]
    monkeypatch.setattr("importlib.metadata.requires", lambda _: wanted)
    assert extras.missing(("gateway", "worker", "data", "metadata")) == {
        "gateway": ["click>=999"],
        "worker": ["no-such-package>=1"],
        "data": ["dermis[worker]"],
    }
    with pytest.raises(
        DermisError, match=r"not installed: click>=999, no-such-package>=1; pip install 'dermis\[gateway,worker\]'"
    ):
        plan(tmp_path)
