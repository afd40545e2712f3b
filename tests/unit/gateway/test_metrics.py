"""Metrics beside the API, or apart from it."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest

from dermis.gateway.metrics import GatewayMetrics, MetricsOfLoop
from dermis.gateway.ports import QueueLoad
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ports import Room
from dermis.standalone.lan import make_face


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


def test_the_room_of_the_store_is_shown_beside_what_new_cases_need() -> None:
    rooms: list[Room | None] = [Room(bytes=5, inodes=None), None]
    metrics = GatewayMetrics()
    metrics.watch_room(lambda: rooms[0], least_bytes=7, least_inodes=9)
    text = metrics.render(None).decode()
    assert "dermis_store_free_bytes 5.0" in text
    assert "dermis_store_free_inodes NaN" in text
    assert "dermis_gateway_least_free_bytes 7.0" in text
    assert "dermis_gateway_least_free_inodes 9.0" in text
    rooms.pop(0)
    assert "dermis_store_free_bytes NaN" in metrics.render(None).decode()


def test_a_store_that_does_not_answer_hides_no_other_metric() -> None:
    def away() -> Room | None:
        raise DermisError(Kind.UNAVAILABLE, "STORE_UNAVAILABLE", "away")

    metrics = GatewayMetrics()
    metrics.watch_room(away, least_bytes=7, least_inodes=9)
    text = metrics.render(QueueLoad(depth=1, age=2, line=0, line_age=0)).decode()
    assert "dermis_store_free_bytes NaN" in text
    assert "dermis_gateway_broker_up 1.0" in text


def test_the_end_of_the_certificate_is_shown(tmp_path: Path) -> None:
    face = make_face(tmp_path, address="127.0.0.1", port=1, now=datetime(2026, 1, 1, tzinfo=UTC))
    metrics = GatewayMetrics()
    metrics.watch_certificate(face.certificate)
    line = next(line for line in metrics.render(None).decode().splitlines() if line.startswith("dermis_gateway_cert"))
    assert float(line.split()[1]) == (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=397)).timestamp()


@pytest.mark.parametrize(
    ("method", "headers", "paced_by"),
    [("GET", {}, "server"), ("GET", {"Prefer": "wait=1"}, "client"), ("DELETE", {}, "server")],
)
def test_only_answers_that_depend_on_the_server_alone_count_for_its_speed(
    gateway: Any, jpeg: bytes, method: str, headers: dict[str, str], paced_by: str
) -> None:
    case_id = gateway.submit(jpeg).json()["id"]
    gateway.call(method, f"/v1/cases/{case_id}", headers=headers)
    text = gateway.get("/metrics").text
    count = 'dermis_gateway_request_seconds_count{paced_by="%s",route="%s"} 1.0'
    assert count % ("client", "/v1/cases") in text
    assert count % (paced_by, "/v1/cases/{case_id}") in text
