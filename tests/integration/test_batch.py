"""A batch is brought to its end though its worker is killed and Redis loses all that waits: each row once, in order."""

import json
import os
import signal
from pathlib import Path

import httpx
import pytest

from dermis.shared.batches import OPEN_BATCHES
from tests.integration.test_up import IMAGES, QUICK_SWEEP, dermis, pytestmark, running, until

__all__ = ["pytestmark"]
ROWS = 60


@pytest.fixture
def source(tmp_path: Path) -> str:
    folder = tmp_path / "source"
    folder.mkdir()
    for image in IMAGES:
        (folder / image.name).write_bytes(image.read_bytes())
    return folder.as_uri()


def test_a_batch_survives_its_worker_and_redis(tmp_path: Path, source: str) -> None:
    table = "name,images,body_parts\n" + "".join(f"row {n},{IMAGES[n % 3].name},ARM;LEG\n" for n in range(ROWS))
    variables = {"DERMIS_GATEWAY_BATCH_SOURCES": source, "DERMIS_WORKER_CONCURRENCY": "1", **QUICK_SWEEP}
    key = dermis("keys", "create", "--name", "batches", "--scope", "admin", state=tmp_path / "state").stdout.strip()
    bearer = {"Authorization": f"Bearer {key}"}
    with (
        running(tmp_path / "state", **variables) as up,
        httpx.Client(base_url=up.url, timeout=30, headers=bearer) as http,
    ):
        assert httpx.get(f"{up.url}/v1/batches").json()["reason"] == "SCOPE"
        made = http.post(
            "/v1/batches", params={"url": source}, content=table.encode(), headers={"Content-Type": "text/csv"}
        )
        assert made.status_code == 202, made.text
        where = made.headers["location"]
        until(lambda: http.get(where).json()["rows_done"], 60)
        os.kill(up.pid("worker"), signal.SIGKILL)
        up.forget_jobs()
        assert http.get(where).json()["status"] == "RUNNING", "it ended before anything was lost: more rows are needed"
        until(lambda: http.get(where).json()["status"] == "FINISHED", 120)
        shown = http.get(where).json()
        assert (shown["rows_done"], shown["failed"]) == (ROWS, {})
        results = [json.loads(line) for line in http.get(f"{where}/results").text.splitlines()]
        assert [result["name"] for result in results] == [f"row {n}" for n in range(ROWS)]
        assert all(result["outcome"]["kind"] in ("DIFFERENTIAL", "ABSTENTION") for result in results)
        until(lambda: not list(up.store.list(OPEN_BATCHES)), 30)
        assert not list(up.store.list("cases/"))
