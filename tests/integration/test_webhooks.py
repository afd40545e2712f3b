"""Webhooks over a real Redis, worker and sweep, to a receiver on loopback that the publisher's library guards."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from celery import Celery

from dermis.shared.addresses import networks_of
from dermis.shared.case import Erased, OpenCase, Outcome, OutcomeKind, fact_key, open_key
from dermis.shared.ids import new_id
from dermis.shared.ports import has
from dermis.shared.stores.disk import DiskStore
from dermis.shared.webhook_admin import Webhooks
from dermis.shared.webhook_store import Outbox
from dermis.shared.webhooks import PENDING_PREFIX, DeliveryState
from dermis.worker.adapters.webhook_http import WebhookPoster
from dermis.worker.bootstrap import send_delivery
from tests.support.receivers import Receiver, listening
from tests.support.servers import redis_server

OWNER = "key_01m82nmrzdescb95c4e8msawzy"
LOOPBACK = "127.0.0.0/8"


@contextlib.contextmanager
def running(part: str, broker_url: str, store: Path, **settings: str) -> Iterator["subprocess.Popen[bytes]"]:
    variables = {"DERMIS_STORE_URL": store.as_uri(), "DERMIS_BROKER_URL": broker_url, **settings}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DERMIS_")}
    process = subprocess.Popen(
        [sys.executable, "-m", f"dermis.{part}"], env={**environment, **variables}, stdout=sys.stderr
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def sender(broker_url: str, store: Path) -> contextlib.AbstractContextManager["subprocess.Popen[bytes]"]:
    settings = {"DERMIS_WORKER_QUEUES": "webhooks", "DERMIS_WORKER_WEBHOOK_NETWORKS": LOOPBACK}
    return running("worker", broker_url, store, **settings)


def outcome() -> Outcome:
    return Outcome(case_id=new_id("case"), finished_at=datetime.now(UTC), kind=OutcomeKind.REJECTION)


@pytest.fixture
def broker_url() -> Iterator[str]:
    with redis_server() as url:
        yield url


def test_a_finished_case_comes_signed_and_the_worker_ends_its_delivery(tmp_path: Path, broker_url: str) -> None:
    store = DiskStore(tmp_path)
    webhooks = Webhooks(store=store, networks=networks_of(LOOPBACK))
    with listening(Receiver(secret="", port=0)) as receiver, sender(broker_url, tmp_path):
        made = webhooks.create(owner=OWNER, url=receiver.url)
        receiver.secret = made.secrets[0].secret
        fact = outcome()
        app = Celery(broker=broker_url, set_as_current=False)
        (job,) = Outbox(store, send=lambda each: send_delivery(app, each)).put(fact, owner=OWNER)
        assert receiver.wait_for(1, within_s=60)
        (event,) = receiver.effects.values()
        assert event["type"] == "case.finished"
        assert event["data"] == {"case_id": fact.case_id, "status": "FINISHED", "livemode": True}
        endpoint_id = made.endpoint.endpoint_id
        ends = time.monotonic() + 10
        while has(store, job.key) and time.monotonic() < ends:
            time.sleep(0.05)
        assert not list(store.list(PENDING_PREFIX))
        (stored,) = webhooks.deliveries(OWNER, endpoint_id, state=DeliveryState.DELIVERED)
        assert stored.delivery.case_id == fact.case_id


def test_what_no_word_was_sent_of_is_delivered_by_the_sweep(tmp_path: Path, broker_url: str) -> None:
    """A worker that was killed between fact and closing leaves the marker: the sweep closes the case and tells it."""
    store = DiskStore(tmp_path)
    webhooks = Webhooks(store=store, networks=networks_of(LOOPBACK))
    every = {"DERMIS_SWEEP_INTERVAL_SECONDS": "1", "DERMIS_SWEEP_RESEND_AFTER_SECONDS": "1"}
    with listening(Receiver(secret="", port=0)) as receiver, sender(broker_url, tmp_path):
        receiver.secret = webhooks.create(owner=OWNER, url=receiver.url).secrets[0].secret
        fact = outcome()
        marker = OpenCase(case_id=fact.case_id, owner=OWNER, opened_at=datetime(2026, 1, 1, tzinfo=UTC))
        store.put_once(open_key(fact.case_id), marker.model_dump_json().encode())
        store.put_once(fact_key(OWNER, fact.case_id, "outcome"), fact.model_dump_json().encode())
        with running("sweep", broker_url, tmp_path, **every):
            assert receiver.wait_for(1, within_s=60)
        assert [event["data"]["case_id"] for event in receiver.effects.values()] == [fact.case_id]


def test_no_address_of_its_own_network_is_reached_and_no_redirect_followed() -> None:
    with listening(Receiver(secret="", port=0)) as receiver:
        for url in (receiver.url, receiver.url.replace("http:", "https:"), f"http://localhost:{receiver.port}/"):
            strict = WebhookPoster(networks=(), seconds=2)
            assert strict.post(url, {}, b"{}").fault == "ADDRESS_REFUSED"
        assert not receiver.requests


@pytest.mark.parametrize("status", [301, 307, 200])
def test_a_redirect_is_an_answer_and_not_followed(status: int) -> None:
    class Open(Receiver):
        def take(self, headers: dict[str, str], body: bytes) -> int:
            self.requests[headers["host"]] += len(body) > 0
            return self.status

    with listening(Open(secret="", port=0, status=status)) as receiver:
        receiver.headers = {"Location": f"{receiver.url}/elsewhere", "Retry-After": "7"}
        poster = WebhookPoster(networks=networks_of(LOOPBACK), seconds=2)
        answer = poster.post(receiver.url, {}, b"{}")
        assert (answer.status, answer.retry_after, receiver.requests.total()) == (status, 7, 1)


def test_an_erased_case_is_told_by_its_erasure_alone(tmp_path: Path) -> None:
    store = DiskStore(tmp_path)
    Webhooks(store=store).create(owner=OWNER, url="https://example.org/hook")
    erased = Erased(case_id=new_id("case"), erased_at=datetime.now(UTC))
    assert len(Outbox(store).put(erased, owner=OWNER)) == 1
    assert Outbox(store).put(erased, owner="public") == []
