"""The self-report as a questionnaire with its response."""

from collections.abc import Iterator
from enum import StrEnum

from dermis.gateway.core.fhir.facts import ReportFacts
from dermis.gateway.core.fhir.people import subject_of
from dermis.gateway.core.fhir.resources import (
    AnsweredQuestion,
    AnswerOption,
    Question,
    QuestionAnswer,
    Questionnaire,
    QuestionnaireResponse,
)
from dermis.gateway.core.fhir.terminology import answer, words
from dermis.shared import vocabulary
from dermis.shared.vocabulary import SelfReport

QUESTIONS: dict[str, tuple[str, type[StrEnum] | None]] = {
    "warning_signs": ("Do you have any of these warning signs?", vocabulary.WarningSign),
    "under_18": ("Is the person under 18?", None),
    "age_group": ("How old is the person?", vocabulary.AgeGroup),
    "sex_at_birth": ("Which sex was the person assigned at birth?", vocabulary.SexAtBirth),
    "fitzpatrick_skin_type": ("Fitzpatrick skin type, in the person's own words", vocabulary.FitzpatrickSkinType),
    "monk_skin_tone": ("Monk skin tone, in the person's own words", vocabulary.MonkSkinTone),
    "race_ethnicity": ("Which race or ethnicity?", vocabulary.RaceEthnicity),
    "body_parts": ("Where on the body is it?", vocabulary.BodyPart),
    "textures": ("How does it feel?", vocabulary.Texture),
    "condition_symptoms": ("What does the person notice there?", vocabulary.ConditionSymptom),
    "other_symptoms": ("What else does the person feel?", vocabulary.OtherSymptom),
    "related_category": ("What best describes it?", vocabulary.RelatedCategory),
    "condition_duration": ("How long has it been there?", vocabulary.ConditionDuration),
}
"""Each field's question and the words of its answers; None: yes or no."""
_SEVERAL = {"warning_signs", "race_ethnicity", "body_parts", "textures", "condition_symptoms", "other_symptoms"}
_ID = "self-report"


def questionnaire() -> Questionnaire:
    """Return the questions of the self-report, none of which must be answered."""
    return Questionnaire(id=_ID, title="dermis self-report", item=tuple(map(_question, QUESTIONS)))


def response_of(facts: ReportFacts) -> QuestionnaireResponse:
    """Return what the person answered; a question that was not answered has no item."""
    return QuestionnaireResponse(
        id=facts.id("answers"),
        meta=facts.meta,
        contained=(questionnaire(),),
        questionnaire=f"#{_ID}",
        subject=subject_of(facts),
        authored=facts.received.received_at,
        item=tuple(_answered(facts.received.self_report)),
    )


def lines_of(report: SelfReport) -> list[str]:
    """Return each answered question in words."""
    return [f"{each.text} {', '.join(map(_in_words, each.answer))}" for each in _answered(report)]


def _question(name: str) -> Question:
    text, values = QUESTIONS[name]
    if values is None:
        return Question(link_id=name, text=text, type="boolean")
    options = tuple(AnswerOption(value_coding=answer(value, name)) for value in values)
    return Question(link_id=name, text=text, type="choice", repeats=name in _SEVERAL or None, answer_option=options)


def _answered(report: SelfReport) -> Iterator[AnsweredQuestion]:
    for name, (text, _) in QUESTIONS.items():
        value = getattr(report, name)
        values = () if value is None else value if isinstance(value, tuple) else (value,)
        if values:
            yield AnsweredQuestion(link_id=name, text=text, answer=tuple(_answer(each, name) for each in values))


def _answer(value: StrEnum | bool, name: str) -> QuestionAnswer:
    return (
        QuestionAnswer(value_boolean=value)
        if isinstance(value, bool)
        else QuestionAnswer(value_coding=answer(value, name))
    )


def _in_words(each: QuestionAnswer) -> str:
    if each.value_coding:
        return each.value_coding.display or words(each.value_coding.code)
    return "yes" if each.value_boolean else "no"
