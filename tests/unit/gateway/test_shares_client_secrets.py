"""An app's key that anyone can take out of it creates alone; what opens a case is the secret that came with it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from dermis.gateway.shares import MOST_LINKS, SharedLink
from dermis.shared.api_keys import Scope
from dermis.shared.case import Outcome, OutcomeKind, fact_key
from tests.unit.gateway.conftest import NOW, new_key, visiting
from tests.unit.gateway.test_auth import GUARDED, fill, scope_of, whole_case
from tests.unit.gateway.test_resumable import begun
from tests.unit.gateway.test_uploads import submit, upload

KEY = {"Idempotency-Key": "0b5dba49-1f8e-4d6c-9d5e-6f6a7a2f4a11"}


@pytest.fixture
def keyed(gateway: Any) -> Any:
    gateway.settings["keyless"] = False
    return gateway


def publishable(gateway: Any) -> tuple[str, dict[str, str]]:
    return new_key(gateway, Scope.CASES_CREATE)


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def refusal(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["reason"]


class TestClientSecret:
    def test_it_comes_once_and_does_with_its_case_what_its_owner_may(self, keyed: Any, jpeg: bytes) -> None:
        owner, who = new_key(keyed)
        created = keyed.submit(jpeg, headers={**who, **KEY})
        case_id, secret = created.json()["id"], bearer(created.json()["client_secret"])
        assert keyed.submit(jpeg, headers={**who, **KEY}).json()["client_secret"] is None
        shown = keyed.get(f"/v1/cases/{case_id}", headers=who)
        assert shown.json()["client_secret"] is None
        assert shown.headers["etag"] == created.headers["etag"]
        assert created.json()["client_secret"] not in "".join(keyed.keys)
        outcome = Outcome(case_id=case_id, finished_at=NOW, kind=OutcomeKind.REJECTION)
        keyed.store.put_once(fact_key(owner, case_id, "outcome"), outcome.model_dump_json().encode())
        read = keyed.get(f"/v1/cases/{case_id}", headers=secret)
        assert (read.status_code, read.json()["access"]) == (200, "OWNER")
        assert keyed.get(f"/v1/cases/{case_id}/events", headers=secret).status_code == 200
        path = f"/v1/cases/{case_id}/feedback"
        assert keyed.call("POST", path, json={"helpful": True}, headers=secret).status_code == 201
        assert keyed.call("DELETE", f"/v1/cases/{case_id}", headers=secret).status_code == 204

    def test_it_opens_no_other_case_and_creates_and_lists_nothing(self, keyed: Any, jpeg: bytes) -> None:
        _, who = new_key(keyed)
        secret = bearer(keyed.submit(jpeg, headers=who).json()["client_secret"])
        other = keyed.submit(jpeg, headers=who).json()["id"]
        for method in ("GET", "DELETE"):
            assert refusal(keyed.call(method, f"/v1/cases/{other}", headers=secret)) == (404, "CASE_NOT_FOUND")
        assert keyed.get("/v1/cases", headers=secret).status_code == 403
        assert keyed.submit(jpeg, headers=secret).status_code == 403
        assert upload(keyed, jpeg, **secret).status_code == 403

    def test_it_ends_by_the_setting_and_makes_no_link_that_outlasts_it(self, keyed: Any, jpeg: bytes) -> None:
        keyed.settings["client_secret_days"] = 2
        _, who = new_key(keyed)
        created = keyed.submit(jpeg, headers=who).json()
        secret = bearer(created["client_secret"])
        path = f"/v1/cases/{created['id']}"
        made = keyed.call("POST", f"{path}/shares", json={"expires_in_seconds": 9 * 86400}, headers=secret).json()
        ends = datetime.fromisoformat(made["expires_at"])
        assert abs(ends - datetime.now(UTC) - timedelta(days=2)) < timedelta(minutes=1)
        keyed.clock = lambda: datetime.now(UTC) + timedelta(days=2, seconds=1)
        assert refusal(keyed.get(path, headers=secret)) == (404, "LINK_EXPIRED")

    def test_without_a_key_there_is_none(self, gateway: Any, jpeg: bytes) -> None:
        assert gateway.submit(jpeg).json()["client_secret"] is None
        browser = visiting(gateway)
        assert browser.call("POST", "/v1/cases", files={"images": jpeg}).json()["client_secret"] is None

    def test_its_scopes_are_data_and_an_older_link_has_those_that_may_erase_says(self) -> None:
        common = {"share_id": "s", "created_at": NOW, "expires_at": NOW, "secret_sha256": ""}
        for may_erase in (False, True):
            older = SharedLink.model_validate({**common, "may_erase": may_erase})
            assert older.rights == {Scope.CASES_READ} | ({Scope.CASES_WRITE} if may_erase else set())
        assert SharedLink.model_validate({**common, "scopes": ["cases:write"]}).rights == {Scope.CASES_WRITE}


class TestPublishableKey:
    @pytest.mark.parametrize(("method", "path"), GUARDED)
    def test_it_creates_and_may_nothing_else_by_any_route(
        self, keyed: Any, jpeg: bytes, method: str, path: str
    ) -> None:
        owner, case_id, _ = whole_case(keyed, jpeg)
        _, app = new_key(keyed, Scope.CASES_CREATE, owner=owner)
        response = keyed.call(method, fill(path, case_id), headers=app)
        if scope_of(method, path) == Scope.CASES_CREATE:
            assert response.status_code not in (401, 403), response.text
        else:
            assert refusal(response) == (403, "SCOPE")
            assert case_id not in response.text

    def test_with_the_secret_of_its_case_an_app_reads_that_case_alone(self, keyed: Any, jpeg: bytes) -> None:
        _, app = publishable(keyed)
        place = begun(keyed, jpeg, 50, len(jpeg), **app)
        created = submit(keyed, [place.rpartition("/")[2]], app)
        assert created.status_code == 202, created.text
        case_id, secret = created.json()["id"], bearer(created.json()["client_secret"])
        assert refusal(keyed.get(f"/v1/cases/{case_id}", headers=app)) == (403, "SCOPE")
        assert keyed.get(f"/v1/cases/{case_id}", headers=secret).status_code == 200
        assert keyed.call("DELETE", f"/v1/cases/{case_id}", headers=secret).status_code == 204

    def test_an_app_whose_answer_was_lost_gets_a_secret_by_asking_again(self, keyed: Any, jpeg: bytes) -> None:
        _, app = publishable(keyed)
        answers = [keyed.submit(jpeg, headers={**app, **KEY}) for _ in range(MOST_LINKS + 1)]
        assert len({each.json()["id"] for each in answers}) == 1
        secrets = [each.json()["client_secret"] for each in answers]
        assert len(set(secrets[:-1])) == MOST_LINKS
        assert secrets[-1] is None
        for secret in (secrets[0], secrets[-2]):
            assert keyed.get(f"/v1/cases/{answers[0].json()['id']}", headers=bearer(secret)).status_code == 200
        other = {"files": {"images": jpeg}, "data": {"consent": "KEEP_FOR_IMPROVEMENT"}}
        refused = keyed.call("POST", "/v1/cases", headers={**app, **KEY}, **other)
        assert refusal(refused) == (422, "IDEMPOTENCY_KEY_REUSED")

    def test_nobody_finds_anothers_upload_under_the_same_key(self, keyed: Any, jpeg: bytes) -> None:
        _, app = publishable(keyed)
        place = begun(keyed, jpeg, 50, **app)
        near = [f"{place[:-1]}{last}" for last in "0123456789abcdefghjkmnpqrstvwxyz" if last != place[-1]]
        for each in near:
            assert refusal(keyed.get(each, headers=app)) == (404, "UPLOAD_NOT_FOUND")
            keyed.call("DELETE", each, headers=app)
        assert keyed.get(place, headers=app).json()["offset"] == 50

    def test_one_address_leaves_the_others_of_the_same_key_their_calls(self, keyed: Any) -> None:
        key_id, app = publishable(keyed)
        keyed.settings["rate_per_minute"] = 2
        place = "/v1/uploads/nothing"
        assert [keyed.get(place, headers=app).status_code for _ in range(3)] == [404, 404, 429]
        assert keyed.rates.calls == {f"key:{key_id}:127.0.0.1": 3}

    def test_its_cases_line_up_by_address(self, keyed: Any, jpeg: bytes) -> None:
        key_id, app = publishable(keyed)
        keyed.submit(jpeg, headers=app)
        assert keyed.broker.jobs[0].line.startswith(f"{key_id}:")
        assert keyed.broker.jobs[0].owner == key_id
