"""The page, made once from its template and the vocabulary."""

from enum import StrEnum
from html import escape
from pathlib import Path
from string import Template

from dermis.gateway.web.labels import QUESTIONS, SHOT_TYPES, Question
from dermis.shared.case import MAX_IMAGES, NOT_A_MEDICAL_DEVICE


def _options(answers: dict[StrEnum, str]) -> str:
    return "".join(f'<option value="{value}">{escape(words)}</option>' for value, words in answers.items())


def _question(question: Question) -> str:
    hint = f' <small id="{question.field}-hint">{escape(question.hint)}</small>' if question.hint else ""
    described = f' aria-describedby="{question.field}-hint"' if question.hint else ""
    if not question.several:
        return (
            f'<p><label for="{question.field}">{escape(question.text)}</label>{hint}'
            f'<select id="{question.field}" name="{question.field}"{described}><option value="">No answer</option>'
            f"{_options(question.answers)}</select></p>"
        )
    boxes = "".join(
        f'<label><input type="checkbox" name="{question.field}" value="{value}"> {escape(words)}</label>'
        for value, words in question.answers.items()
    )
    return f"<fieldset{described}><legend>{escape(question.text)}</legend>{hint}<div class=ticks>{boxes}</div></fieldset>"


PAGE = Template((Path(__file__).parent / "page.html").read_text(encoding="utf-8")).substitute(
    notice=escape(NOT_A_MEDICAL_DEVICE),
    max_images=MAX_IMAGES,
    shot_types=_options(SHOT_TYPES),
    questions="\n".join(map(_question, QUESTIONS)),
)
