"""Celery as a producer: ready for several threads at once, and no fault of its own refuses a case that is stored."""

import asyncio

import pytest
from kombu import pools

from dermis.gateway.adapters import broker
from dermis.shared.case import PUBLIC_OWNER
from dermis.shared.ids import new_id
from dermis.shared.jobs import AssessJob


def test_the_pools_are_made_before_any_thread_sends() -> None:
    async def run() -> None:
        made = broker.RedisBroker("redis://127.0.0.1:1/0")
        made._ready.result(30)
        assert made._app.amqp._producer_pool is not None
        assert pools.get_limit() == broker._THREADS
        await made.close()

    asyncio.run(run())


def test_a_job_that_can_not_be_sent_for_whatever_reason_is_kept_for_later(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        made = broker.RedisBroker("redis://127.0.0.1:1/0")

        def fail(*_: object, **__: object) -> None:
            raise RuntimeError("Can't shrink pool when in use: was=10 now=4")

        monkeypatch.setattr(made._app, "send_task", fail)
        assert not await made.send(AssessJob(case_id=new_id("case"), owner=PUBLIC_OWNER))
        assert len(made._kept) == 1
        await made.close()

    asyncio.run(run())
