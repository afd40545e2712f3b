"""The pages of second reads: who gets in, that a first read is blind, what is kept, and what goes with its case."""

import base64
import html
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import itsdangerous
import pytest
from starlette.middleware.sessions import SessionMiddleware

from dermis.gateway.reviews import CLAIM
from dermis.gateway.settings import GatewaySettings
from dermis.gateway.sign_in import COOKIE, sign_in_of
from dermis.shared.audit import AUDIT_PREFIX
from dermis.shared.case import (
    Assessed,
    AssessedImage,
    ModelRef,
    Outcome,
    OutcomeKind,
    RankedCondition,
    RedFlag,
    Urgency,
    fact_key,
    image_key,
)
from dermis.shared.codes import labels
from dermis.shared.report import QualityReport, Verdict
from dermis.shared.reviews import Adjudication, Review, adjudication_key, review_key
from dermis.shared.secret import new_secret
from dermis.shared.vocabulary import Gradable

YES, NO, NOTHING = Gradable
MODEL = ModelRef(name="secretmodel", version=7, purpose="research")
FIRST, SECOND = labels()[:2]


@dataclass
class Desk:
    """A clinician's browser; who signed in stands in its cookie as the gateway itself would write it."""

    gateway: Any
    reader: str
    roles: tuple[str, ...] = ("reviewer",)
    token: str = ""
    ends_in: timedelta = timedelta(hours=1)

    def __post_init__(self) -> None:
        self.token = self.token or new_secret()
        ends_at = (datetime.now(UTC) + self.ends_in).timestamp()
        kept = {"id": self.reader, "roles": self.roles, "token": self.token, "ends_at": ends_at}
        text = base64.b64encode(json.dumps({"reader": kept}).encode())
        self.cookie = itsdangerous.TimestampSigner(cookie_key(self.gateway)).sign(text).decode()

    def call(self, method: str, path: str, **options: Any) -> Any:
        headers = {"Cookie": f"{COOKIE}={self.cookie}"} | options.pop("headers", {})
        return self.gateway.call(method, path, headers=headers, **options)

    def get(self, path: str) -> Any:
        return self.call("GET", path)

    def read(self, case_id: str, *conditions: tuple[str, int], gradable: Gradable = YES, **more: Any) -> Any:
        fields = {
            "token": self.token,
            "gradable": gradable,
            "condition": [label for label, _ in conditions],
            "confidence": [level for _, level in conditions],
        }
        return self.call("POST", f"/ops/reviews/{case_id}", data=fields | more)

    def settle(self, case_id: str, label: str) -> Any:
        fields = {"token": self.token, "gradable": YES, "condition": label, "confidence": 5}
        return self.call("POST", f"/ops/reviews/{case_id}/adjudication", data=fields)


def cookie_key(gateway: Any) -> str:
    class App:
        def add_middleware(self, kind: type, *, secret_key: str, **flags: Any) -> None:
            assert kind is SessionMiddleware
            assert (flags["path"], flags["same_site"]) == ("/ops/reviews", "lax")
            self.key = secret_key

    app, sign_in = App(), sign_in_of(GatewaySettings(**gateway.settings), gateway.clock)
    assert sign_in
    sign_in.install(app)  # type: ignore[arg-type]
    return app.key


@pytest.fixture
def desk(gateway: Any, tmp_path: Any) -> Any:
    """A gateway whose clinicians sign in."""
    (tmp_path / "secret").write_text("0123456789abcdef")
    gateway.settings |= {
        "oidc_issuer": "https://login.example.org",
        "oidc_client_id": "dermis",
        "oidc_client_secret_file": tmp_path / "secret",
    }
    return gateway


@pytest.fixture
def ann(desk: Any) -> Desk:
    return Desk(desk, "reader_ann")


@pytest.fixture
def bea(desk: Any) -> Desk:
    return Desk(desk, "reader_bea")


@pytest.fixture
def adj(desk: Any) -> Desk:
    return Desk(desk, "reader_adj", roles=("adjudicator",))


def finished(
    gateway: Any,
    image: bytes,
    *,
    second_read: str = "true",
    kind: OutcomeKind = OutcomeKind.DIFFERENTIAL,
    best: float = 0.6,
    urgency: Urgency | None = None,
    report: dict[str, Any] | None = None,
) -> str:
    """Return the id of a finished case of the public owner."""
    answers = json.dumps({"body_parts": ["ARM"], "fitzpatrick_skin_type": "FST4"} | (report or {}))
    response = gateway.submit(image, second_read=second_read, self_report=answers, client_reference="visit-77")
    assert response.status_code == 202, response.text
    case_id = str(response.json()["id"])
    quality = QualityReport(verdict=Verdict.USABLE, reasons=(), advice=(), measures=None, policy="p")
    looked = AssessedImage(n=1, quality=quality, phash="0" * 16)
    assessed = Assessed(case_id=case_id, assessed_at=datetime.now(UTC), images=(looked,))
    outcome = Outcome(
        case_id=case_id,
        finished_at=datetime.now(UTC),
        kind=kind,
        model=MODEL,
        differential=tuple(
            RankedCondition(condition=name.upper(), name=name, probability=share, in_prediction_set=True)
            for name, share in (("Modelsfirst", best), ("Modelssecond", 1 - best))
        ),
        red_flags=(RedFlag(flag="X", text="flagged", urgency=urgency),) if urgency else (),
    )
    gateway.store.put_once(fact_key("public", case_id, "assessed"), assessed.model_dump_json().encode())
    gateway.store.put_once(fact_key("public", case_id, "outcome"), outcome.model_dump_json().encode())
    gateway.store.put_once(image_key("public", case_id, 1, "prepared"), image)
    return case_id


def listed(page: Any) -> list[str]:
    return re.findall(r"/ops/reviews/(case_\w+)", page.text)


def notes(gateway: Any) -> list[dict[str, Any]]:
    gateway.audit.flush()
    lines = [
        line for key in gateway.keys if key.startswith(AUDIT_PREFIX) for line in gateway.store.get(key).splitlines()
    ]
    return [record for line in lines if "act" in (record := json.loads(line))]


PATHS = ("", "/sign-in", "/next", "/labels", "/adjudications", "/agreement", "/case_x", "/case_x/images/1")


@pytest.mark.parametrize("path", PATHS)
def test_without_a_provider_nothing_of_it_is_there(gateway: Any, path: str) -> None:
    assert gateway.get(f"/ops/reviews{path}").status_code == 404
    assert gateway.call("POST", "/ops/reviews/case_x", data={"gradable": YES}).status_code == 404


@pytest.mark.parametrize("path", [path for path in PATHS if path != "/sign-in"])
def test_nobody_gets_in_who_is_not_signed_in(desk: Any, jpeg: bytes, path: str) -> None:
    case_id = finished(desk, jpeg)
    response = desk.get(f"/ops/reviews{path.replace('case_x', case_id)}")
    assert response.status_code == 401
    assert 'href="/ops/reviews/sign-in"' in response.text
    assert jpeg not in response.content


@pytest.mark.parametrize("change", ["over", "changed", "other key"])
def test_a_cookie_that_is_over_or_not_ours_opens_nothing(desk: Any, jpeg: bytes, change: str) -> None:
    case_id = finished(desk, jpeg)
    ann = Desk(desk, "reader_ann", ends_in=timedelta(seconds=-1 if change == "over" else 60))
    if change == "changed":
        ann.cookie = "A" + ann.cookie
    elif change == "other key":
        ann.cookie = (
            itsdangerous.TimestampSigner("x" * 64).sign(ann.cookie.rpartition(".")[0].rpartition(".")[0]).decode()
        )
    assert ann.get(f"/ops/reviews/{case_id}/images/1").status_code == 401


def test_each_role_opens_its_own_pages(ann: Desk, adj: Desk, jpeg: bytes) -> None:
    case_id = finished(ann.gateway, jpeg)
    assert ann.get("/ops/reviews").status_code == 200
    for path in ("/adjudications", f"/{case_id}/adjudication"):
        assert ann.get(f"/ops/reviews{path}").status_code == 403
    assert adj.get("/ops/reviews/adjudications").status_code == 200
    assert adj.get(f"/ops/reviews/{case_id}").status_code == 403
    assert adj.read(case_id, (FIRST, 3)).status_code == 403
    assert ann.settle(case_id, FIRST).status_code == 403


def test_a_case_without_consent_or_end_or_photo_is_nobodys_to_read(ann: Desk, jpeg: bytes) -> None:
    gateway = ann.gateway
    refused = finished(gateway, jpeg, second_read="false")
    open_case = gateway.submit(jpeg, second_read="true").json()["id"]
    child = finished(gateway, jpeg, report={"under_18": True})
    readable = finished(gateway, jpeg)
    assert set(listed(ann.get("/ops/reviews"))) == {readable}
    for case_id in (refused, open_case, child, "case_00000000000000000000000000", "x"):
        for path in (f"/{case_id}", f"/{case_id}/images/1"):
            response = ann.get(f"/ops/reviews{path}")
            assert response.status_code == 404
            assert jpeg not in response.content
        assert ann.read(case_id, (FIRST, 3)).status_code == 404
    assert not [key for key in gateway.keys if "/reviews/" in key or "/claims/" in key]


def test_a_marker_alone_opens_no_case_that_says_no(ann: Desk, jpeg: bytes) -> None:
    case_id = finished(ann.gateway, jpeg, second_read="false")
    ann.gateway.store.put_once(f"second-read/{case_id}", b'{"owner": "public"}')
    assert ann.get(f"/ops/reviews/{case_id}").status_code == 404
    assert listed(ann.get("/ops/reviews")) == []


def test_a_first_read_is_blind(ann: Desk, bea: Desk, jpeg: bytes) -> None:
    """Nothing of the model, of other readings, of the owner, nor the person's own skin type comes before one's own."""
    gateway = ann.gateway
    case_id = finished(gateway, jpeg, kind=OutcomeKind.ABSTENTION, urgency=Urgency.TODAY)
    assert bea.read(case_id, (SECOND, 4), fitzpatrick_skin_type="FST2").status_code == 303
    pages = [ann.get(path) for path in ("/ops/reviews", f"/ops/reviews/{case_id}", "/ops/reviews/agreement")]
    assert [page.status_code for page in pages] == [200] * 3
    fetched = set(re.findall(r'(?:src|href|action)="(/ops/reviews[^"?]*)', "".join(page.text for page in pages)))
    assert f"/ops/reviews/{case_id}/images/1" in fetched
    answers = [ann.get(path) for path in sorted(fetched - {"/ops/reviews/sign-in"}) if "sign-out" not in path]
    hidden = (
        "secretmodel",
        "Modelsfirst",
        "MODELSFIRST",
        "ABSTENTION",
        "flagged",
        SECOND,
        "reader_bea",
        "visit-77",
        "Rarely burns",
    )
    for page in pages + [each for each in answers if "json" not in each.headers.get("content-type", "")]:
        text = html.unescape(page.content.decode(errors="replace"))
        assert not [word for word in hidden if word in text]
    assert "Arm" in pages[1].text
    assert ann.read(case_id, (FIRST, 5)).headers["location"] == f"/ops/reviews/{case_id}"
    after = html.unescape(ann.get(f"/ops/reviews/{case_id}").text)
    assert all(word in after for word in ("secretmodel", "Modelsfirst", FIRST, "Rarely burns"))
    assert not [word for word in (SECOND, "reader_bea", "visit-77") if word in after]


def test_a_reading_is_kept_once_with_what_it_says(ann: Desk, jpeg: bytes) -> None:
    gateway = ann.gateway
    case_id = finished(gateway, jpeg)
    more: dict[str, Any] = {"fitzpatrick_skin_type": "FST3", "monk_skin_tone": "MST10", "seconds": "12.5"}
    assert ann.read(case_id, (FIRST, 5), (SECOND, 2), **more).status_code == 303
    key = review_key("public", case_id, "reader_ann")
    review = Review.model_validate_json(gateway.store.get(key))
    assert [(each.label, each.confidence) for each in review.conditions] == [(FIRST, 5), (SECOND, 2)]
    assert (review.fitzpatrick_skin_type, review.monk_skin_tone, review.seconds) == ("FST3", "MST10", 12.5)
    assert (review.reader, review.model) == ("reader_ann", MODEL)
    before = gateway.store.get(key)
    assert ann.read(case_id, (SECOND, 1)).status_code == 409
    assert gateway.store.get(key) == before


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"gradable": "MAYBE"}, "gradable"),
        ({"gradable": YES, "condition": []}, "conditions"),
        ({"gradable": YES, "condition": "Nonsense", "confidence": 3}, "Nonsense"),
        ({"gradable": YES, "condition": FIRST}, "confidence"),
        ({"gradable": YES, "condition": FIRST, "confidence": 6}, "confidence"),
        ({"gradable": YES, "condition": [FIRST, FIRST], "confidence": [3, 4]}, "twice"),
        ({"gradable": YES, "condition": FIRST, "confidence": 3, "monk_skin_tone": "MST11"}, "monk_skin_tone"),
        ({"gradable": NO, "fitzpatrick_skin_type": "FST9"}, "fitzpatrick_skin_type"),
    ],
)
def test_a_reading_that_is_wrong_is_refused_by_its_field(
    ann: Desk, jpeg: bytes, fields: dict[str, Any], reason: str
) -> None:
    case_id = finished(ann.gateway, jpeg)
    response = ann.call("POST", f"/ops/reviews/{case_id}", data={"token": ann.token} | fields)
    assert response.status_code == 422
    assert reason in html.unescape(response.text)
    assert not [key for key in ann.gateway.keys if "/reviews/" in key]


@pytest.mark.parametrize("gradable", [NO, NOTHING])
def test_what_is_not_gradable_has_no_conditions(ann: Desk, jpeg: bytes, gradable: Gradable) -> None:
    case_id = finished(ann.gateway, jpeg)
    assert ann.read(case_id, (FIRST, 3), gradable=gradable).status_code == 303
    review = Review.model_validate_json(ann.gateway.store.get(review_key("public", case_id, "reader_ann")))
    assert (review.gradable, review.conditions) == (gradable, ())


@pytest.mark.parametrize("token", ["", "x" * 40])
def test_a_form_of_another_page_is_refused(ann: Desk, jpeg: bytes, token: str) -> None:
    case_id = finished(ann.gateway, jpeg)
    for path in (f"/{case_id}", "/sign-out"):
        fields = {"token": token, "gradable": NO}
        assert ann.call("POST", f"/ops/reviews{path}", data=fields).status_code == 403
        fields["token"] = ann.token
        elsewhere = ann.call("POST", f"/ops/reviews{path}", data=fields, headers={"Origin": "https://evil.example"})
        assert elsewhere.status_code == 403
    assert not [key for key in ann.gateway.keys if "/reviews/" in key]


def test_a_reader_signs_out(ann: Desk) -> None:
    response = ann.call("POST", "/ops/reviews/sign-out", data={"token": ann.token})
    assert (response.status_code, response.headers["location"]) == (303, "/ops/reviews")
    cookie = response.headers["set-cookie"].lower()
    assert cookie.startswith(f"{COOKIE}=null; path=/ops/reviews; expires=thu, 01 jan 1970")
    assert all(flag in cookie for flag in ("httponly", "samesite=lax", "secure"))
    assert "domain" not in cookie


def test_a_case_is_left_to_two_readers_and_to_who_is_at_it_for_a_while(ann: Desk, bea: Desk, jpeg: bytes) -> None:
    gateway = ann.gateway
    case_id = finished(gateway, jpeg)
    cid, dan = Desk(gateway, "reader_cid"), Desk(gateway, "reader_dan")
    assert ann.get("/ops/reviews/next").headers["location"] == f"/ops/reviews/{case_id}"
    ann.get(f"/ops/reviews/{case_id}")
    assert listed(cid.get("/ops/reviews")) == [case_id] * len(listed(cid.get("/ops/reviews")))
    bea.get(f"/ops/reviews/{case_id}")
    assert listed(cid.get("/ops/reviews")) == []
    assert cid.get("/ops/reviews/next").headers["location"] == "/ops/reviews"
    assert case_id in listed(ann.get("/ops/reviews"))
    gateway.clock = lambda: datetime.now(UTC) + CLAIM
    later = [Desk(gateway, each, ends_in=timedelta(hours=2)) for each in ("reader_cid", "reader_dan")]
    assert case_id in listed(later[0].get("/ops/reviews"))
    for each in later:
        assert each.read(case_id, (FIRST, 3)).status_code == 303
        assert listed(each.get("/ops/reviews")) == []
    assert listed(ann.get("/ops/reviews")) == []
    assert not [key for key in gateway.keys if "/claims/reader_cid" in key]
    del dan


def test_the_list_begins_with_what_teaches_most_or_is_most_urgent(ann: Desk, jpeg: bytes) -> None:
    gateway = ann.gateway
    sure, unsure = finished(gateway, jpeg, best=0.99, urgency=Urgency.EMERGENCY), finished(gateway, jpeg, best=0.51)
    abstained = finished(gateway, jpeg, kind=OutcomeKind.ABSTENTION, best=0.6)
    assert listed(ann.get("/ops/reviews")) == [abstained, unsure, sure]
    assert listed(ann.get("/ops/reviews?order=urgency"))[0] == sure
    assert ann.get("/ops/reviews?order=nonsense").status_code == 422


def test_one_broken_case_hides_no_other(ann: Desk, jpeg: bytes) -> None:
    gateway = ann.gateway
    broken, fine = finished(gateway, jpeg), finished(gateway, jpeg)
    gateway.store.delete(fact_key("public", broken, "outcome"))
    gateway.store.put_once(fact_key("public", broken, "outcome"), b"{")
    gateway.store.put_once("second-read/case_x", b"{")
    assert set(listed(ann.get("/ops/reviews"))) == {fine}


def test_readings_that_disagree_are_settled_by_another(ann: Desk, bea: Desk, adj: Desk, jpeg: bytes) -> None:
    gateway = ann.gateway
    case_id, agreed = finished(gateway, jpeg), finished(gateway, jpeg)
    for each, label in ((ann, FIRST), (bea, SECOND)):
        assert each.read(case_id, (label, 4)).status_code == 303
        assert each.read(agreed, (FIRST, 4)).status_code == 303
    assert listed(adj.get("/ops/reviews/adjudications")) == [case_id]
    page = html.unescape(adj.get(f"/ops/reviews/{case_id}/adjudication").text)
    assert FIRST in page
    assert SECOND in page
    assert not [word for word in ("secretmodel", "Modelsfirst", "reader_ann") if word in page]
    both = Desk(gateway, "reader_ann", roles=("reviewer", "adjudicator"))
    assert listed(both.get("/ops/reviews/adjudications")) == []
    assert both.settle(case_id, FIRST).status_code == 409
    assert adj.settle(agreed, FIRST).status_code == 409
    assert adj.settle(case_id, SECOND).status_code == 303
    fact = Adjudication.model_validate_json(gateway.store.get(adjudication_key("public", case_id)))
    assert (fact.reader, fact.readers) == ("reader_adj", ("reader_ann", "reader_bea"))
    assert adj.settle(case_id, FIRST).status_code == 409
    assert listed(adj.get("/ops/reviews/adjudications")) == []
    counts = re.findall(r"<dd>(\d+)</dd>", adj.get("/ops/reviews/agreement").text)
    assert counts == ["0", "0", "1", "1", "4"]


def test_who_both_reads_and_settles_sees_no_reading_before_giving_their_own(
    gateway: Any, ann: Desk, bea: Desk, jpeg: bytes
) -> None:
    case_id, both = finished(gateway, jpeg), Desk(gateway, "reader_both", ("reviewer", "adjudicator"))
    ann.read(case_id, (FIRST, 4))
    early = both.get(f"/ops/reviews/{case_id}/adjudication")
    assert (early.status_code, FIRST in early.text) == (409, False)
    bea.read(case_id, (SECOND, 4))
    assert both.get(f"/ops/reviews/{case_id}/adjudication").status_code == 200
    late = both.read(case_id, (FIRST, 5))
    assert (late.status_code, "NOT_BLIND" in late.text or "seen them" in late.text) == (409, True)


def test_all_goes_with_its_case_and_a_case_erased_in_the_midst_keeps_nothing(ann: Desk, bea: Desk, jpeg: bytes) -> None:
    gateway = ann.gateway
    case_id = finished(gateway, jpeg)
    assert ann.read(case_id, (FIRST, 4)).status_code == 303
    assert bea.get(f"/ops/reviews/{case_id}").status_code == 200
    assert gateway.call("DELETE", f"/v1/cases/{case_id}").status_code == 204
    response = bea.read(case_id, (FIRST, 4))
    assert response.status_code == 404
    assert "This case is gone" in response.text
    assert {key for key in gateway.keys if case_id in key} == {f"open/{case_id}", fact_key("public", case_id, "erased")}


def test_a_reading_put_while_its_case_is_erased_is_taken_back(ann: Desk, jpeg: bytes) -> None:
    gateway = ann.gateway
    case_id = finished(gateway, jpeg)
    put_once = gateway.store.put_once
    erased: list[str] = []

    def late(key: str, data: bytes, *, reserved: bool = False) -> bool:
        if "/reviews/" in key and not erased:
            erased.append(key)
            put_once(fact_key("public", case_id, "erased"), b'{"case_id":"x","erased_at":"2026-01-01T00:00:00Z"}')
        return bool(put_once(key, data, reserved=reserved))

    gateway.store.put_once = late
    assert ann.read(case_id, (FIRST, 4)).status_code == 404
    assert erased
    assert erased[0] not in gateway.keys


def test_what_clinicians_do_is_noted_under_their_pseudonym(
    ann: Desk, jpeg: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway = ann.gateway
    case_id = finished(gateway, jpeg)
    image = ann.get(f"/ops/reviews/{case_id}/images/1")
    assert (image.content, image.headers["cache-control"]) == (jpeg, "private, no-store")
    ann.read(case_id, (FIRST, 4))
    acts = [(note["act"], note["by"], note["case_id"]) for note in notes(gateway) if note["by"] == "reader_ann"]
    assert acts == [("READ", "reader_ann", case_id), ("REVIEW", "reader_ann", case_id)]
    logged = capsys.readouterr().out
    assert not [word for word in (FIRST, "reader_ann", "FST4", "visit-77", case_id) if word in logged]


@pytest.mark.parametrize("language", ["en", "es"])
def test_pages_speak_the_language_and_keep_it(ann: Desk, jpeg: bytes, language: str) -> None:
    finished(ann.gateway, jpeg)
    page = ann.get(f"/ops/reviews?lang={language}&order=urgency")
    assert f'<html lang="{language}">' in page.text
    assert f"/ops/reviews/next?order=urgency&amp;lang={language}" in page.text
