"""A case's report over HTTP: who gets it, in which form, and what of a case it is built from."""

import hashlib
from typing import Any

import pytest

from dermis.gateway.core.fhir.media_type import takes_fhir
from dermis.shared.bundles import publish
from dermis.shared.case import Failed, ModelRef, Outcome, OutcomeKind, fact_key, failed_key, image_key
from dermis.shared.manifest import MANIFEST_FILE, bundle_key
from dermis.shared.reviews import Review, ReviewedCondition, review_key
from dermis.shared.stores.memory import MemoryStore
from dermis.shared.vocabulary import Gradable
from dermis.standalone import demo
from tests.unit.gateway.conftest import NOW, Browser, new_key, visiting
from tests.unit.gateway.test_cases import put
from tests.unit.gateway.test_shares import bearer, share

FHIR = {"Accept": "application/fhir+json"}


def finished(gateway: Any, jpeg: bytes, **fields: Any) -> tuple[str, str, dict[str, str]]:
    """Return owner, id and header of a finished case."""
    owner, header = new_key(gateway)
    case_id = gateway.submit(jpeg, headers=header, **fields).json()["id"]
    model = ModelRef(name="scin", version=1, purpose="research")
    outcome = Outcome(case_id=case_id, finished_at=NOW, kind=OutcomeKind.DIFFERENTIAL, model=model, images_used=(1,))
    put(gateway, fact_key(owner, case_id, "outcome"), outcome)
    return owner, case_id, header


def report_of(gateway: Any, case_id: str, header: dict[str, str]) -> dict[str, Any]:
    response = gateway.get(f"/v1/cases/{case_id}/report", headers={**header, **FHIR})
    assert response.status_code == 200, response.text
    report: dict[str, Any] = response.json()
    return report


def resources(report: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [each["resource"] for each in report["entry"] if each["resource"]["resourceType"] == kind]


@pytest.mark.parametrize(
    ("accept", "chosen", "takes"),
    [
        (None, None, True),
        ("*/*", None, True),
        ("application/fhir+json", None, True),
        ("application/fhir+json; fhirVersion=4.0", None, True),
        ("application/json, text/plain;q=0.5", None, True),
        ("text/html, application/*;q=0.1", None, True),
        ("application/fhir+json; fhirVersion=5.0", None, False),
        ("application/fhir+json;q=0, */*", None, False),
        ("application/fhir+xml", None, False),
        ("text/html", None, False),
        ("application/fhir+json;q=much", None, False),
        ("text/html", "json", True),
        ("text/html", "application/fhir json", True),
        ("*/*", "xml", False),
    ],
)
def test_who_takes_fhir_is_answered(accept: str | None, chosen: str | None, takes: bool) -> None:
    assert takes_fhir(accept, chosen) is takes


class TestCall:
    def test_a_report_is_a_document_that_a_cache_can_ask_after(self, gateway: Any, jpeg: bytes) -> None:
        _, case_id, header = finished(gateway, jpeg)
        path = f"/v1/cases/{case_id}/report"
        response = gateway.get(path, headers={**header, **FHIR})
        assert response.headers["Content-Type"] == "application/fhir+json; fhirVersion=4.0"
        assert response.headers["Cache-Control"] == "private, no-store"
        assert f'filename="{case_id}.fhir.json"' in response.headers["Content-Disposition"]
        assert (response.json()["resourceType"], response.json()["type"]) == ("Bundle", "document")
        head = gateway.call("HEAD", path, headers={**header, **FHIR})
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["ETag"] == response.headers["ETag"]
        again = gateway.get(path, headers={**header, **FHIR, "If-None-Match": response.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")

    def test_what_is_no_fhir_json_is_refused_with_what_there_is(self, gateway: Any, jpeg: bytes) -> None:
        _, case_id, header = finished(gateway, jpeg)
        response = gateway.get(f"/v1/cases/{case_id}/report", headers={**header, "Accept": "application/fhir+xml"})
        assert (response.status_code, response.json()["reason"]) == (406, "REPORT_FORMAT")
        assert "application/fhir+json" in response.json()["detail"]
        link = gateway.get(f"/v1/cases/{case_id}/report?_format=json", headers={**header, "Accept": "text/html"})
        assert link.status_code == 200

    def test_a_case_that_is_open_has_none_yet_and_one_that_failed_has(self, gateway: Any, jpeg: bytes) -> None:
        owner, header = new_key(gateway)
        case_id = gateway.submit(jpeg, headers=header).json()["id"]
        response = gateway.get(f"/v1/cases/{case_id}/report", headers={**header, **FHIR})
        assert (response.status_code, response.json()["reason"]) == (409, "NOT_FINISHED")
        assert response.headers["Retry-After"] == "1"
        failed = Failed(case_id=case_id, attempt=1, failed_at=NOW, reason="INTERNAL", detail="it broke")
        put(gateway, failed_key(owner, case_id, 1), failed)
        gateway.store.delete(f"open/{case_id}")
        (diagnosis,) = resources(report_of(gateway, case_id, header), "DiagnosticReport")
        assert diagnosis["status"] == "cancelled"

    def test_an_erased_case_has_none_even_if_it_is_erased_as_its_report_is_built(
        self, gateway: Any, jpeg: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        owner, case_id, header = finished(gateway, jpeg)
        read = MemoryStore.get

        def erase_then_read(store: MemoryStore, key: str) -> bytes:
            if key.endswith("adjudication.json"):
                store.put_once(fact_key(owner, case_id, "erased"), b"{}")
            return read(store, key)

        with monkeypatch.context() as patch:
            patch.setattr(MemoryStore, "get", erase_then_read)
            response = gateway.get(f"/v1/cases/{case_id}/report", headers={**header, **FHIR})
        assert (response.status_code, response.json()["reason"]) == (404, "CASE_ERASED")

    def test_who_came_by_a_link_that_shows_the_case_reads_no_reference(self, offered: Any, jpeg: bytes) -> None:
        owner = visiting(offered)
        link = share(owner, case_id := owner.case(jpeg))
        response = Browser(offered, **bearer(link)).get(f"/v1/cases/{case_id}/report", headers=FHIR)
        assert response.status_code == 200, response.text
        assert not resources(response.json(), "Patient")


class TestFacts:
    def test_it_holds_the_photos_and_the_digest_of_the_model_s_manifest(self, gateway: Any, jpeg: bytes) -> None:
        manifest = publish(gateway.store, demo.BUNDLE)
        owner, header = new_key(gateway)
        case_id = gateway.submit(jpeg, headers=header, client_reference="visit-7").json()["id"]
        model = ModelRef(name=manifest.name, version=manifest.version, purpose="demo")
        outcome = Outcome(case_id=case_id, finished_at=NOW, kind=OutcomeKind.DIFFERENTIAL, model=model)
        put(gateway, fact_key(owner, case_id, "outcome"), outcome)
        gateway.store.put_once(image_key(owner, case_id, 1, "prepared"), jpeg)
        report = report_of(gateway, case_id, header)
        (photo,) = resources(report, "Media")
        assert photo["content"]["size"] == len(jpeg)
        device = next(each for each in resources(report, "Device") if "version" in each)
        stored = gateway.store.get(f"{bundle_key(model.name, model.version)}/{MANIFEST_FILE}")
        assert device["version"][1]["value"] == hashlib.sha256(stored).hexdigest()
        (patient,) = resources(report, "Patient")
        assert patient["identifier"][0]["value"] == "visit-7"

    def test_it_is_final_once_two_reviews_of_the_store_agree(self, gateway: Any, jpeg: bytes) -> None:
        owner, case_id, header = finished(gateway, jpeg)
        for reader, status in (("reader_a", "preliminary"), ("reader_b", "final")):
            review = Review(
                case_id=case_id,
                reader=reader,
                read_at=NOW,
                gradable=Gradable.DEFAULT_YES_IMAGE_QUALITY_SUFFICIENT,
                conditions=(ReviewedCondition(label="Psoriasis", confidence=4),),
            )
            put(gateway, review_key(owner, case_id, reader), review)
            (diagnosis,) = resources(report_of(gateway, case_id, header), "DiagnosticReport")
            assert diagnosis["status"] == status
