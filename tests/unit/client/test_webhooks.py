"""Webhooks as the client makes, lists, rotates and replays them."""

import json
from typing import Any

import httpx
import pytest

from tests.unit.client.conftest import Gateway

URL = "https://receiver.example/hook"
WEBHOOK: dict[str, Any] = {
    "id": "wh_1",
    "url": URL,
    "events": ["case.finished"],
    "description": "ours",
    "created_at": "2026-01-02T03:04:05Z",
    "disabled_at": None,
    "disabled_reason": None,
}
DELIVERY: dict[str, Any] = {
    "id": "msg_1",
    "state": "DEAD",
    "type": "case.finished",
    "timestamp": "2026-01-02T03:04:05Z",
    "case_id": "case_1",
    "status": "FINISHED",
    "tries": 9,
    "next_try_at": None,
    "last_fault": "500",
}


def test_a_new_webhook_has_its_secret(gateway: Gateway) -> None:
    reply = httpx.Response(201, json=WEBHOOK | {"secret": "whsec_x"})
    webhook = gateway.call("create_webhook", URL, ["case.finished"], description="ours", replies=[reply])
    assert (webhook.id, webhook.secret) == ("wh_1", "whsec_x")
    (request,), (body,) = gateway.asked, gateway.bodies
    assert (request.method, request.url.path) == ("POST", "/v1/webhooks")
    assert json.loads(body) == {"url": URL, "events": ["case.finished"], "description": "ours"}


@pytest.mark.parametrize(("events", "body"), [(None, {}), ([], {"events": []})])
def test_events_that_are_left_out_are_not_sent_and_none_is_for_the_gateway_to_refuse(
    gateway: Gateway, events: list[str] | None, body: dict[str, Any]
) -> None:
    reply = httpx.Response(201, json=WEBHOOK | {"secret": "whsec_x"})
    gateway.call("create_webhook", URL, events, replies=[reply])
    assert json.loads(gateway.bodies[0]) == {"url": URL, "description": "", **body}


def test_webhooks_are_listed_without_a_secret(gateway: Gateway) -> None:
    disabled = {"id": "wh_2", "disabled_at": "2026-01-02T03:04:05Z", "disabled_reason": "410"}
    first, second = gateway.call(
        "webhooks", replies=[httpx.Response(200, json={"webhooks": [WEBHOOK, WEBHOOK | disabled]})]
    )
    assert (first.id, first.events, first.disabled_at) == ("wh_1", ["case.finished"], None)
    assert (second.id, second.disabled_reason) == ("wh_2", "410")
    assert gateway.asked[0].url.path == "/v1/webhooks"


def test_a_webhook_is_deleted(gateway: Gateway) -> None:
    assert gateway.call("delete_webhook", "wh_1", replies=[httpx.Response(204)]) is None
    assert (gateway.asked[0].method, gateway.asked[0].url.path) == ("DELETE", "/v1/webhooks/wh_1")


def test_a_secret_is_rotated(gateway: Gateway) -> None:
    reply = httpx.Response(200, json={"secret": "whsec_y", "previous_until": "2026-01-03T03:04:05Z"})
    rotated = gateway.call("rotate_webhook_secret", "wh_1", replies=[reply])
    assert (rotated.secret, rotated.previous_until.day) == ("whsec_y", 3)
    assert (gateway.asked[0].method, gateway.asked[0].url.path) == ("POST", "/v1/webhooks/wh_1/secret:rotate")


def test_deliveries_of_a_state_are_followed_to_the_last_page(gateway: Gateway) -> None:
    replies = [
        httpx.Response(200, json={"deliveries": [DELIVERY], "next_cursor": "abc"}),
        httpx.Response(200, json={"deliveries": [DELIVERY | {"id": "msg_2"}], "next_cursor": None}),
    ]
    deliveries = gateway.call("webhook_deliveries", "wh_1", state="DEAD", replies=replies)
    assert [(each.id, each.state, each.last_fault) for each in deliveries] == [
        ("msg_1", "DEAD", "500"),
        ("msg_2", "DEAD", "500"),
    ]
    assert {request.url.path for request in gateway.asked} == {"/v1/webhooks/wh_1/deliveries"}
    assert [dict(request.url.params) for request in gateway.asked] == [
        {"state": "DEAD"},
        {"state": "DEAD", "cursor": "abc"},
    ]


def test_a_delivery_is_replayed(gateway: Gateway) -> None:
    reply = httpx.Response(202, json=DELIVERY | {"state": "PENDING", "next_try_at": "2026-01-02T03:04:06Z"})
    assert gateway.call("replay_delivery", "wh_1", "msg_1", replies=[reply]).next_try_at is not None
    path = "/v1/webhooks/wh_1/deliveries/msg_1:replay"
    assert (gateway.asked[0].method, gateway.asked[0].url.path) == ("POST", path)
