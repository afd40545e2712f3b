"""dermis webhooks, over a store on disk."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis
from click.testing import CliRunner, Result

from dermis.shared.api_keys import make_key, put_key
from dermis.shared.audit import Act, records_of
from dermis.shared.case import Outcome, OutcomeKind
from dermis.shared.presence import Present
from dermis.shared.stores.disk import DiskStore
from dermis.shared.webhook_store import Outbox
from dermis.shared.webhooks import DEAD_PREFIX, PENDING_PREFIX, Delivery, dead_key
from dermis.standalone import cli
from dermis.standalone.commands import webhooks
from tests.unit.worker.test_deliver import OWNER, URL

CASE = "case_01m82nmrzdescb95c4e8msawzy"


@pytest.fixture
def store(tmp_path: Path) -> DiskStore:
    store = DiskStore(tmp_path)
    store.put_once(f"cases/{OWNER}/{CASE}/received.json", b"{}")
    return store


def run(store: DiskStore, *words: str) -> Result:
    return CliRunner().invoke(cli.main, ["webhooks", *words, "--store", store._root.as_uri()])


def hook_of(store: DiskStore) -> str:
    """Make a webhook and return its id."""
    created = run(store, "create", URL, "--owner", OWNER)
    assert created.exit_code == 0, created.output
    assert created.stdout.startswith("whsec_")
    (row,) = json.loads(run(store, "list", "--json").stdout)
    assert (row["url"], row["owner"]) == (URL, OWNER)
    return str(row["id"])


def test_a_webhook_is_made_rotated_and_deleted(store: DiskStore) -> None:
    hook = hook_of(store)
    assert "secret" not in run(store, "list").output
    assert run(store, "rotate", hook).stdout.startswith("whsec_")
    assert run(store, "delete", hook).exit_code == 0
    assert json.loads(run(store, "list", "--json").stdout) == []
    assert run(store, "rotate", hook).exit_code != 0


def test_a_webhook_of_nobody_is_not_made(store: DiskStore) -> None:
    result = run(store, "create", URL, "--owner", "key_01k9x4q7e8f3rtw5m2c6b0dvza")
    assert (result.exit_code, "has no key and no case" in result.stderr) == (2, True)
    key, _ = make_key(name="new", scopes=(), at=datetime.now(UTC))
    put_key(store, key)
    assert run(store, "create", URL, "--owner", key.key_id).exit_code == 0
    assert run(store, "create", URL).exit_code == 0
    assert [each["owner"] for each in json.loads(run(store, "list", "--json").stdout)] == [key.key_id, "public"]
    assert run(store, "list", "--owner", OWNER).stdout.startswith(f"there is no webhook of {OWNER}")


def test_a_webhook_that_is_not_there_and_no_delivery_are_told_of(store: DiskStore) -> None:
    result = run(store, "deliveries", "hook_x")
    assert (result.exit_code, "`dermis webhooks list` shows all" in result.stderr) == (2, True)
    assert "--dead" in run(store, "replay", hook_of(store)).stderr


def test_dead_letters_are_listed_and_replayed(store: DiskStore) -> None:
    hook = hook_of(store)
    (job,) = Outbox(store).put(
        Outcome(case_id=CASE, finished_at=datetime.now(UTC), kind=OutcomeKind.REJECTION), owner=OWNER
    )
    delivery = Delivery.model_validate_json(store.get(job.key))
    dead = delivery.model_copy(update={"last_fault": "HTTP 500", "tries": 30})
    store.put_once(dead_key(hook, delivery.event_id), dead.model_dump_json().encode())
    store.delete(job.key)
    (row,) = json.loads(run(store, "deliveries", hook, "--status", "dead", "--json").stdout)
    assert (row["id"], row["case_id"], row["last_fault"]) == (delivery.event_id, CASE, "HTTP 500")
    assert run(store, "replay", hook, "--dead").exit_code == 0
    assert not list(store.list(DEAD_PREFIX))
    assert len(list(store.list(PENDING_PREFIX))) == 1


def test_a_private_address_needs_its_network(store: DiskStore) -> None:
    private = "http://10.1.2.3/hook"
    assert run(store, "create", private).exit_code != 0
    assert run(store, "create", private, "--networks", "10.1.0.0/16").exit_code == 0
    assert run(store, "create", private, "--networks", "ten").exit_code != 0


def test_each_change_is_audited_as_the_operators(store: DiskStore) -> None:
    hook = hook_of(store)
    for words in (("rotate",), ("enable",), ("test",), ("list",), ("deliveries",), ("delete",)):
        assert run(store, words[0], *((hook,) if words[0] != "list" else ())).exit_code == 0
    records = [each for key in store.list("audit/") for each in records_of(store.get(key))]
    assert [each["done"] for each in records] == ["create", "rotate", "enable", "test", "delete"]
    assert {(each["act"], each["by"], each["webhook_id"]) for each in records} == {(Act.WEBHOOK, "operator", hook)}


def test_a_webhook_is_named_by_its_id_alone(store: DiskStore) -> None:
    hook = hook_of(store)
    place = ["--store", store._root.as_uri()]
    call = CliRunner().invoke
    assert hook in call(cli.main, ["webhooks", "list", *place]).output
    assert OWNER in call(cli.main, ["webhooks", "list", *place]).output
    for words in (("rotate",), ("test",), ("deliveries",), ("replay", "--dead"), ("enable",), ("delete",)):
        answer = call(cli.main, ["webhooks", words[0], hook, *words[1:], *place])
        assert answer.exit_code == 0, answer.output
    assert "there is no webhook" in call(cli.main, ["webhooks", "list", *place]).output


@pytest.mark.parametrize(("parts", "warned"), [(("worker",), True), (("worker", "webhooks"), False), (None, False)])
def test_who_makes_one_where_nobody_delivers_reads_so(
    store: DiskStore, monkeypatch: pytest.MonkeyPatch, parts: tuple[str, ...] | None, warned: bool
) -> None:
    def read(_: object) -> list[Present]:
        if parts is None:  # no Redis answers: nobody can tell
            raise redis.ConnectionError
        return [Present(part=part, place="here", version="1") for part in parts]

    monkeypatch.setattr(webhooks, "read_presence", read)
    created = run(store, "create", URL, "--broker", "redis://127.0.0.1:1/0")
    assert created.exit_code == 0
    assert created.stdout.startswith("whsec_")
    assert ("no worker that delivers webhooks shows itself" in created.stderr) is warned
