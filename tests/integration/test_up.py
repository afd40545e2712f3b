"""`dermis up` with the real parts: start, assess, lose a worker, lose Redis, drain, die."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import pytest
import redis

from dermis.shared.case import Failed, Outcome, failed_key, open_key
from dermis.shared.stores.disk import DiskStore
from dermis.standalone import demo
from dermis.standalone.state import find_running
from tests.support.images import encode

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for left processes in /proc"),
    pytest.mark.timeout(400),
]
IMAGES = sorted(demo.CASE.glob("*.jpg"))
QUICK_SWEEP = {"DERMIS_SWEEP_INTERVAL_SECONDS": "1", "DERMIS_SWEEP_RESEND_AFTER_SECONDS": "2"}


@dataclass
class Up:
    """A running `dermis up`; `lines` is what it printed so far."""

    process: "subprocess.Popen[str]"
    state: Path
    lines: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return next(match[1] for line in self.lines if (match := re.search(r"^ready in .* s: (http://\S+)", line)))

    @property
    def store(self) -> DiskStore:
        return DiskStore(self.state / "store")

    @contextmanager
    def redis(self) -> Iterator[redis.Redis]:
        running = find_running(self.state)
        assert running
        with redis.Redis.from_url(running.broker_url) as client:
            yield client

    def forget_jobs(self) -> None:
        with self.redis() as client:
            client.flushall()

    def in_work(self) -> int:
        with self.redis() as client:
            return int(client.hlen("unacked"))

    def pid(self, part: str) -> int:
        """Return the process of a part, not of its children; `webhooks` is a worker that does nothing else."""
        name = "redis-server" if part == "redis" else f"-m dermis.{'worker' if part == 'webhooks' else part}"
        of_part = (pid for pid in processes_of(self.state) if name in command_of(pid))
        parents = {pid: parent_of(pid) for pid in of_part if sends_webhooks(pid) is (part == "webhooks")}
        return next(pid for pid, parent in parents.items() if parent not in parents)

    def submit(self) -> str:
        files = [("images", (image.name, image.read_bytes(), "image/jpeg")) for image in IMAGES]
        answer = httpx.post(f"{self.url}/v1/cases", files=files, data={"self_report": "{}"}, timeout=30)
        assert answer.status_code in (200, 202), answer.text
        return str(answer.json()["id"])

    def status(self, case_id: str) -> str:
        return str(httpx.get(f"{self.url}/v1/cases/{case_id}", timeout=30).json()["status"])

    def facts(self, case_id: str) -> set[str]:
        return {key.split("/")[-1] for key in self.store.list(f"cases/public/{case_id}/") if key.endswith(".json")}


def dermis(*arguments: str, state: Path, **environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(*arguments), env=environment(state, environ), capture_output=True, text=True, timeout=120, check=False
    )


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "dermis.standalone", *arguments]


def environment(state: Path, more: dict[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DERMIS_")}
    return kept | {"DERMIS_STANDALONE_STATE": str(state)} | more


@contextmanager
def running(state: Path, **environ: str) -> Iterator[Up]:
    """Run `dermis up` on a free port until the block ends; whatever happens in it, no process is left."""
    process = subprocess.Popen(
        command("up", "--port", "0"),
        env=environment(state, environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    up = Up(process, state)

    def read() -> None:
        assert process.stdout
        for line in process.stdout:
            up.lines.append(line.rstrip())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        until(lambda: process.poll() is not None or any(line.startswith("ready ") for line in up.lines), 90)
        assert process.poll() is None, "\n".join(up.lines)
        yield up
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(60)
        process.kill()
        process.wait()
        reader.join(10)
        print("\n".join(up.lines))
        assert process.stdout
        process.stdout.close()


def until(condition: Callable[[], object], seconds: float) -> float:
    """Wait for `condition` and return the seconds that it took."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds, "that took too long"
        time.sleep(0.02)
    return time.monotonic() - begun


def processes_of(state: Path) -> set[int]:
    """Return the processes that were started with `state` or work in it, zombies apart.

    Redis writes over its environment, so only the folder in which it works tells.
    """
    wanted = f"DERMIS_STANDALONE_STATE={state}\0".encode()
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if wanted in (folder / "environ").read_bytes() + b"\0" or (folder / "cwd").readlink().is_relative_to(state):
                found.add(int(folder.name))
    return found


def command_of(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


def sends_webhooks(pid: int) -> bool:
    with suppress(OSError):
        return b"DERMIS_WORKER_QUEUES=webhooks\0" in Path(f"/proc/{pid}/environ").read_bytes() + b"\0"
    return False


def parent_of(pid: int) -> int:
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with running(tmp_path_factory.mktemp("up") / "state", **QUICK_SWEEP) as started:
        yield started


def test_a_case_goes_through_assess(up: Up) -> None:
    drawn = up.state.parent / "heatmaps"
    options = ("--answers", str(demo.CASE / "answers.json"), "--url", up.url, "--json", "--heatmaps", str(drawn))
    result = dermis("assess", *map(str, IMAGES), *options, state=up.state)
    case = json.loads(result.stdout)
    assert case["outcome"]["model"] == {"name": "dermis", "version": 1, "purpose": "demo"}
    assert len(list(drawn.glob("*.png"))) == len(case["outcome"]["heatmaps"]) > 0
    assert result.returncode == {"DIFFERENTIAL": 0, "ABSTENTION": 3}[case["outcome"]["kind"]]
    assert abs(sum(entry["probability"] for entry in case["outcome"]["differential"]) - 1) < 1e-4


def test_a_problem_is_shown_and_nothing_is_stored(up: Up, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"%PDF-1.4 not an image")
    before = list(up.store.list("cases/"))
    result = dermis("assess", str(tmp_path / "a.jpg"), "--url", up.url, state=up.state)
    assert (result.returncode, result.stdout) == (2, "")
    assert "/images/0" in result.stderr
    assert list(up.store.list("cases/")) == before


def test_the_doctor_and_config_find_what_runs(up: Up) -> None:
    result = dermis("doctor", state=up.state)
    assert result.returncode == 0, result.stdout
    assert f"runs and is ready at {up.url}" in result.stdout
    result = dermis("config", "--json", state=up.state, DERMIS_SERVING_ADDRESS="elsewhere:1")
    shown = {row["name"]: row for row in json.loads(result.stdout)}
    assert shown["DERMIS_BROKER_URL"]["source"] == "dermis up"
    assert shown["DERMIS_GATEWAY_PORT"]["value"] == up.url.rpartition(":")[2]
    assert shown["DERMIS_SERVING_ADDRESS"]["value"].startswith("127.0.0.1:")
    assert f"answers at {up.url}" in result.stderr
    assert "not in use there, though this shell sets it: DERMIS_SERVING_ADDRESS" in result.stderr


def test_the_status_of_what_runs_is_read_where_it_runs(up: Up) -> None:
    result = dermis("status", "--json", state=up.state)
    status = json.loads(result.stdout)
    assert (result.returncode, status["faults"]) == (0, []), result.stdout
    assert {part["name"]: part["ok"] for part in status["parts"]} == {
        "gateway": True,
        "worker": True,
        "sweep": True,
        "metadata": True,
        "serving": True,
        "webhooks": True,
    }
    assert all(part["version"] for part in status["parts"])
    assert status["current_model"].startswith("dermis/")
    away = dermis("status", "--url", "http://127.0.0.1:9", state=up.state)
    assert (away.returncode, "gateway does not answer" in away.stdout) == (1, True)


def test_a_second_dermis_in_the_same_folder_is_refused(up: Up) -> None:
    result = dermis("up", "--port", "0", state=up.state)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("dermis: another dermis uses")


def test_a_job_that_redis_lost_is_sent_again(up: Up) -> None:
    with stopped(up, "worker"):
        case_id = up.submit()
        up.forget_jobs()
        assert up.facts(case_id) == {"received.json"}
    until(lambda: up.status(case_id) == "FINISHED", 30)
    assert up.facts(case_id) == {"received.json", "assessed.json", "outcome.json"}
    until(lambda: open_key(case_id) not in set(up.store.list("open/")), 10)


def test_a_failed_case_is_replayed(up: Up) -> None:
    with stopped(up, "worker"):
        case_id = up.submit()
        up.forget_jobs()
        fact = Failed(case_id=case_id, attempt=1, failed_at=datetime.now(UTC), reason="TEST", detail="made to fail")
        up.store.put_once(failed_key("public", case_id, 1), fact.model_dump_json().encode())
        assert up.status(case_id) == "FAILED"
        result = dermis("replay", case_id, state=up.state)
        assert (result.returncode, result.stdout) == (0, f"attempt 2 of {case_id} is on its way\n")
    until(lambda: up.status(case_id) == "FINISHED", 30)
    assert "has its outcome;" in dermis("replay", case_id, state=up.state).stderr


@pytest.mark.parametrize("part", ["metadata", "serving", "gateway", "worker", "redis"])
def test_a_dead_part_is_started_again_and_cases_go_on(up: Up, part: str) -> None:
    os.kill(up.pid(part), signal.SIGKILL)
    until(lambda: any(line.startswith(part) and "killed by SIGKILL; starts again" in line for line in up.lines), 10)
    until(lambda: is_ready(up), 30)
    case_id = up.submit()
    until(lambda: up.status(case_id) == "FINISHED", 60)


def test_ctrl_c_drains_what_is_open_is_finished_later_and_nothing_outlives_a_kill(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with running(state) as first:
        pids = processes_of(state)
        assert len(pids) > 7  # the supervisor, its guard and six parts, the worker's pool among them
        case_id = first.submit()
        first.process.send_signal(signal.SIGINT)
        took = until(lambda: first.process.poll() is not None, 60)
        assert first.process.returncode == 0
        until(lambda: "stopped" in first.lines, 5)
        assert processes_of(state) == set()
        print(f"drained in {took:.1f} s; facts: {first.facts(case_id)}")
    with running(state, **QUICK_SWEEP) as second:
        until(lambda: second.status(case_id) == "FINISHED", 30)
        assert second.facts(case_id) == {"received.json", "assessed.json", "outcome.json"}
        second.process.kill()
        until(lambda: processes_of(state) == set(), 10)


def test_a_worker_killed_during_a_case_still_gives_one_outcome_within_90_s(tmp_path: Path) -> None:
    """With the settings that ship."""
    state = tmp_path / "state"
    with running(state) as up:
        cases = [up.submit() for _ in range(8)]
        until(up.in_work, 20)
        os.killpg(up.pid("worker"), signal.SIGKILL)
        killed = time.monotonic()
        in_work = [case_id for case_id in cases if "outcome.json" not in up.facts(case_id)]
        assert in_work
        until(lambda: all("outcome.json" in up.facts(case_id) for case_id in cases), 90)
        print(
            f"{len(in_work)} of 8 cases were open at the kill; all had their outcome "
            f"{time.monotonic() - killed:.1f} s later"
        )
        for case_id in cases:
            assert up.facts(case_id) == {"received.json", "assessed.json", "outcome.json"}
            Outcome.model_validate_json(up.store.get(f"cases/public/{case_id}/outcome.json"))


def test_a_decoding_process_past_the_hard_limit_is_killed_and_its_case_fails(tmp_path: Path) -> None:
    """63 megapixels take libpng, which heeds no signal, far longer than a case may take here."""
    limits = {"SOFT_TIME_LIMIT": "0.15", "HARD_TIME_LIMIT": "0.2", "VISIBILITY_TIMEOUT": "1"}
    with running(
        tmp_path / "state", **{f"DERMIS_WORKER_{name}_SECONDS": seconds for name, seconds in limits.items()}
    ) as up:
        files = {"images": ("large.png", encode(np.zeros((7900, 8000, 3), np.uint8), "PNG"), "image/png")}
        case_id = httpx.post(f"{up.url}/v1/cases", files=files, timeout=30).json()["id"]
        until(lambda: up.status(case_id) == "FAILED", 240)
        failed = Failed.model_validate_json(up.store.get(failed_key("public", case_id, 1)))
        assert failed.reason == "WORKER_LOST"
        assert up.facts(case_id) >= {"received.json", "1.json"}
        assert "outcome.json" not in up.facts(case_id)
        assert any("TimeLimitExceeded" in line for line in up.lines)


def test_decoding_past_its_processor_time_fails_its_case_at_once_and_the_next_case_is_done(tmp_path: Path) -> None:
    with running(tmp_path / "state", DERMIS_WORKER_DECODE_CPU_SECONDS="0.3") as up:
        files = {"images": ("large.png", encode(np.zeros((7900, 8000, 3), np.uint8), "PNG"), "image/png")}
        case_id = httpx.post(f"{up.url}/v1/cases", files=files, timeout=30).json()["id"]
        until(lambda: up.status(case_id) == "FAILED", 30)
        failed = Failed.model_validate_json(up.store.get(failed_key("public", case_id, 1)))
        assert (failed.reason, "image 1" in failed.detail) == ("IMAGE_COST", True)
        small = {"images": ("small.png", encode(np.zeros((80, 80, 3), np.uint8), "PNG"), "image/png")}
        next_id = httpx.post(f"{up.url}/v1/cases", files=small, timeout=30).json()["id"]
        until(lambda: up.status(next_id) == "FINISHED", 60)
        until(lambda: not list(up.store.list("open/")), 30)
        assert up.facts(case_id) == {"received.json", "1.json"}, (
            "delivered again, it is closed: nothing is decoded a second time"
        )


@contextmanager
def stopped(up: Up, part: str) -> Iterator[None]:
    """Hold a part still, so that jobs stay where they are."""
    group = up.pid(part)
    os.killpg(group, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(group, signal.SIGCONT)


def is_ready(up: Up) -> bool:
    with suppress(httpx.HTTPError):
        return bool(httpx.get(f"{up.url}/readyz", timeout=2).json() == {"store": "OK", "broker": "OK"})
    return False
