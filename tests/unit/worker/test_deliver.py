"""Deliveries over a store in memory, with a clock and a receiver of the test's own."""

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook

from dermis.shared.api_keys import Scope, make_key, put_key
from dermis.shared.case import Erased, Failed, Outcome, OutcomeKind, Received, fact_key
from dermis.shared.ids import new_id
from dermis.shared.stores.memory import MemoryStore
from dermis.shared.vocabulary import SelfReport
from dermis.shared.webhook_admin import Webhooks
from dermis.shared.webhook_store import Endpoints, Outbox, StoredEndpoint
from dermis.shared.webhooks import (
    DEAD_PREFIX,
    DELIVERED_PREFIX,
    PENDING_PREFIX,
    DeliveryState,
    DrainJob,
    event_id_of,
)
from dermis.sweep.webhooks import WebhookSweep
from dermis.worker.core.webhooks import ReceiverAnswer, headers, sign, wait_after
from dermis.worker.deliver import Deliveries

OWNER = "key_01m82nmrzdescb95c4e8msawzy"
URL = "https://receiver.example/hook"


@dataclass
class World:
    """A receiver that answers `answer`, and takes an event once by its id."""

    owner: str = OWNER
    store: MemoryStore = field(default_factory=MemoryStore)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    answer: ReceiverAnswer = field(default_factory=lambda: ReceiverAnswer(status=200))
    tries: Counter[str] = field(default_factory=Counter)
    effects: Counter[str] = field(default_factory=Counter)
    last: tuple[dict[str, str], bytes] = field(default_factory=lambda: ({}, b""))

    def __post_init__(self) -> None:
        self.webhooks = Webhooks(store=self.store, clock=lambda: self.now)
        self.endpoint: StoredEndpoint = self.webhooks.create(owner=self.owner, url=URL)
        self.worker = self.new_worker()
        self.sweep = WebhookSweep(self.store, self)
        self.outbox = Outbox(self.store)

    def new_worker(self) -> Deliveries:
        endpoints = Endpoints(self.store, keep_seconds=2, clock=lambda: self.now.timestamp())
        return Deliveries(
            store=self.store,
            poster=self,
            endpoints=endpoints,
            now=lambda: self.now,
            monotonic=lambda: self.now.timestamp(),
        )

    def post(self, url: str, headers: dict[str, str], body: bytes) -> ReceiverAnswer:
        assert url == URL
        self.last = (headers, body)
        self.tries[headers["webhook-id"]] += 1
        if 200 <= self.answer.status < 300:
            self.effects[headers["webhook-id"]] += 1
        return self.answer

    def waiting_drains(self) -> int:
        return 0

    def send_drain(self, job: DrainJob) -> None:
        while self.worker.drain(job.endpoint_id):
            pass

    def look(self, seconds: float = 30) -> None:
        """Let time pass until the sweep's next look."""
        self.now += timedelta(seconds=seconds)
        self.sweep.look(self.now)

    def finish(self) -> str:
        """Put the event of a finished case; return its key."""
        fact = Outcome(case_id=new_id("case"), finished_at=self.now, kind=OutcomeKind.REJECTION)
        return self.outbox.put(fact, owner=OWNER)[0].key

    def count(self, prefix: str) -> int:
        return sum(1 for _ in self.store.list(prefix))

    # The other calls of the sweep's queue, which webhooks don't make.
    waiting = waiting_steps = waiting_drains

    def send(self, job: object) -> None:
        raise AssertionError(job)

    send_step = send


@pytest.fixture
def world() -> World:
    return World()


def test_the_publishers_library_verifies_what_is_sent_and_refuses_what_was_changed(world: World) -> None:
    world.worker.deliver(world.finish())
    sent, body = world.last
    library = Webhook(world.endpoint.secrets[0].secret)
    assert library.verify(body, sent)["type"] == "case.finished"
    with pytest.raises(Exception, match="No matching signature"):
        library.verify(body.replace(b"FINISHED", b"FAILED"), sent)


@pytest.mark.parametrize("livemode", [True, False])
def test_an_event_says_whether_its_case_came_with_a_test_key_even_when_it_is_erased(livemode: bool) -> None:
    key, _ = make_key(name="app", scopes=(Scope.CASES_CREATE,), at=datetime.now(UTC), livemode=livemode)
    world = World(owner=key.key_id)
    put_key(world.store, key)
    erased = Erased(case_id=new_id("case"), erased_at=world.now)
    (job,) = world.outbox.put(erased, owner=key.key_id)
    for delivery in (job.key, world.webhooks.test(key.key_id, world.endpoint.endpoint.endpoint_id).key):
        world.worker.deliver(delivery)
        assert json.loads(world.last[1])["data"]["livemode"] is livemode


def test_the_signature_is_the_librarys_own() -> None:
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
    at = datetime.fromtimestamp(1614265330, UTC)
    expected = Webhook(secret).sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, body.decode())
    assert sign(secret, event_id="msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp=1614265330, body=body) == expected


def test_an_outage_of_half_an_hour_loses_none_of_ten_thousand(world: World) -> None:
    """In simulated time: 10,000 events gather while the receiver is away for 30 minutes; each has one effect."""
    world.answer = ReceiverAnswer(fault="ConnectError")
    world.outbox = Outbox(world.store, keep_seconds=60)
    keys = []
    for minute in range(30):
        keys += [world.finish() for _ in range(334 if minute < 10 else 333)]
        world.worker.deliver(keys[-1])
        world.look()
        world.look()
    assert not world.effects
    tried_while_away = world.tries.total()
    world.answer = ReceiverAnswer(status=200)
    for _ in range(240):
        world.look()
        if not world.count(PENDING_PREFIX):
            break
    assert len(keys) == 10_000
    assert set(world.effects) == {event_id_of(key) for key in keys}
    assert set(world.effects.values()) == {1}
    assert world.count(DELIVERED_PREFIX) == 10_000
    assert tried_while_away < 200  # an endpoint that is away is tried once a look, however much waits


def test_a_closing_that_is_repeated_puts_the_same_event_which_is_not_sent_again(world: World) -> None:
    fact = Failed(case_id=new_id("case"), attempt=1, failed_at=world.now, reason="INTERNAL", detail="-")
    (first,) = world.outbox.put(fact, owner=OWNER)
    (second,) = world.outbox.put(fact, owner=OWNER)
    assert first == second
    world.worker.deliver(first.key)
    (third,) = world.outbox.put(fact, owner=OWNER)
    world.worker.deliver(third.key)
    assert (world.tries.total(), world.count(PENDING_PREFIX)) == (1, 0)
    (other,) = world.outbox.put(fact.model_copy(update={"attempt": 2}), owner=OWNER)
    assert event_id_of(other.key) != event_id_of(first.key)


def test_a_worker_that_is_lost_after_sending_sends_again_with_the_same_id(world: World) -> None:
    key = world.finish()

    class Lost(BaseException):
        pass

    def lose(*_: object, **__: object) -> bool:
        raise Lost

    put, world.store.put_once = world.store.put_once, lose  # type: ignore[method-assign, assignment]
    with pytest.raises(Lost):
        world.worker.deliver(key)
    world.store.put_once = put  # type: ignore[method-assign]
    world.worker = world.new_worker()
    world.look()
    assert world.effects == {event_id_of(key): 2}  # the receiver's own record of ids makes it one
    assert world.count(PENDING_PREFIX) == 0


def test_after_a_day_it_is_a_dead_letter_which_can_be_replayed(world: World) -> None:
    begun = world.now
    world.answer = ReceiverAnswer(status=500)
    key = world.finish()
    others = [world.finish() for _ in range(20)]
    for _ in range(26 * 60):
        world.look(60)
        if not world.count(PENDING_PREFIX):
            break
    assert world.now - begun <= timedelta(hours=26)
    assert world.count(DEAD_PREFIX) == 1 + len(others)
    endpoint_id, event_id = world.endpoint.endpoint.endpoint_id, event_id_of(key)
    dead = list(world.webhooks.deliveries(OWNER, endpoint_id, state=DeliveryState.DEAD))
    assert {stored.delivery.last_fault for stored in dead} <= {"HTTP 500", "the endpoint was away"}
    world.answer = ReceiverAnswer(status=204)
    world.worker = world.new_worker()
    world.worker.deliver(world.webhooks.replay(OWNER, endpoint_id, event_id).key)
    assert world.effects == {event_id: 1}
    assert world.count(DEAD_PREFIX) == len(others)


def test_410_disables_an_endpoint_and_keeps_what_was_on_its_way(world: World) -> None:
    world.answer = ReceiverAnswer(status=410)
    world.finish()
    world.worker.deliver(world.finish())
    endpoint_id = world.endpoint.endpoint.endpoint_id
    assert world.webhooks.one(OWNER, endpoint_id).disabled
    world.look()
    assert (world.tries.total(), world.count(DEAD_PREFIX), world.count(PENDING_PREFIX)) == (1, 2, 0)
    fact = Outcome(case_id=new_id("case"), finished_at=world.now, kind=OutcomeKind.REJECTION)
    assert world.outbox.put(fact, owner=OWNER) == []


def test_an_endpoint_is_left_alone_for_as_long_as_it_asks(world: World) -> None:
    world.answer = ReceiverAnswer(status=503, retry_after=600)
    world.worker.deliver(world.finish())
    world.finish()
    for _ in range(19):
        world.look()
    assert world.tries.total() == 1
    for _ in range(5):
        world.look()
    assert world.tries.total() > 1


def test_one_event_that_is_refused_holds_no_other(world: World) -> None:
    world.answer = ReceiverAnswer(status=400)
    keys = [world.finish() for _ in range(5)]
    world.look()
    assert {event_id_of(key) for key in keys} == set(world.tries)


def test_both_secrets_sign_for_a_day_after_a_rotation(world: World) -> None:
    old = world.endpoint.secrets[0].secret
    new, until = world.webhooks.rotate(OWNER, world.endpoint.endpoint.endpoint_id)
    world.worker.deliver(world.finish())
    sent, body = world.last
    for secret in (old, new.secret):
        assert Webhook(secret).verify(body, sent)
    world.now = until
    world.worker.deliver(world.finish())
    assert world.last[0]["webhook-signature"].count("v1,") == 1


def test_a_case_that_was_never_accepted_is_not_told_of(world: World) -> None:
    received = Received(case_id=new_id("case"), owner=OWNER, received_at=world.now, images=(), self_report=SelfReport())
    (job,) = world.outbox.put(received, owner=OWNER)
    world.worker.deliver(job.key)
    assert world.count(PENDING_PREFIX) == 1
    for _ in range(30):
        world.look()
    assert (world.tries.total(), world.count(PENDING_PREFIX)) == (0, 0)


def test_the_clients_reference_comes_from_the_case_itself(world: World) -> None:
    received = Received(
        case_id=new_id("case"),
        owner=OWNER,
        received_at=world.now,
        images=(),
        self_report=SelfReport(),
        client_reference="visit 7",
    )
    world.store.put_once(fact_key(OWNER, received.case_id, "received"), received.model_dump_json().encode())
    (job,) = world.outbox.put(received, owner=OWNER)
    assert b"visit 7" not in world.store.get(job.key)
    world.worker.deliver(job.key)
    assert b'"client_reference":"visit 7"' in world.last[1]


def test_receipts_and_dead_letters_end(world: World) -> None:
    world.worker.deliver(world.finish())
    assert world.sweep.end(world.now + timedelta(days=2)) == 0
    assert world.sweep.end(world.now + timedelta(days=4)) == 1


def test_a_delivery_to_a_deleted_endpoint_goes(world: World) -> None:
    key = world.finish()
    world.webhooks.delete(OWNER, world.endpoint.endpoint.endpoint_id)
    assert world.count("webhooks/") == world.count("deliveries/") == 0
    world.worker.deliver(key)
    assert not world.tries


def test_waits_double_from_five_seconds_to_an_hour_and_differ_by_the_id() -> None:
    waits = [wait_after(tries, "msg_1").total_seconds() for tries in range(1, 12)]
    assert 3.75 <= waits[0] <= 6.25
    assert 2700 <= waits[-1] <= 4500
    assert len({wait_after(3, f"msg_{n}") for n in range(50)}) == 50
    assert wait_after(1, "msg_1", retry_after=90) == timedelta(seconds=90)


def test_the_time_that_is_signed_is_that_of_the_try() -> None:
    sent = headers("msg_1", ["whsec_" + "A" * 44], at=datetime.fromtimestamp(1_700_000_000.9, UTC), body=b"{}")
    assert sent["webhook-timestamp"] == "1700000000"
