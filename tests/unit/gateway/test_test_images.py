"""A test key's cases are marked as such, and the published test images are what its worker knows."""

import hashlib
from typing import Any

from dermis.shared.api_keys import make_key, put_key
from dermis.shared.case import GivenFeedback, Outcome, OutcomeKind, Received, fact_key
from dermis.shared.test_images import FORCED_ENDS, ForcedKind, drawing
from tests.unit.gateway.conftest import ALL, MODEL, NOW


def new_key(gateway: Any, *, livemode: bool) -> tuple[str, dict[str, str]]:
    key, token = make_key(name="test", scopes=ALL, at=NOW, livemode=livemode)
    put_key(gateway.store, key)
    return key.key_id, {"Authorization": f"Bearer {token}"}


def test_every_test_image_is_published_with_what_it_forces(gateway: Any) -> None:
    published = gateway.get("/v1/test-images").json()["test_images"]
    assert [(each["forces"]["kind"], each["forces"]["reason"]) for each in published] == [
        (end.kind, end.reason) for end in FORCED_ENDS
    ]
    for each in published:
        image = gateway.get(each["image"])
        assert image.headers["content-type"] == "image/png"
        assert hashlib.sha256(image.content).hexdigest() == each["sha256"]
    assert gateway.get("/v1/test-images/none").json()["reason"] == "TEST_IMAGE_NOT_FOUND"


def test_a_case_says_whether_it_is_live_everywhere(gateway: Any, jpeg: bytes) -> None:
    for livemode in (True, False):
        owner, headers = new_key(gateway, livemode=livemode)
        sent = gateway.submit(jpeg, headers={**headers, "Idempotency-Key": "k"}).json()
        assert sent["livemode"] is livemode
        assert gateway.get(f"/v1/cases/{sent['id']}", headers=headers).json()["livemode"] is livemode
        assert gateway.submit(jpeg, headers=headers).json()["livemode"] is livemode
        listed = gateway.get("/v1/cases", headers=headers).json()["cases"]
        assert [each["livemode"] for each in listed] == [livemode, livemode]
        received = Received.model_validate_json(gateway.store.get(fact_key(owner, sent["id"], "received")))
        assert received.livemode is livemode
    assert gateway.submit(jpeg).json()["livemode"]


def test_a_test_image_is_stored_as_it_was_published(gateway: Any) -> None:
    owner, headers = new_key(gateway, livemode=False)
    sent = gateway.submit(drawing("failed"), headers=headers).json()
    received = Received.model_validate_json(gateway.store.get(fact_key(owner, sent["id"], "received")))
    assert received.images[0].sha256 == hashlib.sha256(drawing("failed")).hexdigest()


def test_a_slow_case_waits_for_the_sweep_and_a_live_one_does_not(gateway: Any) -> None:
    slow = drawing(ForcedKind.SLOW.lower())
    for livemode in (True, False):
        _, headers = new_key(gateway, livemode=livemode)
        gateway.submit(slow, headers=headers)
    assert len(gateway.broker.jobs) == 1


def test_test_cases_are_counted_and_audited_apart(gateway: Any, jpeg: bytes) -> None:
    for livemode in (True, False):
        _, headers = new_key(gateway, livemode=livemode)
        case_id = gateway.submit(jpeg, headers=headers).json()["id"]
        gateway.get(f"/v1/cases/{case_id}", headers=headers)
    shown = gateway.metrics.render(None).decode()
    assert 'dermis_gateway_cases_total{queued="True"} 1.0' in shown
    assert 'dermis_gateway_test_cases_total{queued="True"} 1.0' in shown
    gateway.audit.flush()
    records = b"".join(gateway.store.get(key) for key in gateway.store.list("audit/")).decode().splitlines()
    assert [("mode" in record, '"mode": "test"' in record) for record in records] == [(False, False), (True, True)]


def test_feedback_on_a_test_case_says_so_where_it_is_kept(gateway: Any, jpeg: bytes) -> None:
    owner, headers = new_key(gateway, livemode=False)
    case_id = gateway.submit(jpeg, headers=headers, consent="KEEP_FOR_IMPROVEMENT").json()["id"]
    outcome = Outcome(case_id=case_id, finished_at=NOW, kind=OutcomeKind.DIFFERENTIAL, model=MODEL)
    gateway.store.put_once(fact_key(owner, case_id, "outcome"), outcome.model_dump_json().encode())
    sent = gateway.call("POST", f"/v1/cases/{case_id}/feedback", json={"helpful": True}, headers=headers)
    assert sent.status_code == 201
    (key,) = [each for each in gateway.store.list("") if "/feedback/" in each]
    assert GivenFeedback.model_validate_json(gateway.store.get(key)).livemode is False


def test_a_workers_verdict_on_an_image_alone_knows_the_key(gateway: Any, jpeg: bytes) -> None:
    for livemode in (True, False):
        _, headers = new_key(gateway, livemode=livemode)
        gateway.call("POST", "/v1/images:assess", files={"image": jpeg}, headers=headers)
        gateway.call("POST", "/v1/uploads", content=jpeg, headers={**headers, "Content-Type": "image/jpeg"})
    assert [job.livemode for job in gateway.broker.asked] == [True, True, False, False]
