"""Metrics beside the API, or apart from it."""

import asyncio
from typing import Any

from prometheus_client import generate_latest

from dermis.gateway.metrics import MetricsOfLoop


def test_metrics_are_beside_the_api_unless_they_have_a_port_of_their_own(gateway: Any) -> None:
    assert gateway.get("/metrics").status_code == 200
    gateway.settings["metrics_listen"] = "0.0.0.0:9100"
    refused = gateway.get("/metrics")
    assert (refused.status_code, refused.json()["reason"]) == (404, "NOT_FOUND")


def test_another_thread_reads_metrics_and_the_queue(gateway: Any, jpeg: bytes) -> None:
    gateway.submit(jpeg)
    gateway.broker.depth = 7

    async def looked_at() -> bytes:
        registry = MetricsOfLoop(gateway.metrics, asyncio.get_running_loop(), gateway.broker.load)
        return await asyncio.to_thread(generate_latest, registry)

    lines = gateway.runner.run(looked_at()).decode().splitlines()
    assert "dermis_queue_depth 7.0" in lines
    assert 'dermis_gateway_cases_total{queued="True"} 1.0' in lines
