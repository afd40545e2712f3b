"""Fills the pages' templates with the vocabulary and the texts of a language."""

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request

from dermis.gateway.core.accept import liked
from dermis.gateway.schemas import case_of
from dermis.gateway.settings import GatewaySettings
from dermis.gateway.web.languages import LANGUAGES, condition_names, language_of, texts
from dermis.gateway.web.operator import operator_of
from dermis.gateway.web.reports import words
from dermis.shared.case import CaseState, Consent
from dermis.shared.vocabulary import (
    AgeGroup,
    BodyPart,
    ConditionDuration,
    ConditionSymptom,
    FitzpatrickSkinType,
    Gradable,
    MonkSkinTone,
    OtherSymptom,
    RelatedCategory,
    SexAtBirth,
    ShotType,
    Texture,
    WarningSign,
)

SEVERAL = ("warning_signs", "body_parts", "condition_symptoms", "other_symptoms", "textures")
QUESTIONS = {
    "warning_signs": WarningSign,
    "age_group": AgeGroup,
    "related_category": RelatedCategory,
    "body_parts": BodyPart,
    "condition_duration": ConditionDuration,
    "condition_symptoms": ConditionSymptom,
    "textures": Texture,
    "other_symptoms": OtherSymptom,
    "sex_at_birth": SexAtBirth,
    "fitzpatrick_skin_type": FitzpatrickSkinType,
}
"""In the order asked. Race audits and never predicts, and SCIN leaves the Monk tone to graders: neither is asked."""
PLAIN_ONLY = (
    ("warning_signs", WarningSign.NO_WARNING_SIGNS),  # a button says it
    ("age_group", AgeGroup.AGE_UNKNOWN),
    ("other_symptoms", OtherSymptom.MOUTH_SORES),
    ("other_symptoms", OtherSymptom.SHORTNESS_OF_BREATH),
)
"""Answers that the form shows without scripts alone: with them a button or an earlier question says the same."""
MONK_SCALE = ("f6ede4", "f3e7db", "f7ead0", "eadaba", "d7bd96", "a07e56", "825c43", "604134", "3a312a", "292420")
"""Published swatches of the Monk Skin Tone scale (skintone.google), MST 1 to 10."""
_NOT_FOR_SCRIPTS = (
    "closed",
    "compare",
    "consent",
    "data",
    "emergency",
    "fault",
    "group",
    "language",
    "measure",
    "menu",
    "model",
    "models",
    "nav",
    "operator",
    "ops",
    "plain",
    "privacy",
    "reviews",
    "slice",
    "step",
    "system",
    "tagline",
)
"""Parts of the catalogue that templates alone say."""
_SAID_BY_TEMPLATES = (
    "assess.title",
    "camera.no",
    "camera.other",
    "camera.yes",
    "demo.banner",
    "draft.clear",
    "erase.no",
    "erase.text",
    "erase.title",
    "erase.yes",
    "error.status",
    "images.formats",
    "images.hint",
    "last.link",
    "map.back",
    "map.front",
    "map.list",
    "questions.none",
    "questions.several",
    "refusal.AGREE",
    "refusal.LINK_EXPIRED",
    "refusal.LINK_NOT_FOUND",
    "refusal.LINK_REVOKED",
    "send.button",
    "send.title",
    "send.what",
    "send.who",
    "send.who.text",
    "way.back",
    "way.skip_all",
    "way.title",
)
"""The same of other parts."""

_RED_FLAGS = Path(__file__).parent / "assets/red_flags.json"
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.globals.update(
    questions=QUESTIONS, several=SEVERAL, shot_types=list(ShotType), consents=list(Consent), monk=MONK_SCALE
)
_TEMPLATES.globals.update(plain_only=PLAIN_ONLY)
_TEMPLATES.globals.update(
    gradables=list(Gradable),
    skin_types=[each for each in FitzpatrickSkinType if each is not FitzpatrickSkinType.NONE_IDENTIFIED],
    skin_tones=list(MonkSkinTone),
)
_TEMPLATES.globals.update(languages=LANGUAGES, texts_of=texts, words=words)


def case_page(request: Request, settings: GatewaySettings, *, demo: bool) -> HTMLResponse:
    """Return the form and the result in one: the same for everyone of a language, so made once.

    `demo`: cases are answered by a demo model, which the page says before the first tap.
    """
    language, keep = _spoken(request)
    body, compressed = _case_page(language, keep, settings, demo)
    if "gzip" in liked(request.headers.get("accept-encoding", "")):
        packed = {"Content-Encoding": "gzip", "Vary": "Accept-Language, Accept-Encoding"}
        return HTMLResponse(compressed, headers=_headers(language) | packed)
    return HTMLResponse(body, headers=_headers(language))


def plain_case_page(request: Request, state: CaseState, *, read_only: bool = False) -> HTMLResponse:
    """Return what there is to say of a case, for a browser without scripts; to erase it is offered to its owner."""
    settings: GatewaySettings = request.app.state.parts.settings
    language, _ = _spoken(request)
    values: dict[str, Any] = {"case": case_of(state, read_only=read_only), "closed": state.closed}
    values["condition_names"] = condition_names(language)
    return respond(request, "plain.html", emergency_number=settings.emergency_number, **values)


def privacy_page(request: Request, settings: GatewaySettings) -> HTMLResponse:
    """Return what is kept, how long, who sees it and how it is erased, by this server's settings."""
    return respond(
        request,
        "privacy.html",
        ends=_ends(settings),
        session_days=settings.session_days,
        second_read=settings.offers_second_read,
    )


def respond(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a page in the language of whoever asks."""
    language, keep = _spoken(request)
    also = "".join(
        f"&{urlencode({key: value})}"
        for key, value in request.query_params.items()
        if key in ("first", "second", "before", "report", "data", "order")
    )
    operator = operator_of(request.app.state.parts.settings)
    shown_at = {"path": request.url.path, "keep": keep, "also": also, "operator": operator}
    body = render(template, language, **shown_at, **values).encode()
    return HTMLResponse(body, status_code=status, headers=_headers(language))


def render(template: str, language: str, **values: Any) -> str:
    return _TEMPLATES.get_template(template).render(t=texts(language), language=language, **values)


@cache
def _case_page(language: str, keep: str, settings: GatewaySettings, demo: bool) -> tuple[bytes, bytes]:
    words = {key: text for key, text in texts(language).items() if not _is_for_templates_alone(key)}
    script_texts = json.dumps(words, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    values = {
        "path": "/",
        "keep": keep,
        "also": "",
        "max_bytes": settings.max_image_bytes,
        "ends": _ends(settings),
        "operator": operator_of(settings),
        "script_texts": script_texts,
        "red_flags": _red_flags(language),
        "demo": demo,
        "second_read": settings.offers_second_read,
        "emergency_number": settings.emergency_number,
    }
    body = render("case.html", language, **values).encode()
    return body, gzip.compress(body)


def _red_flags(language: str) -> str:
    """Return the worker's table without what the language's catalogue says in its own words."""
    catalogue = texts(language)
    rules = [
        {name: value for name, value in rule.items() if name != "text" or f"flag.{rule['flag']}" not in catalogue}
        for rule in json.loads(_RED_FLAGS.read_text(encoding="utf-8"))
    ]
    return json.dumps(rules, separators=(",", ":")).replace("<", "\\u003c")


def _is_for_templates_alone(key: str) -> bool:
    """Tell whether no script says a text; what the form calls an answer, scripts read from the form."""
    is_answer = key.startswith("answer.") and key.count(".") > 1
    return is_answer or key in _SAID_BY_TEMPLATES or key.partition(".")[0] in _NOT_FOR_SCRIPTS


def _ends(settings: GatewaySettings) -> dict[Consent, float]:
    """Return after how many days a case of each consent is erased."""
    return {
        Consent.ASSESS_ONLY: settings.retention_days,
        Consent.KEEP_FOR_IMPROVEMENT: settings.improvement_retention_days,
    }


def _spoken(request: Request) -> tuple[str, str]:
    """Return the language, and the query that keeps it where a person chose it."""
    chosen = request.query_params.get("lang", "")
    language = language_of(chosen, request.headers.get("accept-language", ""))
    return language, f"?lang={language}" if chosen == language else ""


def _headers(language: str) -> dict[str, str]:
    return {"Content-Language": language, "Vary": "Accept-Language"}
