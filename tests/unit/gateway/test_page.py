"""The pages as they leave the gateway: languages, weight, and that every text that is needed is there."""

import gzip
import json
import re
import shutil
import string
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from dermis.gateway.guidance import guidance
from dermis.gateway.web.languages import LANGUAGES, language_of, texts
from dermis.gateway.web.page import _SAID_BY_TEMPLATES, QUESTIONS, SEVERAL
from dermis.gateway.web.reports import read, words
from dermis.shared.bundles import point, publish
from dermis.shared.case import NOT_A_MEDICAL_DEVICE, Notice, OutcomeKind, Status, Urgency
from dermis.shared.images.formats import ImageRefusal
from dermis.shared.manifest import CURRENT_KEY, MANIFEST_FILE, VersionRef
from dermis.shared.report import Verdict
from dermis.shared.vocabulary import SelfReport, ShotType
from dermis.standalone import demo
from dermis.worker.core import notices
from dermis.worker.core.quality import Reason
from dermis.worker.core.red_flags import RULES
from tests.support import evaluations

WEB = Path(__file__).parents[3] / "services/gateway/src/dermis/gateway/web"
TAXONOMY = Path(__file__).parents[3] / "services/data/src/dermis/data/taxonomies/scin.json"
FIRST_PAGE_BYTES = 150_000
OTHERS = [language for language in LANGUAGES if language != "en"]


def values_of(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("language", OTHERS)
def test_every_text_is_there_in_every_language_with_the_same_values(language: str) -> None:
    english, other = texts("en"), texts(language)
    assert set(english) <= set(other)
    assert {key: values_of(text) for key, text in english.items()} == {key: values_of(other[key]) for key in english}
    assert all(text.strip() for text in other.values())


@pytest.mark.parametrize("language", OTHERS)
def test_what_comes_with_a_result_in_english_is_there_in_every_other_language(language: str) -> None:
    said = {key for key in texts(language) if key not in texts("en")}
    flags = {f"flag.{rule.flag}" for rule in RULES}
    warnings = {f"notice.{each.notice}" for each in vars(notices).values() if isinstance(each, Notice)}
    assert said == flags | warnings | {f"advice.{reason}" for reason in Reason}


@pytest.mark.parametrize("language", OTHERS)
def test_the_guidance_is_there_in_every_other_language(language: str) -> None:
    english, other = guidance(), json.loads((WEB / f"assets/guidance.{language}.json").read_text(encoding="utf-8"))
    entries = [english.general, *english.entries]
    assert other["version"] == english.version
    assert set(other["entries"]) == {entry.id for entry in entries}
    taxonomy = json.loads(TAXONOMY.read_text(encoding="utf-8"))
    groups = {node["name"] for node in taxonomy["parents"] + taxonomy["groups"]}
    assert set(other["names"]) == {name for entry in entries for name in entry.names} | groups
    assert len(other["skin_care"]) == len(english.skin_care)
    assert set(other["self_care"]) == {care.id for care in english.self_care}
    for care in english.self_care:
        texts_of = other["self_care"][care.id]
        assert set(texts_of) == {"name", "do", "avoid", "routine"}
        assert [len(texts_of[part]) for part in ("do", "avoid", "routine")] == [
            len(care.do),
            len(care.avoid),
            len(care.routine),
        ]
    assert set(other["addresses"]) <= set(english.addresses)
    for entry in other["entries"].values():
        assert set(entry) == {"text", "next_step", "on_lighter_skin", "on_darker_skin"}
        assert all(entry.values())


def test_there_are_words_for_all_that_a_case_may_say() -> None:
    known = texts("en")
    kinds: dict[str, type[StrEnum]] = {
        "verdict": Verdict,
        "reason": Reason,
        "urgency": Urgency,
        "outcome": OutcomeKind,
        "slot": ShotType,
    }
    assert [f"{name}.{value}" for name, kind in kinds.items() for value in kind if f"{name}.{value}" not in known] == []
    assert [f"question.{name}" for name in SelfReport.model_fields if f"question.{name}" not in known] == []
    assert known["notice"] == NOT_A_MEDICAL_DEVICE
    assert f"status.{Status.RECEIVED}" in known
    assert f"status.{Status.ASSESSED}" in known
    assert f"rejection.{Reason.NOT_SKIN}" in known


def test_no_text_is_left_that_nobody_says() -> None:
    code = "".join(
        path.read_text(encoding="utf-8") for path in [*WEB.glob("templates/**/*.html"), *WEB.glob("assets/**/*.js")]
    )
    built = set(re.findall(r"""["'`]([a-z_]+(?:\.[a-z_]+)*\.?)(?=["'`$]|\$\{)""", code))
    built |= {f"{prefix}." for prefix in re.findall(r'named\("([\w.]+)"', code)} | {"group."}
    unsaid = [
        key
        for key in texts("en")
        if key not in built and not any(key.startswith(start) for start in built if start.endswith("."))
    ]
    assert unsaid == []


def test_what_templates_alone_say_is_said_by_no_script() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in WEB.glob("assets/**/*.js"))
    assert [
        key
        for key in _SAID_BY_TEMPLATES
        if key not in texts("en") or re.search(rf"""["'`]{re.escape(key)}["'`]""", code)
    ] == []


@pytest.mark.parametrize("field", QUESTIONS)
def test_every_answer_on_the_page_is_one_that_is_taken_in(field: str, gateway: Any) -> None:
    page = gateway.get("/").text
    for value in QUESTIONS[field]:
        assert f'name="{field}" value="{value}"' in page
        SelfReport.model_validate_json(json.dumps({field: [value] if field in SEVERAL else value}))


@pytest.mark.parametrize(
    ("chosen", "accepted", "language"),
    [
        ("", "", "en"),
        ("", "es-MX,es;q=0.9,en;q=0.8", "es"),
        ("", "fr,en;q=0.5,es;q=0.7", "es"),
        ("", "fr, es;q=0", "en"),
        ("", "*;q=x", "en"),
        ("en", "es", "en"),
        ("xx", "es", "es"),
        ("", "en;q=0.2, ES;Q=0.5", "es"),
        ("", "es;q=nan", "en"),
    ],
)
def test_the_language_is_the_chosen_one_else_the_browsers(chosen: str, accepted: str, language: str) -> None:
    assert language_of(chosen, accepted) == language


def test_the_page_speaks_the_language_that_is_asked_for(gateway: Any) -> None:
    spanish = gateway.call("GET", "/", headers={"Accept-Language": "es"})
    assert '<html lang="es">' in spanish.text
    assert spanish.headers["content-language"] == "es"
    assert "Accept-Language" in spanish.headers["vary"]
    assert '<html lang="en">' in gateway.call("GET", "/?lang=en", headers={"Accept-Language": "es"}).text


@pytest.mark.parametrize(
    ("accepted", "coding"), [("gzip", "gzip"), ("br, GZIP;q=0.5", "gzip"), ("gzip;q=0", None), ("identity", None)]
)
def test_a_page_is_compressed_for_those_who_take_that(gateway: Any, accepted: str, coding: str | None) -> None:
    for path in ("/", "/ops/models"):
        response = gateway.get(path, headers={"Accept-Encoding": accepted})
        assert response.headers.get("content-encoding") == coding
        assert "<main" in response.text


def test_a_page_says_to_HEAD_what_it_says_to_GET(gateway: Any) -> None:
    gateway.settings |= {"session_rate_per_minute": 0, "keyless_rate_per_minute": 0}
    for path in PAGES:
        session = {"Cookie": f"dermis_session={'s' * 43}"}
        head, page = (gateway.call(method, path, headers=session) for method in ("HEAD", "GET"))
        for answer in (head, page):
            del answer.headers["x-request-id"]
        assert (head.status_code, head.headers) == (page.status_code, page.headers)
    refused = gateway.call("DELETE", "/ops/models")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")


def test_nothing_that_a_caller_sends_becomes_part_of_the_page(gateway: Any) -> None:
    for path in ("/?lang=<script>x", "/cases/%22%3E%3Cscript%3Ex", "/cases/x?lang=%22onload"):
        assert "<script>x" not in gateway.get(path).text
        assert 'lang="en"' in gateway.get(path).text


def test_the_page_has_neither_inline_script_nor_style_nor_a_third_party(gateway: Any) -> None:
    for path in PAGES:
        page = gateway.get(path).text
        assert re.findall(r"<script(?! (?:type=\"module\" )?src=\"/assets/| type=\"application/json\")", page) == []
        assert re.findall(r"<style|\sstyle=|\son\w+=", page) == []
        assert re.findall(r"(?:src|href)=\"(?:https?:)?//", page) == []


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("MST_7_10", "MST 7\N{EN DASH}10"),
        ("MST10", "MST 10"),
        ("FST_III_IV", "FST III\N{EN DASH}IV"),
        ("FST6", "FST 6"),
        ("NOT_GIVEN", "Not given"),
        ("AGE_18_TO_29", "Age 18 to 29"),
        ("AMERICAN_INDIAN_OR_ALASKA_NATIVE", "American Indian or Alaska Native"),
        ("BLACK_OR_AFRICAN_AMERICAN,WHITE", "Black or African American, White"),
        ("MST_NONE", "No MST"),
        ("ECZEMA", "Eczema"),
        ("Acute dermatitis, NOS", "Acute dermatitis, NOS"),
        ("3", "3"),
    ],
)
def test_values_of_the_vocabulary_are_shown_as_words(value: str, wanted: str) -> None:
    assert words(value) == wanted


def test_the_groups_of_a_tone_stand_in_its_order_and_what_is_none_last() -> None:
    values = ("NOT_GIVEN", "FST_III_IV", "FST_I_II", "FST_V_VI")
    images = [{"value": "2", "n": 1}, {"value": "1", "n": 1}]
    found = read(
        evaluations.report(
            slices={"fitzpatrick_group": [{"value": value, "n": 1} for value in values], "images": images}
        )
    )
    assert [group.value for group in found.tones["fitzpatrick_group"]] == [
        "FST_I_II",
        "FST_III_IV",
        "FST_V_VI",
        "NOT_GIVEN",
    ]
    assert [group.value for group in found.others["images"]] == ["2", "1"]


PAGES = (
    "/",
    "/cases/case_x",
    "/privacy",
    "/ops",
    "/ops/models",
    "/ops/models/dermis/1",
    "/ops/compare",
    "/ops/data",
    "/ops/system",
)


@pytest.mark.parametrize("path", [path for path in PAGES if path != "/cases/case_x"])
def test_where_every_caller_needs_a_key_the_page_says_so(gateway: Any, path: str) -> None:
    gateway.settings["keyless"] = False
    response = gateway.get(path)
    assert response.status_code == 403
    assert "asks every caller for an API key" in response.text
    assert "<form" not in response.text


@pytest.mark.parametrize(
    ("days", "english", "spanish"),
    [
        (30, "we delete it after 30 days", "lo borramos a los 30 días"),
        (1, "we delete it after a day", "lo borramos al cabo de un día"),
        (0, "kept until you erase it", "se guarda hasta que usted lo borre"),
        (0.5, "we delete it after 0.5 days", "lo borramos a los 0.5 días"),
    ],
)
def test_the_page_says_how_long_a_case_is_kept_here(days: float, english: str, spanish: str, gateway: Any) -> None:
    gateway.settings |= {"retention_days": days, "improvement_retention_days": 77}
    for language, text, other in (("en", english, "after 77 days"), ("es", spanish, "a los 77 días")):
        page = gateway.get(f"/?lang={language}").text
        only, kept = (re.search(rf'value="{each}".*', page)[0] for each in ("ASSESS_ONLY", "KEEP_FOR_IMPROVEMENT"))  # type: ignore[index]
        assert text in only
        assert other in kept


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_first_page_is_light(language: str, gateway: Any) -> None:
    # Fetched when a result needs them, by other pages, or in place of the scripts; the red flags are part of the page.
    later = re.compile(r"guidance\..*|sample\.json|doctor\.js|red_flags\.json|pages\.css|plain\.css|reviews\.\w+")
    files = [path for path in WEB.glob("assets/**/*") if path.is_file() and not later.fullmatch(path.name)]
    assets = [path.read_bytes() for path in files]
    page = gateway.get(f"/?lang={language}").content
    assert sum(len(gzip.compress(part)) for part in [page, *assets]) < FIRST_PAGE_BYTES / 3


def test_an_interval_that_does_not_hold_its_value_is_not_shown_as_its_own() -> None:
    report = evaluations.report(
        metrics={"top_1": 0.5, "expected_calibration_error": 0.02},
        intervals={"top_1": [0.4, 0.6], "expected_calibration_error": [0.024, 0.067]},
    )
    assert [figure.interval for figure in read(report).overall] == [(0.4, 0.6), None]


@pytest.mark.parametrize(("purpose", "shown"), [("demo", True), ("research", False), (None, False)])
def test_the_page_says_before_the_first_tap_that_a_demo_answers(
    gateway: Any, tmp_path: Path, purpose: str | None, shown: bool
) -> None:
    if purpose:
        bundle = tmp_path / "bundle"
        shutil.copytree(demo.BUNDLE, bundle)
        manifest = json.loads((bundle / MANIFEST_FILE).read_text(encoding="utf-8")) | {"purpose": purpose}
        (bundle / MANIFEST_FILE).write_text(json.dumps(manifest), encoding="utf-8")
        publish(gateway.store, bundle)
        point(gateway.store, VersionRef(name="dermis", version=1))
    for path in ("/", "/cases/case_x", "/?lang=es"):
        banner = re.search(r'<p class="demo-banner"[^>]*>', gateway.get(path).text)
        assert banner is not None
        assert ("hidden" not in banner[0]) is shown


def test_a_store_that_can_not_be_read_leaves_the_page_as_it_is(gateway: Any) -> None:
    gateway.store.put_once(CURRENT_KEY, b"no JSON")
    page = gateway.get("/")
    assert page.status_code == 200
    assert "<form" in page.text


# What the page never asks for, what only another client gets wrong, and what asks to wait as every 429 and 503 does.
IN_GENERAL_WORDS = {
    "BODY",
    "BODY_TOO_LARGE",
    "BROKER_UNAVAILABLE",
    "CASE_NOT_FOUND",
    "CONDITION",
    "CONTENT_TYPE",
    "CROSS_SITE",
    "ERASED",
    "FACT_BROKEN",
    "FEEDBACK_FULL",
    "FIELD_TOO_LARGE",
    "FORM_BROKEN",
    "FORM_FIELD",
    "HOST",
    "JSON",
    "JUDGING_TOO_MANY",
    "KEY_INVALID",
    "LINKS_FULL",
    "KEY_NEEDED",
    "LISTING_OFF",
    "NOT_FINISHED",
    "NO_HEATMAP",
    "NO_PREPARED_IMAGE",
    "QUEUE_BUSY",
    "SCOPE",
    "TAKEN_BACK",
    "IDEMPOTENCY_KEY_REUSED",
    "IMAGE_COUNT",
    "UPLOAD_USED",
    "UPLOAD_NOT_FOUND",
    "UPLOAD_EXPIRED",
    "UPLOAD_UNFINISHED",
    "UPLOADS_BUSY",
    "UPLOADS_TOO_MANY",
}
WAY_OF_A_CASE = (
    "adapters/broker.py",
    "auth.py",
    "bodies.py",
    "body.py",
    "dependencies.py",
    "door.py",
    "facts.py",
    "form.py",
    "pipeline.py",
    "plain_form.py",
    "routes/cases.py",
    "routes/images.py",
    "shares.py",
    "submission.py",
    "uploads.py",
)


def test_people_read_the_pages_own_words_on_every_refusal_that_they_may_meet() -> None:
    code = "".join((WEB.parent / file).read_text(encoding="utf-8") for file in WAY_OF_A_CASE)
    reasons = set(re.findall(r'"((?!DERMIS_)[A-Z]{2,}(?:_[A-Z]+)*)"', code)) | set(ImageRefusal)
    worded = {key.removeprefix("refusal.") for key in texts("en") if key.startswith("refusal.")} - {"busy", "other"}
    assert worded <= reasons
    assert reasons - worded == IN_GENERAL_WORDS
