"""What waits in a real Redis, as the gateway's Celery sends it, is read by a worker that asks for whom to make room."""

import redis
from celery import Celery

from dermis.shared.jobs import ASSESS, ASSESS_IMAGE, CASES_QUEUE, SCRATCH_QUEUE, AssessImageJob, AssessJob
from dermis.worker.adapters.queues import waiting_lines
from tests.support.servers import redis_server


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
