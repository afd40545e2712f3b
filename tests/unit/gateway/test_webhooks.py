"""Webhooks over HTTP: who may make them, what they are told of, and what is on its way."""

from typing import Any

import httpx
import pytest

from dermis.client import AsyncClient
from dermis.shared.api_keys import Scope
from dermis.shared.audit import Act, records_of
from dermis.shared.webhooks import Delivery, EventType
from tests.unit.gateway.conftest import Gateway, new_key

URL = "https://receiver.example/hook"


@pytest.fixture
def owner(gateway: Gateway) -> str:
    """The owner of the key that the gateway is called with from then on."""
    key_id, gateway.headers = new_key(gateway, Scope.WEBHOOKS_WRITE, Scope.CASES_WRITE, Scope.CASES_READ)
    return key_id


def make(gateway: Gateway, **fields: Any) -> dict[str, Any]:
    response = gateway.call("POST", "/v1/webhooks", json={"url": URL, **fields})
    assert response.status_code == 201, response.text
    created: dict[str, Any] = response.json()
    assert response.headers["Location"] == f"/v1/webhooks/{created['id']}"
    return created


def pending(gateway: Gateway) -> list[Delivery]:
    keys = gateway.store.list("deliveries/pending/")
    return [Delivery.model_validate_json(gateway.store.get(key)) for key in keys]


def test_a_secret_is_shown_once(gateway: Gateway, owner: str) -> None:
    created = make(gateway, description="our server")
    assert created["secret"].startswith("whsec_")
    answer = gateway.get(f"/v1/webhooks/{created['id']}")
    listed = gateway.get("/v1/webhooks").json()["webhooks"]
    assert listed == [answer.json()]
    assert created["secret"] not in answer.text
    assert owner in "".join(gateway.store.list("webhooks/"))


def test_no_one_without_the_scope_makes_or_sees_one(gateway: Gateway, owner: str) -> None:
    created = make(gateway)
    for headers, status in (({}, 403), (new_key(gateway)[1], 403), (new_key(gateway, Scope.ADMIN)[1], 404)):
        gateway.headers = headers
        assert gateway.get(f"/v1/webhooks/{created['id']}").status_code == status
        assert gateway.call("DELETE", f"/v1/webhooks/{created['id']}").status_code == status
    assert len(list(gateway.store.list(f"webhooks/{owner}/"))) == 2


@pytest.mark.usefixtures("owner")
@pytest.mark.parametrize(
    ("up", "delivers", "expected"), [(True, True, True), (True, False, False), (False, True, None)]
)
def test_a_webhook_says_whether_anyone_delivers_its_events(
    gateway: Gateway, up: bool, delivers: bool, expected: bool | None
) -> None:
    gateway.broker.up, gateway.broker.delivers = up, delivers
    created = make(gateway)
    (listed,) = gateway.get("/v1/webhooks").json()["webhooks"]
    enabled = gateway.call("POST", f"/v1/webhooks/{created['id']}:enable").json()
    assert [each["delivering"] for each in (created, listed, enabled)] == [expected] * 3


def test_a_test_keys_webhook_says_so(gateway: Gateway) -> None:
    _, gateway.headers = new_key(gateway, Scope.WEBHOOKS_WRITE, livemode=False)
    created = make(gateway)
    assert (created["livemode"], gateway.get(f"/v1/webhooks/{created['id']}").json()["livemode"]) == (False, False)


def test_each_change_is_audited(gateway: Gateway, owner: str) -> None:
    webhook_id = make(gateway)["id"]
    path = f"/v1/webhooks/{webhook_id}"
    for call in ("secret:rotate", ":enable", ":test"):
        assert gateway.call("POST", f"{path}{'/' * call.startswith('secret')}{call}").status_code < 300
    assert gateway.call("POST", f"{path}/deliveries/msg_no:replay").status_code == 404
    assert gateway.call("DELETE", path).status_code == 204
    gateway.audit.flush()
    (written,) = gateway.store.list("audit/")
    records = [each for each in records_of(gateway.store.get(written)) if each["act"] == Act.WEBHOOK]
    assert [each["done"] for each in records] == ["create", "rotate", "enable", "test", "delete"]
    assert {(each["by"], each["webhook_id"]) for each in records} == {(owner, webhook_id)}


@pytest.mark.usefixtures("owner")
@pytest.mark.parametrize("url", ["http://receiver.example/", "https://10.0.0.1/", "https://localhost/", "no url"])
def test_a_url_inside_is_refused_at_once(gateway: Gateway, url: str) -> None:
    response = gateway.call("POST", "/v1/webhooks", json={"url": url})
    assert (response.status_code, response.json()["reason"]) == (422, "WEBHOOK_URL")
    assert response.json()["errors"][0]["pointer"] == "/url"


@pytest.mark.usefixtures("owner")
def test_an_allowed_network_may_be_named(gateway: Gateway) -> None:
    gateway.settings["webhook_networks"] = "10.0.0.0/8"
    make(gateway, url="http://10.0.0.1/hook")


@pytest.mark.usefixtures("owner")
def test_an_unknown_event_or_field_is_refused(gateway: Gateway) -> None:
    for body in ({"url": URL, "events": ["case.lost"]}, {"url": URL, "events": []}, {"url": URL, "state": "mine"}):
        assert gateway.call("POST", "/v1/webhooks", json=body).status_code == 422


def test_a_case_is_told_of_when_it_comes_in_and_when_it_is_erased(gateway: Gateway, owner: str, jpeg: bytes) -> None:
    make(gateway)
    case_id = gateway.submit(jpeg).json()["id"]
    assert gateway.call("DELETE", f"/v1/cases/{case_id}").status_code == 204
    told = pending(gateway)
    assert [(each.type, each.case_id, each.owner) for each in told] == [
        (EventType.CASE_RECEIVED, case_id, owner),
        (EventType.CASE_ERASED, case_id, owner),
    ]
    assert [job.key for job in gateway.broker.deliveries] == list(gateway.store.list("deliveries/pending/"))


@pytest.mark.usefixtures("owner")
def test_another_owners_case_is_not_told_of(gateway: Gateway, jpeg: bytes) -> None:
    make(gateway)
    gateway.headers = new_key(gateway)[1]
    assert gateway.submit(jpeg).status_code == 202
    assert not pending(gateway)


@pytest.mark.usefixtures("owner")
def test_only_the_events_that_were_asked_for_are_put(gateway: Gateway, jpeg: bytes) -> None:
    make(gateway, events=["case.erased"])
    gateway.submit(jpeg)
    assert not pending(gateway)


@pytest.mark.usefixtures("owner")
def test_a_request_that_comes_again_is_told_of_once(gateway: Gateway, jpeg: bytes) -> None:
    make(gateway, events=["case.received"])
    for _ in range(3):
        gateway.submit(jpeg, headers={"Idempotency-Key": "one"})
    assert len(pending(gateway)) == 1


@pytest.mark.usefixtures("owner")
def test_secret_rotation_test_event_replay_and_deletion(gateway: Gateway) -> None:
    created = make(gateway)
    path = f"/v1/webhooks/{created['id']}"
    rotated = gateway.call("POST", f"{path}/secret:rotate").json()
    assert rotated["secret"] not in ("", created["secret"])
    sent = gateway.call("POST", f"{path}:test")
    assert (sent.status_code, sent.json()["type"], sent.json()["state"]) == (202, "webhook.test", "PENDING")
    again = gateway.call("POST", f"{path}/deliveries/{sent.json()['id']}:replay")
    assert (again.status_code, again.json()["id"]) == (202, sent.json()["id"])
    assert gateway.call("POST", f"{path}/deliveries/msg_no:replay").status_code == 404
    assert gateway.call("DELETE", path).status_code == 204
    assert gateway.get(path).status_code == 404
    assert not [key for key in gateway.kept if key.startswith(("webhooks/", "deliveries/"))]


@pytest.mark.usefixtures("owner")
def test_deliveries_are_listed_in_pages(gateway: Gateway) -> None:
    path = f"/v1/webhooks/{make(gateway)['id']}"
    ids = [gateway.call("POST", f"{path}:test").json()["id"] for _ in range(5)]
    first = gateway.get(f"{path}/deliveries", params={"limit": 3}).json()
    second = gateway.get(f"{path}/deliveries", params={"limit": 3, "cursor": first["next_cursor"]}).json()
    assert sorted(each["id"] for page in (first, second) for each in page["deliveries"]) == sorted(ids)
    assert second["next_cursor"] is None
    assert gateway.get(f"{path}/deliveries", params={"state": "DEAD"}).json()["deliveries"] == []
    assert gateway.get(f"{path}/deliveries", params={"cursor": "../.."}).status_code == 422


@pytest.mark.usefixtures("owner")
def test_there_are_twenty_at_most(gateway: Gateway) -> None:
    for _ in range(20):
        make(gateway)
    assert gateway.call("POST", "/v1/webhooks", json={"url": URL}).json()["reason"] == "WEBHOOKS_FULL"


@pytest.mark.usefixtures("owner")
def test_the_python_client_makes_rotates_replays_and_deletes_one(gateway: Gateway, jpeg: bytes) -> None:
    async def use() -> None:
        async with (
            gateway.client() as http,
            AsyncClient("http://test", key=key, transport=httpx.MockTransport(http.send)) as client,
        ):
            new = await client.create_webhook(URL, ["case.received", "case.erased"], description="our server")
            (listed,) = await client.webhooks()
            assert listed.model_dump() | {"secret": new.secret} == new.model_dump()
            assert (await client.rotate_webhook_secret(new.id)).secret != new.secret
            await client.submit([jpeg])
            (delivery,) = [each async for each in client.webhook_deliveries(new.id)]
            assert (delivery.type, delivery.state) == ("case.received", "PENDING")
            assert [each async for each in client.webhook_deliveries(new.id, state="DEAD")] == []
            assert (await client.replay_delivery(new.id, delivery.id)).id == delivery.id
            await client.delete_webhook(new.id)
            assert await client.webhooks() == []

    key = gateway.headers["Authorization"].removeprefix("Bearer ")
    gateway.runner.run(use())
