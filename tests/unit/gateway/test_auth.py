"""API keys, scopes, rates.

Who is let in, and what one key can see of another's: over every route of the OpenAPI file.
"""

import asyncio
import json
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest

from dermis.shared.api_keys import Scope, revoke
from dermis.shared.audit import records_of
from dermis.shared.batches import (
    BatchManifest,
    BatchResult,
    BatchRow,
    as_lines,
    batch_key,
    batch_manifest_key,
    batch_result_key,
    batch_rows_key,
)
from dermis.shared.bundles import point, publish
from dermis.shared.case import (
    Assessed,
    Outcome,
    OutcomeKind,
    case_key,
    fact_key,
    heatmap_key,
    image_key,
)
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ids import new_id, new_secret_id
from dermis.shared.manifest import VersionRef
from dermis.shared.test_images import FORCED_ENDS
from dermis.shared.uploads import UPLOADS_PREFIX, UploadedImage, upload_key
from dermis.shared.webhook_admin import Webhooks
from dermis.standalone import demo
from tests.unit.gateway.conftest import ALL, HEATMAP, MODEL, NOW, new_key

DESCRIBED = json.loads((Path(__file__).parents[2] / "contract" / "openapi.json").read_text(encoding="utf-8"))
OPERATIONS = [
    (method.upper(), path, operation)
    for path, operations in DESCRIBED["paths"].items()
    for method, operation in operations.items()
]
GUARDED = [(method, path) for method, path, operation in OPERATIONS if "security" in operation]
OPEN = {("GET", "/livez"), ("GET", "/readyz"), ("GET", "/metrics"), ("OPTIONS", "/v1/uploads")}
READS = ("GET", "HEAD")
PREFLIGHT = {
    "Origin": "https://app.example",
    "Access-Control-Request-Method": "GET",
    "Access-Control-Request-Headers": "authorization",
}
ROW = "A row of somebody"
SHARE = "share_01k9x4q7e8f3rtw5m2c6b0dvza"
UPLOAD = new_secret_id("upload")
"""Kept for an hour from now on."""
WEBHOOK = "hook_01k9x4q7e8f3rtw5m2c6b0dvza"
DELIVERY = "msg_01k9x4q7e8f3rtw5m2c6b0dvza"
JUDGED = b'{"verdict":"USABLE","reasons":[],"advice":[],"measures":null,"policy":"1"}'
SOURCE = "gs://source"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def keyed(gateway: Any) -> Any:
    gateway.settings["keyless"] = False
    return gateway


def keep_upload(store: Any, owner: str, jpeg: bytes) -> None:
    """Put the upload UPLOAD, judged."""
    fact = UploadedImage(upload_id=UPLOAD, content_type="image/jpeg", width=9, height=9, sent_sha256="00")
    store.put_once(upload_key(owner, UPLOAD, "original"), jpeg)
    store.put_once(upload_key(owner, UPLOAD, "uploaded.json"), fact.model_dump_json().encode())
    store.put_once(upload_key(owner, UPLOAD, "quality.json"), JUDGED)


def whole_case(gateway: Any, jpeg: bytes) -> tuple[str, str, dict[str, str]]:
    """Return owner, id and header of a case with all its facts."""
    owner, header = new_key(gateway, *ALL, Scope.ADMIN)
    case_id = gateway.submit(jpeg, headers={**header, "Idempotency-Key": "k"}).json()["id"]
    outcome = Outcome(case_id=case_id, finished_at=NOW, kind=OutcomeKind.DIFFERENTIAL, model=MODEL, heatmaps=(HEATMAP,))
    for name, fact in (("assessed", Assessed(case_id=case_id, assessed_at=NOW, images=())), ("outcome", outcome)):
        gateway.store.put_once(fact_key(owner, case_id, name), fact.model_dump_json().encode())  # type: ignore[arg-type]
    gateway.store.put_once(image_key(owner, case_id, 1, "prepared"), jpeg)
    keep_upload(gateway.store, owner, jpeg)
    gateway.store.put_once(heatmap_key(owner, case_id, HEATMAP, MODEL), b"heatmap")
    return owner, case_id, header


def whole_batch(gateway: Any, owner: str) -> str:
    """Return the id of a batch that is done."""
    batch_id = new_id("batch")
    manifest = BatchManifest(batch_id=batch_id, owner=owner, created_at=NOW, source=SOURCE, rows=1)
    gateway.store.put_once(batch_rows_key(batch_id), as_lines([BatchRow(name=ROW, images=("a.jpg",))]))
    gateway.store.put_once(batch_result_key(batch_id, 0), as_lines([BatchResult(row=0, name=ROW)]))
    gateway.store.put_once(batch_manifest_key(batch_id), manifest.model_dump_json().encode())
    return batch_id


def whole_webhook(gateway: Any, owner: str) -> tuple[str, str]:
    """Return the ids of a webhook and of a delivery that waits for it."""
    webhooks = Webhooks(store=gateway.store)
    webhook_id = webhooks.create(owner=owner, url="https://example.org/hook").endpoint.endpoint_id
    return webhook_id, webhooks.test(owner, webhook_id).delivery.event_id


def fill(
    path: str,
    case_id: str,
    batch_id: str = "batch_01k9x4q7e8f3rtw5m2c6b0dvza",
    webhook_id: str = WEBHOOK,
    delivery_id: str = DELIVERY,
    upload_id: str = UPLOAD,
) -> str:
    """Return a path with its parameters; a KeyError here asks whoever added a route what belongs in it."""
    ids = {"case_id": case_id, "batch_id": batch_id, "upload_id": upload_id, "share_id": SHARE}
    ids |= {"webhook_id": webhook_id, "delivery_id": delivery_id}
    return path.format_map({**ids, "n": 1, "version": 1, "name": FORCED_ENDS[0].name})


def body_of(method: str, path: str, jpeg: bytes) -> dict[str, Any]:
    """Return what a call sends that is to succeed; a KeyError here asks whoever added a route what that is."""
    if method in (*READS, "DELETE") or "{webhook_id}" in path:
        return {}
    bodies: dict[tuple[str, str], dict[str, Any]] = {
        ("POST", "/v1/cases"): {"files": {"images": jpeg}},
        ("POST", "/v1/cases/{case_id}/feedback"): {"json": {"helpful": True}},
        ("POST", "/v1/cases/{case_id}/shares"): {"json": {}},
        ("POST", "/v1/images:assess"): {"files": {"image": jpeg}},
        ("POST", "/v1/webhooks"): {"json": {"url": "https://example.org/hook"}},
        ("POST", "/v1/uploads"): {"content": jpeg, "headers": {"Content-Type": "image/jpeg"}},
        ("PATCH", "/v1/uploads/{upload_id}"): {
            "content": jpeg,
            "headers": {"Content-Type": "application/offset+octet-stream", "Tus-Resumable": "1.0.0"},
        },
        ("POST", "/v1/batches"): {
            "params": {"url": SOURCE},
            "content": b"images\na.jpg\n",
            "headers": {"Content-Type": "text/csv"},
        },
    }
    return bodies[method, path]


def scope_of(method: str, path: str) -> Scope:
    if path.startswith("/v1/batches"):
        return Scope.ADMIN
    if path.startswith("/v1/webhooks"):
        return Scope.WEBHOOKS_WRITE
    if path.startswith(("/v1/models", "/v1/conditions", "/v1/promotions", "/v1/test-images")):
        return Scope.MODELS_READ
    if path.startswith("/v1/uploads") or (method, path) == ("POST", "/v1/cases"):
        return Scope.CASES_CREATE
    reads = method in READS and not path.endswith("/shares")
    return Scope.CASES_READ if reads else Scope.CASES_WRITE


def test_every_route_needs_the_scope_that_fits_what_it_does_or_is_listed_as_open() -> None:
    assert {(method, path) for method, path, operation in OPERATIONS if "security" not in operation} == OPEN
    for method, path, operation in OPERATIONS:
        if (method, path) not in OPEN:
            assert operation["x-scopes"] == [scope_of(method, path)], (method, path)


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_without_a_valid_key_nothing_is_answered(keyed: Any, jpeg: bytes, method: str, path: str) -> None:
    _, case_id, header = whole_case(keyed, jpeg)
    token = header["Authorization"].removeprefix("Bearer ")
    before = keyed.keys
    wrong = [
        None,
        "",
        "Bearer",
        f"Basic {token}",
        f"Bearer {token}x",
        f"Bearer {token[:-1]}",
        f"Bearer {token.partition('.')[0]}.",
    ]
    wrong += [
        f"Bearer {new_id('key')}.{token.partition('.')[2]}",
        "Bearer ../../x.y",
        f"Token {token}",
        "Bearer key_\xe9.x",
    ]
    for authorization in wrong:
        headers = {} if authorization is None else {"Authorization": authorization.encode("latin-1")}
        response = keyed.call(method, fill(path, case_id), headers=headers)
        assert (response.status_code, response.json()["reason"]) == (
            401,
            "KEY_NEEDED" if authorization is None else "KEY_INVALID",
        )
        assert response.headers["www-authenticate"].startswith('Bearer realm="dermis"')
        assert case_id not in response.text
    assert keyed.keys == before


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_a_key_without_the_scope_is_refused(keyed: Any, jpeg: bytes, method: str, path: str) -> None:
    (needed,) = DESCRIBED["paths"][path][method.lower()]["x-scopes"]
    owner, case_id, _ = whole_case(keyed, jpeg)
    before = keyed.keys
    lacking = {needed, Scope.CASES_WRITE} if needed == Scope.CASES_CREATE else {needed}
    _, other = new_key(keyed, *(scope for scope in ALL if scope not in lacking), owner=owner)
    response = keyed.call(method, fill(path, case_id), headers=other)
    assert (response.status_code, response.json()["reason"]) == (403, "SCOPE")
    assert (
        response.headers["www-authenticate"] == f'Bearer realm="dermis", error="insufficient_scope", scope="{needed}"'
    )
    assert [key for key in keyed.keys if not key.startswith("keys/")] == [
        key for key in before if not key.startswith("keys/")
    ]


@pytest.mark.parametrize(
    ("method", "path", "keyless"), [(*each, keyless) for each, keyless in product(GUARDED, (False, True))]
)
def test_a_key_and_a_call_without_one_see_nothing_of_another_keys_case_or_batch(
    gateway: Any, jpeg: bytes, method: str, path: str, keyless: bool
) -> None:
    gateway.settings |= {"keyless": True, "list_public": True, "batch_sources": SOURCE}
    gateway.broker.reply = JUDGED
    publish(gateway.store, demo.BUNDLE)
    point(gateway.store, VersionRef(name="dermis", version=1))
    owner, case_id, header = whole_case(gateway, jpeg)
    batch_id = whole_batch(gateway, owner)
    webhook_id, delivery_id = whole_webhook(gateway, owner)
    _, other = (None, {}) if keyless else new_key(gateway, *ALL, Scope.ADMIN)
    folders = (
        f"{case_key(owner, case_id)}/",
        f"{batch_key(batch_id)}/",
        f"{UPLOADS_PREFIX}{owner}/",
        f"webhooks/{owner}/",
    )
    before = {key: gateway.store.get(key) for folder in folders for key in gateway.store.list(folder)}
    body = body_of(method, path, jpeg)
    sent = body.pop("headers", {})

    def call(who: dict[str, str], *ids: str) -> httpx.Response:
        answer: httpx.Response = gateway.call(method, fill(path, *ids), headers={**sent, **who}, **body)
        return answer

    ids = (case_id, batch_id, webhook_id, delivery_id)
    response = call({**other, "Idempotency-Key": "k", "If-None-Match": "*"}, *ids)
    if keyless and scope_of(method, path) in (Scope.ADMIN, Scope.WEBHOOKS_WRITE):
        assert (response.status_code, response.json()["reason"]) == (403, "SCOPE")
    elif any(name in path for name in ("{case_id}", "{batch_id}", "{webhook_id}")) or (
        "{upload_id}" in path and method != "DELETE"
    ):
        never = call(other, *(unknown := tuple(map(new_id, ("case", "batch", "hook", "msg", "upload")))))
        assert response.status_code == never.status_code == 404
        # nothing tells that there is such a case or batch
        assert _shape(response, *ids, UPLOAD) == _shape(never, *unknown)
    else:
        assert response.is_success, response.text
    if "{case_id}" not in path and "{batch_id}" not in path:
        assert case_id not in response.text
        assert batch_id not in response.text
    assert ROW not in response.text
    assert {key: gateway.store.get(key) for folder in folders for key in gateway.store.list(folder)} == before
    if method in READS:  # who owns it does see it, so the above is no empty promise
        mine = call(header, *ids)
        assert mine.is_success
        signs = {"/v1/cases": case_id, "/v1/batches": ROW if path.endswith("/results") else batch_id}
        signs["/v1/webhooks"] = delivery_id if path.endswith("/deliveries") else webhook_id
        shown = [sign for start, sign in signs.items() if path.startswith(start)]
        if path.startswith("/v1/uploads"):
            shown = [UPLOAD]
        if path.endswith("/shares"):  # that of its client_secret
            shown = ["share_"]
        whole = (b"heatmap", jpeg)
        assert all(sign in mine.text for sign in shown) or mine.content in whole


def _shape(response: httpx.Response, *ids: str) -> str:
    problem = response.json()
    problem.pop("instance")
    text = json.dumps(problem)
    for each in ids:
        text = text.replace(each, "ID")
    return text


def test_a_key_that_replaces_another_sees_its_cases_and_admin_sees_no_others(keyed: Any, jpeg: bytes) -> None:
    owner, case_id, _ = whole_case(keyed, jpeg)
    _, successor = new_key(keyed, owner=owner)
    _, admin = new_key(keyed, Scope.ADMIN)
    assert keyed.get(f"/v1/cases/{case_id}", headers=successor).status_code == 200
    assert [case["id"] for case in keyed.get("/v1/cases", headers=successor).json()["cases"]] == [case_id]
    assert keyed.get(f"/v1/cases/{case_id}", headers=admin).status_code == 404
    assert keyed.submit(jpeg, headers=admin).status_code == 202


def test_a_revoked_key_stops_within_30_s(keyed: Any, jpeg: bytes) -> None:
    owner, case_id, header = whole_case(keyed, jpeg)
    keyed.now = 100.0
    assert keyed.get(f"/v1/cases/{case_id}", headers=header).status_code == 200
    revoke(keyed.store, owner, at=NOW)
    revoke(keyed.store, owner, at=datetime(2026, 1, 3, tzinfo=UTC))
    keyed.now = 129.9
    assert keyed.get(f"/v1/cases/{case_id}", headers=header).status_code == 200
    keyed.now = 130.0
    assert keyed.get(f"/v1/cases/{case_id}", headers=header).json()["reason"] == "KEY_INVALID"


def test_a_stream_and_a_wait_end_with_the_key_that_began_them(
    keyed: Any, jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, header = new_key(keyed)
    case_id = keyed.submit(jpeg, headers=header).json()["id"]
    waiting: set[asyncio.Event] = set()
    wait = keyed.hub.wait

    async def wait_visibly(event: asyncio.Event) -> None:
        waiting.add(event)
        await wait(event)

    monkeypatch.setattr(keyed.hub, "wait", wait_visibly)

    async def both() -> tuple[httpx.Response, httpx.Response]:
        async with keyed.client() as client:
            calls = [
                asyncio.ensure_future(client.get(f"/v1/cases/{case_id}/events", headers=header)),
                asyncio.ensure_future(client.get(f"/v1/cases/{case_id}", headers={**header, "Prefer": "wait=10"})),
            ]
            while len(waiting) < 2:
                await asyncio.sleep(0.01)
            revoke(keyed.store, owner, at=NOW)
            keyed.now += 30
            fact = Outcome(case_id=case_id, finished_at=NOW, kind=OutcomeKind.REJECTION)
            keyed.store.put_once(fact_key(owner, case_id, "outcome"), fact.model_dump_json().encode())
            keyed.hub.wake(case_id)
            stream, waited = await asyncio.gather(*calls)
            return stream, waited

    stream, waited = keyed.runner.run(both())
    assert "event: received" in stream.text
    assert "event: outcome" not in stream.text
    assert waited.json()["reason"] == "KEY_INVALID"


def test_an_unknown_key_costs_the_store_one_look_in_30_s(keyed: Any) -> None:
    looks = counted(keyed)
    for _ in range(5):
        assert keyed.get("/v1/cases", headers=bearer(f"{'key_01k9x4q7e8f3rtw5m2c6b0dvza'}.x")).status_code == 401
    assert len(looks) == 1


def test_unknown_keys_are_refused_by_address_before_any_look_and_known_ones_go_on(keyed: Any) -> None:
    _, good = new_key(keyed)
    keyed.settings["unknown_keys_per_minute"] = 3
    assert keyed.get("/v1/cases", headers=good).status_code == 200
    looks = counted(keyed)
    answers = [keyed.get("/v1/cases", headers=bearer(f"{new_id('key')}.x")) for _ in range(10)]
    assert [answer.status_code for answer in answers] == [401] * 3 + [429] * 7
    assert (answers[-1].json()["reason"], answers[-1].headers["retry-after"]) == ("RATE_LIMIT", "7")
    assert len(looks) == 3
    keyed.now += 31  # the good key is no longer held, but was valid
    assert keyed.get("/v1/cases", headers=good).status_code == 200


def test_a_broken_key_opens_nothing_and_is_told_by_its_id(keyed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    key_id, header = new_key(keyed)
    keyed.store.replace(f"keys/{key_id}", b"{broken", generation=keyed.store.get_versioned(f"keys/{key_id}").generation)
    assert keyed.get("/v1/cases", headers=header).json()["reason"] == "KEY_INVALID"
    assert key_id in capsys.readouterr().out


def test_a_revocation_that_is_broken_still_revokes(keyed: Any) -> None:
    key_id, header = new_key(keyed)
    keyed.store.put_once(f"keys/{key_id}.revoked", b"{broken")
    assert keyed.get("/v1/cases", headers=header).status_code == 401


def counted(gateway: Any) -> list[str]:
    """Return the keys of all objects that are read from now on."""
    looks, get = [], gateway.store.get
    gateway.store.get = lambda key: (looks.append(key), get(key))[1]
    return looks


def test_without_the_store_nobody_new_is_let_in(keyed: Any) -> None:
    def refuse(_key: str) -> bytes:
        raise DermisError(Kind.UNAVAILABLE, "STORE_UNAVAILABLE", "the store refused")

    _, header = new_key(keyed)
    keyed.store.get = refuse
    assert keyed.get("/v1/cases", headers=header).status_code == 503


def test_a_wrong_key_is_never_taken_for_none(gateway: Any) -> None:
    assert gateway.get(f"/v1/cases/{new_id('case')}", headers=bearer("x")).status_code == 401


class TestRates:
    def test_every_answer_says_what_is_left_and_the_call_after_is_told_when_to_come(self, keyed: Any) -> None:
        keyed.settings["rate_per_minute"] = 2
        _, header = new_key(keyed)
        missing = f"/v1/cases/{new_id('case')}"
        answers = [keyed.get(missing, headers=header) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [404, 404, 429]
        assert [answer.headers["ratelimit"] for answer in answers] == [
            '"key";r=1;t=7',
            '"key";r=0;t=7',
            '"key";r=0;t=7',
        ]
        assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"key";q=2;w=60'}
        assert (answers[2].headers["retry-after"], answers[2].json()["reason"]) == ("7", "RATE_LIMIT")

    def test_each_key_has_its_own(self, keyed: Any) -> None:
        keyed.settings["rate_per_minute"] = 1
        for _ in range(2):
            _, header = new_key(keyed)
            assert keyed.get("/v1/cases", headers=header).status_code == 200

    def test_without_a_key_addresses_are_counted_unless_that_is_off(self, gateway: Any) -> None:
        gateway.settings["list_public"] = True
        assert gateway.get("/v1/cases").headers["ratelimit-policy"] == '"address";q=600;w=60'
        gateway.guard, gateway.settings["keyless_rate_per_minute"] = None, 0
        for _ in range(3):
            assert "ratelimit" not in gateway.get("/v1/cases").headers
        gateway.guard, gateway.settings["keyless_rate_per_minute"] = None, 2
        assert [gateway.get("/v1/cases").status_code for _ in range(2)] == [200, 429]

    def test_refused_callers_and_probes_are_not_counted(self, keyed: Any) -> None:
        keyed.get("/v1/cases")
        keyed.get("/livez")
        assert keyed.rates.calls == {}


class TestOrigins:
    def test_by_default_no_other_page_may_call(self, gateway: Any) -> None:
        for method in ("OPTIONS", "GET"):
            headers = gateway.call(method, "/v1/cases", headers=PREFLIGHT).headers
            assert not [name for name in headers if name.startswith("access-control")]

    def test_a_page_of_a_listed_origin_may_and_no_other(self, gateway: Any) -> None:
        gateway.settings["cors_origins"] = "https://app.example, https://b.example"
        answer = gateway.call("OPTIONS", "/v1/cases", headers=PREFLIGHT)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "https://app.example")
        assert "access-control-allow-credentials" not in answer.headers
        other = gateway.call("OPTIONS", "/v1/cases", headers={**PREFLIGHT, "Origin": "https://c.example"})
        assert "access-control-allow-origin" not in other.headers


def test_reads_and_erasures_are_audited_by_key_and_case_and_refusals_and_models_are_not(
    keyed: Any, jpeg: bytes
) -> None:
    owner, case_id, header = whole_case(keyed, jpeg)
    batch_id = whole_batch(keyed, owner)
    _, other = new_key(keyed)
    for _ in range(2):
        keyed.get(f"/v1/cases/{case_id}", headers=header)
    keyed.get(f"/v1/cases/{case_id}/images/1/heatmap", headers=header)
    keyed.get("/v1/cases", headers=header)
    keyed.get(f"/v1/cases/{case_id}", headers=other)
    keyed.get(f"/v1/cases/{case_id}")
    keyed.get("/v1/models", headers=header)
    keyed.call("DELETE", f"/v1/cases/{case_id}", headers=header)
    keyed.get(f"/v1/batches/{batch_id}/results", headers=header)
    keyed.call("DELETE", f"/v1/batches/{batch_id}", headers=header)
    keyed.audit.flush()
    (written,) = (key for key in keyed.keys if key.startswith("audit/"))
    records = records_of(keyed.store.get(written))
    assert {record["by"] for record in records} == {owner}
    assert [(record["act"], record["route"], record["times"], record.get("case_id")) for record in records] == [
        ("READ", "/v1/cases/{case_id}", 2, case_id),
        ("READ", "/v1/cases/{case_id}/images/{n}/heatmap", 1, case_id),
        ("READ", "/v1/cases", 1, None),
        ("ERASE", "/v1/cases/{case_id}", 1, case_id),
        ("READ", "/v1/batches/{batch_id}/results", 1, None),
        ("ERASE", "/v1/batches/{batch_id}", 1, None),
    ]
    assert [record["batch_id"] for record in records[-2:]] == [batch_id] * 2
