"""What waits in a real Redis, as the gateway's Celery sends it, is read by a worker that asks for whom to make room."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import redis
from celery import Celery

from dermis.shared.jobs import ASSESS, ASSESS_IMAGE, CASES_QUEUE, SCRATCH_QUEUE, AssessImageJob, AssessJob
from dermis.worker.adapters.queues import waiting_lines
from tests.support.servers import free_port, redis_server


def test_the_lines_of_waiting_jobs_are_read_from_redis() -> None:
    with redis_server() as url:
        app, client = Celery(broker=url, set_as_current=False), redis.Redis.from_url(url)
        jobs = (
            (ASSESS, CASES_QUEUE, AssessJob(case_id="case_1", owner="a")),
            (ASSESS, CASES_QUEUE, AssessJob(case_id="case_2", owner="public", line="an address")),
            (ASSESS, "cases.2", AssessJob(case_id="case_3", owner="not first")),
            (ASSESS_IMAGE, SCRATCH_QUEUE, AssessImageJob(scratch_id="1", content_type="image/png", line="c")),
        )
        for name, queue, job in jobs:
            app.send_task(name, kwargs={"job": job.model_dump()}, queue=queue)
        assert set(waiting_lines(client)) == {"a", "an address", "c"}
        client.close()


AWAY_S = 13
"""Kombu's own waits of 2, 4, 6, 8 s would end 7 s after that."""
BACK_WITHIN_S = 5


def test_a_worker_is_back_within_seconds_of_redis(tmp_path: Path) -> None:
    port = free_port()
    settings = {"STORE_URL": tmp_path.as_uri(), "BROKER_URL": f"redis://127.0.0.1:{port}/0", "WORKER_CONCURRENCY": "1"}
    environment = {**os.environ, **{f"DERMIS_{name}": value for name, value in settings.items()}}
    with contextlib.ExitStack() as ends:
        with redis_server(port=port) as url:
            worker = subprocess.Popen(
                [sys.executable, "-m", "dermis.worker"],
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            ends.callback(worker.wait, 30)
            ends.callback(worker.terminate)
            assert takes_jobs(url, within_s=60)
        time.sleep(AWAY_S)
        with redis_server(port=port) as url:
            assert takes_jobs(url, within_s=BACK_WITHIN_S)


def takes_jobs(url: str, *, within_s: float) -> bool:
    end = time.monotonic() + within_s
    with redis.Redis.from_url(url) as client:
        while time.monotonic() < end:
            if any(each["cmd"] == "brpop" for each in client.client_list()):
                return True
            time.sleep(0.1)
    return False
