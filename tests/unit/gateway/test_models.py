"""Models, conditions, heatmaps and feedback over HTTP."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dermis.shared.bundles import point, publish
from dermis.shared.case import (
    Failed,
    GivenFeedback,
    Heatmap,
    ModelRef,
    Outcome,
    OutcomeKind,
    RankedCondition,
    RedFlag,
    Urgency,
    fact_key,
    failed_key,
    feedback_key,
    heatmap_key,
    image_key,
    open_key,
)
from dermis.shared.manifest import CURRENT_KEY, EVALUATION_FILE, MANIFEST_FILE, VersionRef
from dermis.standalone import demo, lesions
from tests.support import evaluations
from tests.unit.gateway.conftest import Gateway

NOW = datetime(2026, 1, 2, tzinfo=UTC)
MODEL = ModelRef(name="dermis", version=1, purpose="research")
HEATMAPS = (Heatmap(n=1, condition="ECZEMA", place=1), Heatmap(n=1, condition="ACNE", place=0))


@pytest.fixture
def finished(gateway: Gateway, png: bytes) -> str:
    """A case of one image with its outcome."""
    case_id: str = gateway.submit(png, consent="KEEP_FOR_IMPROVEMENT").json()["id"]
    outcome = Outcome(
        case_id=case_id,
        finished_at=NOW,
        kind=OutcomeKind.DIFFERENTIAL,
        differential=(RankedCondition(condition="ECZEMA", name="Eczema", probability=1, in_prediction_set=True),),
        model=MODEL,
        heatmaps=HEATMAPS,
    )
    for heatmap in HEATMAPS:
        gateway.store.put_once(heatmap_key("public", case_id, heatmap, MODEL), heatmap.condition.encode())
    gateway.store.put_once(fact_key("public", case_id, "outcome"), outcome.model_dump_json().encode())
    return case_id


@pytest.fixture
def published(gateway: Gateway) -> None:
    publish(gateway.store, demo.BUNDLE)
    point(gateway.store, VersionRef(name="dermis", version=1))


def test_a_result_comes_with_what_to_do(gateway: Gateway, finished: str) -> None:
    case = gateway.get(f"/v1/cases/{finished}").json()
    (eczema,) = case["guidance"]["conditions"]
    assert (eczema["condition"], eczema["guidance"]["id"]) == ("ECZEMA", "ECZEMA")
    assert case["guidance"]["clinical_review"] == "none"
    assert gateway.get(f"/v1/cases/{finished}").headers["etag"] == gateway.get(f"/v1/cases/{finished}").headers["etag"]


def test_an_image_is_shown_as_it_was_prepared_and_kept_by_nobody(gateway: Gateway, finished: str) -> None:
    path = f"/v1/cases/{finished}/images/1"
    missing = gateway.get(path)
    assert (missing.status_code, missing.json()["reason"]) == (404, "NO_PREPARED_IMAGE")
    gateway.store.put_once(image_key("public", finished, 1, "prepared"), b"jpeg")
    response = gateway.get(path)
    assert (response.content, response.headers["content-type"]) == (b"jpeg", "image/jpeg")
    assert response.headers["cache-control"] == "private, no-store"
    assert gateway.get(f"/v1/cases/{finished}/images/4").status_code == 422
    gateway.call("DELETE", f"/v1/cases/{finished}")
    assert gateway.get(path).json()["reason"] == "CASE_ERASED"


def test_what_was_answered_comes_back(gateway: Gateway, png: bytes) -> None:
    report = {"body_parts": ["ARM"], "condition_duration": "ONE_DAY"}
    case_id = gateway.submit(png, self_report=json.dumps(report)).json()["id"]
    answered = gateway.get(f"/v1/cases/{case_id}").json()["self_report"]
    assert {name: value for name, value in answered.items() if value is not None} == report


def test_a_failed_case_keeps_what_its_answers_call_for(gateway: Gateway, png: bytes) -> None:
    case_id = gateway.submit(png).json()["id"]
    flag = RedFlag(flag="F", text="Emergency: now.", urgency=Urgency.EMERGENCY)
    failed = Failed(case_id=case_id, attempt=1, failed_at=NOW, reason="R", detail="d", red_flags=(flag,))
    gateway.store.put_once(failed_key("public", case_id, 1), failed.model_dump_json().encode())
    gateway.store.delete(open_key(case_id))
    shown = gateway.get(f"/v1/cases/{case_id}").json()
    assert (shown["status"], shown["guidance"]["urgency"]) == ("FAILED", "EMERGENCY")
    assert shown["guidance"]["because"][0]["text"] == "Emergency: now."


def test_an_open_case_has_no_guidance(gateway: Gateway, png: bytes) -> None:
    assert gateway.submit(png).json()["guidance"] is None


@pytest.mark.parametrize(("query", "content"), [("", b"ECZEMA"), ("?condition=ACNE", b"ACNE")])
def test_a_heatmap_is_the_first_or_the_one_asked_for(
    gateway: Gateway, finished: str, query: str, content: bytes
) -> None:
    response = gateway.get(f"/v1/cases/{finished}/images/1/heatmap{query}")
    assert (response.status_code, response.headers["content-type"], response.content) == (200, "image/png", content)
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("path", "status"), [("2/heatmap", 404), ("1/heatmap?condition=TINEA", 404), ("4/heatmap", 422)]
)
def test_a_heatmap_that_is_not_there_names_those_that_are(
    gateway: Gateway, finished: str, path: str, status: int
) -> None:
    response = gateway.get(f"/v1/cases/{finished}/images/{path}")
    assert response.status_code == status
    assert status == 422 or "1 (ACNE), 1 (ECZEMA)" in response.json()["detail"]


def test_an_open_case_has_no_heatmap(gateway: Gateway, png: bytes) -> None:
    case_id = gateway.submit(png).json()["id"]
    assert gateway.get(f"/v1/cases/{case_id}/images/1/heatmap").json()["reason"] == "NO_HEATMAP"


def test_a_heatmap_that_the_store_lost_names_no_key_of_it(gateway: Gateway, finished: str) -> None:
    gateway.store.delete(heatmap_key("public", finished, HEATMAPS[0], MODEL))
    response = gateway.get(f"/v1/cases/{finished}/images/1/heatmap")
    assert (response.status_code, response.json()["reason"]) == (404, "NO_HEATMAP")
    assert "cases/" not in response.json()["detail"]


def give(gateway: Gateway, case_id: str, body: Any) -> Any:
    return gateway.call("POST", f"/v1/cases/{case_id}/feedback", json=body)


def test_feedback_is_kept_as_a_fact_with_the_cases_consent(gateway: Gateway, finished: str) -> None:
    response = give(gateway, finished, {"helpful": True, "condition": "ECZEMA", "confirmed_by": "DERMATOLOGIST"})
    assert response.status_code == 201
    assert response.json()["consent"] == "KEEP_FOR_IMPROVEMENT"
    kept = GivenFeedback.model_validate_json(gateway.store.get(feedback_key("public", finished, 1)))
    assert (kept.condition, kept.confirmed_by, kept.model) == ("ECZEMA", "DERMATOLOGIST", MODEL)


def test_feedback_is_counted_once_by_version_and_by_whether_the_answer_held_the_condition(
    gateway: Gateway, finished: str
) -> None:
    bodies: list[dict[str, Any]] = [
        {"condition": "ECZEMA", "confirmed_by": "DOCTOR"},
        {"condition": "ECZEMA", "confirmed_by": "DOCTOR"},
        {"condition": "OTHER", "confirmed_by": "DOCTOR"},
        {"helpful": True},
    ]
    for body in bodies:
        give(gateway, finished, body)
    counted = [
        line for line in gateway.get("/metrics").text.splitlines() if line.startswith("dermis_gateway_feedback_total")
    ]
    version = f'version="{MODEL.name}/{MODEL.version}"'
    assert sorted(counted) == sorted(
        f'dermis_gateway_feedback_total{{confirmed="{by}",holds="{holds}",{version}}} 1.0'
        for by, holds in (("DOCTOR", "true"), ("DOCTOR", "false"), ("", ""))
    )


def test_the_same_feedback_is_kept_once_and_other_beside_it_up_to_a_limit(gateway: Gateway, finished: str) -> None:
    first = give(gateway, finished, {"helpful": True})
    assert give(gateway, finished, {"helpful": True}).json() == first.json()
    assert len(list(gateway.store.list(f"cases/public/{finished}/feedback/"))) == 1
    said = ("SELF", "DOCTOR", "DERMATOLOGIST", "LABORATORY")
    bodies = [
        {"condition": condition, "confirmed_by": by, "helpful": h}
        for condition in ("OTHER", "ECZEMA")
        for by in said
        for h in (0, 1)
    ]
    statuses = [give(gateway, finished, body | {"helpful": bool(body["helpful"])}).status_code for body in bodies]
    assert statuses == [201] * 9 + [409] * 7


@pytest.mark.parametrize(
    ("body", "pointer", "said"),
    [
        ({}, "", "nothing is said"),
        ({"condition": "ECZEMA"}, "", "belong together"),
        ({"condition": "TINEA", "confirmed_by": "SELF"}, "/condition", "use one of ECZEMA, OTHER"),
        ({"helpful": "perhaps"}, "/helpful", "valid boolean"),
        ({"helpful": 0}, "/helpful", "valid boolean"),
        ({"helpful": True, "comment": "my name is"}, "/comment", "not permitted"),
        ({"helpful": True, "a/b~": 1}, "/a~1b~0", "not permitted"),
        ([1], "", "should be an object"),
    ],
)
def test_wrong_feedback_is_a_problem_with_its_place(
    gateway: Gateway, finished: str, body: Any, pointer: str, said: str
) -> None:
    response = give(gateway, finished, body)
    assert response.status_code == 422
    problem = response.json()
    assert said in problem["detail"]
    assert "my name" not in response.text
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert not list(gateway.store.list(f"cases/public/{finished}/feedback/"))


def test_a_body_that_is_no_json_or_too_large_is_refused(gateway: Gateway, finished: str) -> None:
    path, headers = f"/v1/cases/{finished}/feedback", {"content-type": "application/json"}
    assert gateway.call("POST", path, content=b'{"helpful": ', headers=headers).json()["reason"] == "JSON"
    assert gateway.call("POST", path, content=b" " * 70_000, headers=headers).status_code == 413
    assert gateway.call("POST", path, content=b"{}", headers={"content-type": "text/plain"}).status_code == 415


def test_feedback_needs_an_outcome_and_goes_when_the_case_is_erased(
    gateway: Gateway, finished: str, png: bytes
) -> None:
    assert give(gateway, gateway.submit(png).json()["id"], {"helpful": True}).json()["reason"] == "NOT_FINISHED"
    give(gateway, finished, {"helpful": True})
    assert any("/heatmaps/" in key for key in gateway.keys)
    gateway.store.put_once(f"cases/public/{finished}/redelivered/1-1", b"{}")
    gateway.call("DELETE", f"/v1/cases/{finished}")
    assert list(gateway.store.list(f"cases/public/{finished}/")) == [f"cases/public/{finished}/erased.json"]
    assert give(gateway, finished, {"helpful": True}).json()["reason"] == "CASE_ERASED"


@pytest.mark.usefixtures("published")
def test_models_are_listed_with_the_current_one_marked(gateway: Gateway) -> None:
    (model,) = gateway.get("/v1/models").json()["models"]
    assert (model["name"], model["version"], model["purpose"], model["current"]) == ("dermis", 1, "demo", True)
    report = gateway.get(model["evaluation"]).json()
    assert report == {"model": "dermis 1", "report": json.loads((demo.BUNDLE / EVALUATION_FILE).read_bytes())}
    assert report["report"]["slices"]["monk_skin_tone"][0]["n"] > 0


@pytest.mark.usefixtures("published")
def test_a_model_says_what_it_knows_and_for_whom_it_was_measured(gateway: Gateway) -> None:
    publish(gateway.store, lesions.BUNDLE)
    drawings, growths = sorted(gateway.get("/v1/models").json()["models"], key=lambda model: model["name"])
    for model, bundle in ((drawings, demo.BUNDLE), (growths, lesions.BUNDLE)):
        manifest = json.loads((bundle / MANIFEST_FILE).read_bytes())
        assert {**manifest["knowledge"], "not_measured": model["knowledge"]["not_measured"]} == model["knowledge"]
        assert model["declines_unlike"] is True
        assert any("skin cancer" in each for each in model["knowledge"]["unknown"])
    assert drawings["knowledge"]["not_measured"] == drawings["malignant"] == []
    assert growths["knowledge"]["not_measured"] == ["FST_V_VI"]
    assert {"MELANOMA", "BASAL_CELL_CARCINOMA"} <= set(growths["malignant"])


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("path", ["2/evaluation", "1/evaluation?name=other"])
def test_a_model_that_is_not_there_is_not_found(gateway: Gateway, path: str) -> None:
    response = gateway.get(f"/v1/models/{path}")
    assert (response.status_code, response.json()["reason"]) == (404, "MODEL_NOT_FOUND")


def promotion(store: Any, n: int, **given: Any) -> str:
    """Put a record like that of the golden file, made `n` seconds after the others."""
    record = json.loads((Path(__file__).parents[2] / "contract/facts/PromotionFact.json").read_text())
    promotion_id = f"promotion_01k{n:023d}"
    store.put_once(f"promotions/{promotion_id}.json", json.dumps(record | {"id": promotion_id} | given).encode())
    return promotion_id


def test_promotions_are_listed_the_newest_first_page_by_page(gateway: Gateway) -> None:
    assert gateway.get("/v1/promotions").json() == {"promotions": [], "next_cursor": None}
    ids = [promotion(gateway.store, n) for n in range(5)]
    gateway.store.put_once("promotions/promotion_01k99999999999999999999999.json", b"{broken")
    gateway.store.put_once("promotions/notes.txt", b"none of ours")
    seen, cursor = [], ""
    while cursor is not None:
        page = gateway.get(f"/v1/promotions?limit=2&cursor={cursor}").json()
        seen.append([each["id"] for each in page["promotions"]])
        cursor = page["next_cursor"]
    assert seen == [[ids[4], ids[3]], [ids[2], ids[1]], [ids[0]]]
    newest = gateway.get("/v1/promotions").json()["promotions"][0]
    assert (newest["action"], newest["model"], newest["over"], newest["compared_with"]) == (
        "PROMOTED",
        "dermis 3",
        "dermis 2",
        "dermis 2",
    )
    assert (newest["overall"]["gain"], newest["tones"][0]["verdict"]) == (0.0625, "INSUFFICIENT")
    assert newest["waivers"] == [{"group": "monk_bin=MST_7_10", "reason": "all that the data set has"}]
    assert gateway.get("/v1/promotions?cursor=x").json()["reason"] == "CURSOR"


@pytest.mark.usefixtures("published")
def test_the_models_page_tells_what_was_promoted_why_and_what_was_waived(gateway: Gateway) -> None:
    assert "No promotion is noted" in gateway.get("/ops/models").text
    ids = [promotion(gateway.store, n) for n in range(10)]
    ids.append(
        promotion(
            gateway.store, 10, action="ROLLED_BACK", overall=None, tones=[], waivers=[], data=None, compared_with=None
        )
    )
    ids.append(promotion(gateway.store, 11, action="REFUSED", reasons=["worse <overall>"], over=None))
    page = gateway.get("/ops/models").text
    assert re.findall(r"promotion_\w+(?=</span>)", page) == ids[:1:-1]
    for text in (
        "dermis 3 refused",
        "worse &lt;overall&gt;",
        "Rolled back to dermis 3",
        "dermis 3 promoted",
        "in place of dermis 2",
        "2026-01-02 03:04 UTC",
    ):
        assert text in page
    for text in (
        "Against dermis 2 on the same 900 cases, soft top-3",
        "+6.2",
        "(+3.1 to +12.5)",
        "all that the data set has",
        "too few cases",
        "ab" * 8,
    ):
        assert text in page
    older = re.search(r'href="(/ops/models\?before=[^"#]+)', page)
    assert older
    assert re.findall(r"promotion_\w+(?=</span>)", gateway.get(older[1]).text) == [ids[1], ids[0]]
    assert "Anteriores" in gateway.get("/ops/models?lang=es").text


@pytest.mark.usefixtures("published")
def test_a_model_is_shown_on_each_data_set_that_it_was_measured_on(gateway: Gateway) -> None:
    own = gateway.get("/ops/models/dermis/1").text
    assert "Measured on" not in own
    report = json.loads((demo.BUNDLE / EVALUATION_FILE).read_bytes()) | {"data": "another clinic's"}
    seen = {"cases": 3, "of": 1400, "how": "by the record of run_1"}
    for on, more in (("ab" * 8, {}), ("cd" * 8, {"seen_in_training": seen})):
        gateway.store.put_once(f"evaluations/{on}/dermis/1/evaluation.json", json.dumps(report | more).encode())
    gateway.store.put_once(f"evaluations/{'ef' * 8}/dermis/2/evaluation.json", json.dumps(report).encode())
    links = re.findall(r"/ops/models/dermis/1\?data=(\w+)", gateway.get("/ops/models/dermis/1").text)
    assert links == ["ab" * 8, "cd" * 8]
    other, remembered = (gateway.get(f"/ops/models/dermis/1?data={on}") for on in links)
    assert "another clinic&#39;s" in other.text
    assert "how well it recalls" not in other.text
    assert "how well it recalls" in remembered.text
    assert gateway.get(f"/ops/models/dermis/1?data={'ef' * 8}").status_code == 404
    gateway.store.put_once(f"evaluations/{'12' * 8}/dermis/1/evaluation.json", b"{")
    assert gateway.get(f"/ops/models/dermis/1?data={'12' * 8}").status_code == 404
    promotion(gateway.store, 1, ref={"name": "dermis", "version": 1})
    assert f'href="/ops/models/dermis/1?data={"ab" * 8}"' in gateway.get("/ops/models").text


def test_the_data_page_shows_the_report_that_was_published_and_how_to_make_one(gateway: Gateway) -> None:
    assert "dermis data profile" in gateway.get("/ops/data").text
    document = (Path(__file__).parents[2] / "support/data_report.json").read_text()
    tables = {table["name"]: table for table in json.loads(document)["tables"]}
    for report_id, text in (
        ("0" * 16, document),
        ("1" * 16, "{"),
        ("2" * 16, document.replace("generated drawings: data profile", "Other <b>")),
    ):
        gateway.store.put_once(f"reports/{report_id}/report.json", text.encode())
    page = gateway.get("/ops/data").text
    assert page.count("<table>") == len(tables)
    for _, n, of, share, low, high in tables["monk_us"]["rows"]:
        if n is not None and share is not None:
            assert f'<td class="number">{n}</td><td class="number">{of}</td>' in re.sub(r"\s*\n\s*", "", page)
            assert f"{100 * share:.1f}&nbsp;%" in page
            assert f"{100 * low:.1f}&nbsp;% \N{EN DASH} {100 * high:.1f}&nbsp;%" in page
    rows = [row for table in tables.values() if "share" in table["columns"] for row in table["rows"] if row[-4] != 0]
    hidden = sum(value is None for row in rows for value in row[:-2])
    assert page.count(">withheld<") == hidden > 0
    for text in ("MST 1\N{EN DASH}3", "Tables", "Withheld", "A rash", "Quadratic-weighted kappa".lower()):
        assert text in page, text
    assert "Other &lt;b&gt;" in gateway.get(f"/ops/data?report={'2' * 16}").text
    for unknown in ("1" * 16, "9" * 16, "../../x", "<script>"):
        response = gateway.call("GET", "/ops/data", params={"report": unknown})
        assert response.status_code == 404
        assert "There is no such data report" in response.text
        assert "<script>" not in response.text
    spanish = gateway.get("/ops/data?lang=es").text
    assert "Informe de datos" in spanish
    assert f"/ops/data?report={'2' * 16}&amp;lang=es" in spanish


def test_conditions_are_the_current_models_or_without_one_those_of_the_guidance(gateway: Gateway) -> None:
    before = gateway.get("/v1/conditions").json()
    assert before["model"] is None
    assert len(before["conditions"]) >= 30
    publish(gateway.store, demo.BUNDLE)
    point(gateway.store, VersionRef(name="dermis", version=1))
    known = gateway.get("/v1/conditions").json()
    assert known["model"] == "dermis 1"
    assert [each["condition"] for each in known["conditions"]][:2] == ["ACNE", "ECZEMA"]
    assert gateway.get("/v1/models").json()["models"][0]["conditions"][0] == {"id": "ACNE", "name": "Acne"}


BROKEN_REPORTS = {
    "no JSON": b"{",
    "no UTF-8": b'"\xff"',
    "a list": b"[]",
    "too deep": b"[" * 100_000,
    "too long a number": b'{"n": ' + b"9" * 5000 + b"}",
}


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("report", [None, *BROKEN_REPORTS.values()], ids=["none", *BROKEN_REPORTS])
def test_a_version_whose_evaluation_is_missing_or_broken_is_shown_without_one(
    gateway: Gateway, report: bytes | None
) -> None:
    key = f"models/dermis/1/{EVALUATION_FILE}"
    gateway.store.delete(key)
    if report is not None:
        gateway.store.put_once(key, report)
    response = gateway.get("/v1/models/1/evaluation")
    assert (response.status_code, response.json()["reason"]) == (404, "MODEL_NOT_FOUND")
    models = gateway.get("/ops/models")
    assert models.status_code == 200
    assert 'href="/ops/models/dermis/1"' in models.text
    assert gateway.get("/ops/models/dermis/1").status_code == 404
    assert gateway.get("/ops/compare?first=dermis/1&second=dermis/1").status_code == 404


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(
    "changed",
    [
        {"format": "dermis.evaluation/2"},
        {"metrics": [1]},
        {"slices": {"monk_bin": "x"}},
        {"slices": {"monk_bin": [{"value": "MST_1_3", "n": 3, "top_1": "half", "top_1_interval": None}]}},
        {"floors": []},
        {"metrics": {"top_1": 10**400}},
    ],
)
def test_an_evaluation_of_another_shape_is_shown_by_nothing(gateway: Gateway, changed: Any) -> None:
    key = f"models/dermis/1/{EVALUATION_FILE}"
    report = json.loads(gateway.store.get(key)) | changed
    gateway.store.delete(key)
    gateway.store.put_once(key, json.dumps(report).encode())
    assert gateway.get("/v1/models/1/evaluation").json()["reason"] == "MODEL_NOT_FOUND"
    assert [gateway.get(path).status_code for path in ("/ops/models", "/ops/models/dermis/1")] == [200, 404]


@pytest.mark.usefixtures("published")
def test_an_older_report_and_what_a_newer_one_adds_are_answered_as_they_stand(gateway: Gateway) -> None:
    key = f"models/dermis/1/{EVALUATION_FILE}"
    row = {"value": "MST_1_3", "n": 3, "top_9": 0.5, "top_9_interval": None, "who": "ours"}
    report = evaluations.document(later={"a": [1, {"b": "c"}]}, slices={"monk_bin": [row]})
    gateway.store.delete(key)
    gateway.store.put_once(key, json.dumps(report).encode())
    assert gateway.get("/v1/models/1/evaluation").json()["report"] == report
    assert gateway.get("/ops/models/dermis/1").status_code == 200


@pytest.mark.usefixtures("published")
def test_a_figure_that_one_of_two_reports_lacks_is_a_dash_and_one_that_is_no_number_is_left_out(
    gateway: Gateway,
) -> None:
    manifest = (demo.BUNDLE / "manifest.json").read_text()
    gateway.store.put_once(
        "models/dermis/2/manifest.json", re.sub(r'"version":\s*1\b', '"version": 2', manifest).encode()
    )
    nan = float("nan")
    report = evaluations.document(
        metrics={"top_1": 0.25, "top_3": nan}, intervals={"top_1": None}, unknown=[nan, float("-inf")]
    )
    gateway.store.put_once(f"models/dermis/2/{EVALUATION_FILE}", json.dumps(report).encode())
    page = gateway.get("/ops/models")
    assert page.status_code == 200
    assert "25.0&nbsp;%" in page.text
    assert "nan" not in page.text
    page = gateway.get("/ops/compare?first=dermis/1&second=dermis/2")
    assert page.status_code == 200
    assert "nan" not in page.text
    answer = gateway.get("/v1/models/2/evaluation").json()["report"]
    assert answer == report | {"metrics": {"top_1": 0.25, "top_3": None}, "unknown": [None, None]}


@pytest.mark.usefixtures("published")
def test_a_pointer_that_cant_be_read_is_told_as_such(gateway: Gateway) -> None:
    gateway.store.delete(CURRENT_KEY)
    gateway.store.put_once(CURRENT_KEY, b"{")
    for path in ("/v1/models", "/v1/conditions", "/v1/models/1/evaluation"):
        response = gateway.get(path)
        assert (response.status_code, response.json()["reason"], "Retry-After" in response.headers) == (
            503,
            "CURRENT_BROKEN",
            True,
        )
    page = gateway.get("/ops/models")
    assert (page.status_code, "Retry-After" in page.headers) == (503, True)
    assert "<h1>The server is busy or resting</h1>" in page.text
    assert CURRENT_KEY in page.text
    system = gateway.get("/ops/system")
    assert system.status_code == 200
    assert "a way that can&#39;t be read" in system.text


def test_what_is_wrong_with_a_pages_address_is_said_on_a_page(gateway: Gateway) -> None:
    page = gateway.get("/ops/models/dermis/abc?lang=es")
    assert page.status_code == 422
    assert page.headers["content-type"].startswith("text/html")
    assert "El servidor respondió 422" in page.text
    assert '<p lang="en">path/version: Input should be a valid integer' in page.text


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("manifest", [None, b"{", b"[]"])
def test_a_current_model_that_cant_be_read_is_our_fault_not_the_callers(
    gateway: Gateway, manifest: bytes | None
) -> None:
    gateway.store.delete("models/dermis/1/manifest.json")
    if manifest:
        gateway.store.put_once("models/dermis/1/manifest.json", manifest)
    response = gateway.get("/v1/conditions")
    assert (response.status_code, response.json()["reason"]) == (503, "MODEL_BROKEN")
    assert gateway.get("/v1/models").json() == {"models": []}


@pytest.mark.usefixtures("published")
def test_the_models_page_shows_each_top_k_beside_its_floor(gateway: Gateway) -> None:
    floors = json.loads((demo.BUNDLE / EVALUATION_FILE).read_bytes())["floors"]
    page = gateway.get("/ops/models").text
    for name in ("top_1", "top_3"):
        assert f"Floor: {100 * floors[name]:.1f}&nbsp;%" in page


@pytest.mark.usefixtures("published")
def test_a_spanish_page_names_cuts_groups_purposes_and_measures_in_spanish_and_marks_what_is_english(
    gateway: Gateway,
) -> None:
    promotion(gateway.store, 1)
    report = json.loads((demo.BUNDLE / EVALUATION_FILE).read_bytes())
    page = gateway.get("/ops/models/dermis/1?lang=es").text
    titles = re.findall(r"<(?:h2|summary)>Por ([^<]+)<", page)
    assert len(titles) == len(report["slices"])
    assert not [title for title in titles if title in {name.replace("_", " ") for name in report["slices"]}]
    for text in ("No indicado", "De 18 a 29", "Femenino", "Al menos una"):
        assert f'<th scope="row">{text}</th>' in page, text
    assert '<th scope="row" lang="en">Eczema</th>' in page
    assert f'<span lang="en">{report["data"]}</span>' in page
    assert f'Suelo: <span lang="en">{report["floors"]["meaning"][:30]}' in page
    models = gateway.get("/ops/models?lang=es").text
    assert "<td>demostraci\u00f3n</td>" in models
    assert "soft top-3" not in models
    assert '<q lang="en">' in models


@pytest.mark.usefixtures("published")
def test_a_models_page_titles_axes_greys_few_cases_and_states_gaps_with_intervals(gateway: Gateway) -> None:
    report = json.loads((demo.BUNDLE / EVALUATION_FILE).read_bytes())
    page = gateway.get("/ops/models/dermis/1").text
    charts = re.findall(r'<figure class="chart">(.*?)</figure>', page, re.DOTALL)
    assert len(charts) == 2
    for chart in charts:
        _, across, up = re.findall(r'<text class="title"[^>]*>([^<]+)<', chart)
        assert across.endswith("(%)")
        assert up.endswith("(%)")
    few = [row["n"] for name in report["slices"] for row in report["slices"][name] if row["n"] < 72]
    tables = page.split('id="gaps"')[0]
    assert tables.count('<tr class="few">') == len(few) > 0
    assert "Grey: fewer than 72 cases." in page
    gap = report["gaps"][0]
    low, high = (f"{100 * end:+.1f}".replace("-", "\u2212") for end in gap["difference_interval"])
    assert f"{low} \u2013 {high}" in page
    for measure in ("mean sensitivity", "AUROC, mean of conditions (0 to 1)", "calibration error (ECE)"):
        assert f">{measure}<span" in page, measure
    assert "This is not in this report." in page.split('id="grouped"')[1]


@pytest.mark.usefixtures("published")
def test_a_models_page_shows_answers_over_groups(gateway: Gateway) -> None:
    path = Path(__file__).parents[2] / "contract/facts/EvaluationReport-grouped_answers.json"
    report = json.loads(path.read_bytes())
    gateway.store.put_once(f"evaluations/{'ab' * 8}/dermis/1/{EVALUATION_FILE}", path.read_bytes())
    page = gateway.get(f"/ops/models/dermis/1?data={'ab' * 8}&lang=es").text
    grouped = page.split('id="grouped"')[1].split("</section>")[0]
    assert grouped.count("<tr") == 1 + len(report["grouped_answers"])
    assert "<td>por grupos</td>" in grouped
    leaves = report["grouped_answers"][0]["leaves"]["value"]
    assert f"<td>{leaves:.1f}" in grouped


@pytest.mark.usefixtures("published")
def test_a_models_page_shows_each_condition_and_its_curves(gateway: Gateway) -> None:
    path = Path(__file__).parents[2] / "contract/facts/EvaluationReport-by_condition.json"
    gateway.store.put_once(f"evaluations/{'ab' * 8}/dermis/1/{EVALUATION_FILE}", path.read_bytes())
    page = gateway.get(f"/ops/models/dermis/1?data={'ab' * 8}").text
    table = page.split('id="by-condition"')[1].split("</section>")[0]
    assert "0.910 <small>" in table
    assert '<tr class="few"><th scope="row" lang="en">Acne</th>' in table
    curves = page.split('id="curves"')[1].split("</section>")[0]
    titles = re.findall(r"<title>([^<]+)</title>", curves)
    assert titles == ["Eczema, n = 80", "macro, n = 89"] * 2
    assert re.findall(r'<text class="title"[^>]*>([^<]+) \(%\)<', curves) == [
        *("False alarms", "Sensitivity"),
        *("Sensitivity", "Precision"),
    ]
    older = gateway.get("/ops/models/dermis/1").text
    for part in ("by-condition", "curves"):
        assert "This is not in this report." in older.split(f'id="{part}"')[1].split("</section>")[0]


@pytest.mark.usefixtures("published")
def test_a_models_page_lists_the_worst_mistakes_by_case_of_the_evaluation_data(gateway: Gateway) -> None:
    path = Path(__file__).parents[2] / "contract/facts/EvaluationReport-mistakes.json"
    report = json.loads(path.read_bytes())
    for on, rows in (("ab" * 8, report["mistakes"]), ("cd" * 8, [])):
        text = json.dumps(report | {"mistakes": rows})
        gateway.store.put_once(f"evaluations/{on}/dermis/1/{EVALUATION_FILE}", text.encode())
    some, none, older = (
        gateway.get(f"/ops/models/dermis/1{query}").text.split('id="mistakes"')[1].split("</section>")[0]
        for query in (f"?data={'ab' * 8}", f"?data={'cd' * 8}", "")
    )
    assert '<th scope="row" class="id">17</th><td lang="en">Eczema</td><td lang="en">Acne</td><td>97.0' in some
    assert "There are none." in none
    assert "This is not in this report." in older
