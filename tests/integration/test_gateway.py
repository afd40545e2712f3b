"""The gateway in a process of its own, over a store on disk and a real Redis that comes and goes."""

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
import redis

from dermis.shared.case import Assessed, Outcome, OutcomeKind, fact_key, open_key
from dermis.shared.jobs import (
    ASSESS_IMAGE,
    CASES_QUEUE,
    CASES_QUEUES,
    REPLY_SECONDS,
    SCRATCH_QUEUE,
    reply_key,
    scratch_key,
    wakeup_channel,
)
from dermis.shared.report import QualityReport, Verdict
from dermis.shared.stores.disk import DiskStore
from tests.support.servers import free_port, redis_server

NOW = datetime(2026, 1, 2, tzinfo=UTC)
IMAGE = cv2.imencode(".png", np.zeros((40, 60, 3), np.uint8))[1].tobytes()


@dataclass
class System:
    http: httpx.Client
    store: DiskStore
    process: "subprocess.Popen[bytes]"
    redis_port: int

    def submit(self, **options: Any) -> httpx.Response:
        return self.http.post("/v1/cases", files={"images": IMAGE}, **options)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running(tmp_path_factory.mktemp("store")) as found:
        yield found


@contextlib.contextmanager
def running(folder: Path, *, ends: int = 0, **settings: str) -> Iterator[System]:
    """Run a gateway that ends with `ends`."""
    port, redis_port = free_port(), free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DERMIS_")}
    environment |= {
        "DERMIS_STORE_URL": folder.as_uri(),
        "DERMIS_BROKER_URL": f"redis://127.0.0.1:{redis_port}/0",
        "DERMIS_GATEWAY_PORT": str(port),
        "DERMIS_GATEWAY_KEYLESS": "true",
        **settings,
    }
    process = subprocess.Popen([sys.executable, "-m", "dermis.gateway"], env=environment)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as http:
            for _ in range(300):
                with contextlib.suppress(httpx.ConnectError):
                    http.get("/livez")
                    break
                time.sleep(0.1)
            yield System(http, DiskStore(folder), process, redis_port)
    finally:
        process.terminate()
        assert process.wait(30) == ends


@contextlib.contextmanager
def broker(system: System) -> Iterator[redis.Redis]:
    """Run Redis until the gateway has found it, and for as long as the block lasts."""
    with redis_server(port=system.redis_port) as url, redis.Redis.from_url(url) as client:
        for _ in range(100):
            if system.http.get("/readyz").json()["broker"] == "OK" and client.pubsub_numpat():
                break
            time.sleep(0.1)
        time.sleep(2)  # the pause after a failed send
        yield client


def job_of(message: bytes) -> tuple[str, dict[str, Any]]:
    envelope = json.loads(message)
    _, kwargs, _ = json.loads(base64.b64decode(envelope["body"]))
    return envelope["headers"]["task"], kwargs["job"]


def finish(system: System, client: redis.Redis, case_id: str) -> None:
    for name, fact in (
        ("assessed", Assessed(case_id=case_id, assessed_at=NOW, images=())),
        ("outcome", Outcome(case_id=case_id, finished_at=NOW, kind=OutcomeKind.REJECTION)),
    ):
        system.store.put_once(fact_key("public", case_id, name), fact.model_dump_json().encode())  # type: ignore[arg-type]
        client.publish(wakeup_channel(case_id), name)


def test_who_waits_is_woken_at_once(system: System) -> None:
    with broker(system) as client:
        found: list[tuple[float, tuple[str, dict[str, Any]]]] = []

        def work() -> None:
            reply: Any = client.blpop([CASES_QUEUE], timeout=10)
            task, job = job_of(reply[1])
            finish(system, client, job["case_id"])
            found.append((time.monotonic(), (task, job)))

        worker = threading.Thread(target=work)
        worker.start()
        response = system.submit(headers={"Prefer": "wait=10"})
        answered = time.monotonic()
        worker.join()
        done, (task, job) = found[0]
        assert (response.status_code, response.json()["status"]) == (200, "FINISHED")
        assert task == "case.assess"
        assert job == {"case_id": response.json()["id"], "owner": "public", "attempt": 1, "line": job["line"]}
        print(f"outcome to answer: {(answered - done) * 1000:.1f} ms")
        assert answered - done < 1


def test_events_stream_as_they_come(system: System) -> None:
    with broker(system) as client:
        case_id = system.submit().json()["id"]
        seen = []
        with system.http.stream("GET", f"/v1/cases/{case_id}/events") as response:
            for line in response.iter_lines():
                if line.startswith("event: "):
                    seen.append(line)
                if line == "event: received":
                    finish(system, client, case_id)
        assert seen == ["event: received", "event: assessed", "event: outcome"]


def test_an_image_is_judged_at_once(system: System) -> None:
    report = QualityReport(verdict=Verdict.USABLE, reasons=(), advice=(), measures=None, policy="1")
    with broker(system) as client:
        judged: list[bytes] = []

        def work() -> None:
            reply: Any = client.blpop([SCRATCH_QUEUE], timeout=10)
            task, job = job_of(reply[1])
            assert task == ASSESS_IMAGE
            judged.append(system.store.get(scratch_key(job["scratch_id"])))
            client.lpush(reply_key(job["scratch_id"]), report.model_dump_json())
            client.expire(reply_key(job["scratch_id"]), REPLY_SECONDS)

        worker = threading.Thread(target=work)
        worker.start()
        response = system.http.post("/v1/images:assess", files={"image": IMAGE})
        worker.join()
        assert QualityReport.model_validate(response.json()) == report
        assert judged
        assert not list(system.store.list("scratch/"))


def test_without_redis_a_case_is_stored_answered_soon_and_queued_when_redis_is_there(system: System) -> None:
    start = time.monotonic()
    response = system.submit()
    assert response.status_code == 202
    assert time.monotonic() - start < 3
    assert system.store.get(open_key(response.json()["id"]))
    assert system.http.get("/readyz").json() == {"store": "OK", "broker": "UNREACHABLE"}
    assert system.http.post("/v1/images:assess", files={"image": IMAGE}).json()["reason"] == "BROKER_UNAVAILABLE"
    system.store.put_once(
        fact_key("public", response.json()["id"], "outcome"),
        Outcome(case_id=response.json()["id"], finished_at=NOW, kind=OutcomeKind.REJECTION).model_dump_json().encode(),
    )
    assert system.http.get(response.headers["location"], headers={"Prefer": "wait=5"}).json()["status"] == "FINISHED"
    later = system.submit().json()["id"]
    with broker(system) as client:
        sent = [[job_of(message)[1]["case_id"] for message in client.lrange(queue, 0, -1)] for queue in CASES_QUEUES]  # type: ignore[arg-type]
        assert sent == [[response.json()["id"]], [later], [], [], []]  # kept until Redis was there, in order, each once
        system.submit()
        assert [client.llen(queue) for queue in CASES_QUEUES] == [1, 2, 0, 0, 0]


def test_a_deep_or_slow_queue_is_noticed_and_its_end_too(tmp_path: Path) -> None:
    with (
        running(tmp_path, DERMIS_GATEWAY_MAX_QUEUE_DEPTH="3", DERMIS_GATEWAY_MAX_QUEUE_SECONDS="2") as system,
        broker(system) as client,
    ):
        assert [system.submit().status_code for _ in range(2)] == [202, 202]
        time.sleep(2.5)
        slow = system.submit()
        assert (slow.status_code, slow.json()["reason"]) == (503, "QUEUE_BUSY")
        assert 1 <= int(slow.headers["retry-after"]) <= 30
        client.delete(*CASES_QUEUES)  # the line without its queue is not believed
        assert system.submit().status_code == 202
        client.flushdb()
        statuses = []
        for _ in range(4):
            statuses.append(system.submit().status_code)
            time.sleep(0.3)
        assert statuses == [202, 202, 202, 503]


def test_it_ends_soon_though_clients_wait(tmp_path: Path) -> None:
    with running(tmp_path) as system:
        case_id = system.submit().json()["id"]
        with system.http.stream("GET", f"/v1/cases/{case_id}/events") as response:
            lines = response.iter_lines()
            while next(lines) != "event: received":
                pass
            start = time.monotonic()
            system.process.send_signal(signal.SIGTERM)
            assert "event: outcome" not in list(lines)
        assert system.process.wait(10) == 0
        assert time.monotonic() - start < 5


def test_wrong_settings_are_all_named_and_nothing_starts() -> None:
    environment = {**os.environ, "DERMIS_STORE_URL": "ftp://x", "DERMIS_GATEWAY_PORT": "x", "DERMIS_GATEWAY_PROT": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "dermis.gateway"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    for named in ("DERMIS_GATEWAY_PORT='x'", "DERMIS_GATEWAY_PROT", "ftp://x"):
        assert named in done.stderr
    assert "Traceback" not in done.stderr
