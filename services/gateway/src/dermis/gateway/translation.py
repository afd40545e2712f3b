"""Puts what the API says to people into another language; facts stay as they are, in English.

A text that a language lacks stays English, and the languages of an answer name both.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from dermis.gateway.guidance import guidance, tenths_of
from dermis.gateway.http import (
    Case,
    CaseGuidance,
    ConditionGuidance,
    ConditionList,
    Failure,
    GuidanceEntry,
    ImageUpload,
    SelfCare,
    SourceLink,
    UrgencyReason,
)
from dermis.gateway.web.languages import LANGUAGES, condition_names, texts, translations
from dermis.shared.case import AnswerEntry, ModelKnowledge, Notice, Outcome, RankedCondition, RedFlag
from dermis.shared.report import QualityReport

R = TypeVar("R", RankedCondition, AnswerEntry)
T = TypeVar("T")
W = TypeVar("W", RedFlag, Notice)
_ENGLISH = LANGUAGES[0]


class Translation:
    """The words of one language for one answer."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._falls_back = False
        self._texts = texts(language)
        self._words = translations(language)
        self._names = condition_names(language)

    @property
    def headers(self) -> dict[str, str]:
        """Return what an answer in these words says of its language (RFC 9110, 8.5), once it was put into it."""
        languages = (self.language, _ENGLISH) if self._falls_back else (self.language,)
        return {"Content-Language": ", ".join(languages), "Vary": "Accept-Language"}

    def case(self, case: Case) -> Case:
        if self.language == _ENGLISH:
            return case
        update = {
            "images": [each.model_copy(update={"quality": self._quality_of(each.quality)}) for each in case.images],
            "notice": self._texts("notice"),
            "guidance": case.guidance and self._guidance(case.guidance, case.outcome),
            "outcome": case.outcome and self._outcome(case.outcome, self._advice(case)),
            "failure": case.failure and self._failure(case.failure),
        }
        return case.model_copy(update=update)

    def conditions(self, listed: ConditionList) -> ConditionList:
        if self.language == _ENGLISH:
            return listed
        update = {
            "conditions": [self._condition(each) for each in listed.conditions],
            "general": self._entry(listed.general),
            "skin_care": self._skin_care(listed.skin_care),
            "self_care": [self._care(each) for each in listed.self_care],
            "notice": self._texts("notice"),
        }
        return listed.model_copy(update=update)

    def upload(self, upload: ImageUpload) -> ImageUpload:
        if self.language == _ENGLISH:
            return upload
        refusal = upload.refusal
        if refusal:
            refusal = refusal.model_copy(update={"detail": self._text(f"refusal.{refusal.reason}", refusal.detail)})
        return upload.model_copy(update={"quality": self._quality_of(upload.quality), "refusal": refusal})

    def quality(self, report: QualityReport) -> QualityReport:
        """Return a report whose advice, one for each reason, is in the language."""
        if self.language == _ENGLISH:
            return report
        if len(report.reasons) != len(report.advice):
            return self._english(report)
        pairs = zip(report.reasons, report.advice, strict=True)
        return report.model_copy(update={"advice": tuple(self._text(f"advice.{why}", text) for why, text in pairs)})

    def _quality_of(self, report: QualityReport | None) -> QualityReport | None:
        return self.quality(report) if report else None

    def _advice(self, case: Case) -> dict[str, str]:
        """Return what the advice on a case's photos is in the language, by its English."""
        reports = [image.quality for image in case.images if image.quality]
        return {
            english: text
            for each in reports
            for english, text in zip(each.advice, self.quality(each).advice, strict=True)
        }

    def _failure(self, failure: Failure) -> Failure:
        text = self._texts.get(f"refusal.{failure.reason}") or self._texts("failure.other")
        return failure.model_copy(update={"detail": text})

    def _outcome(self, outcome: Outcome, advice: dict[str, str]) -> Outcome:
        answer, knowledge = outcome.grouped_answer, outcome.knowledge
        update = {
            "notice": self._texts("notice"),
            "advice": tuple(advice.get(each) or self._english(each) for each in outcome.advice),
            "red_flags": _with_texts(outcome.red_flags, lambda flag: self._text(f"flag.{flag.flag}", flag.text)),
            "notices": _with_texts(outcome.notices, lambda each: self._text(f"notice.{each.notice}", each.text)),
            "differential": self._named(outcome.differential),
            "grouped_answer": answer and answer.model_copy(update={"entries": self._named(answer.entries)}),
            "knowledge": knowledge and self._knowledge(knowledge),
        }
        return outcome.model_copy(update=update)

    def _knowledge(self, knowledge: ModelKnowledge) -> ModelKnowledge:
        update = {
            "kind": self._knowledge_text(knowledge.kind),
            "unknown": tuple(self._knowledge_text(each) for each in knowledge.unknown),
            "data": self._knowledge_text(knowledge.data) if knowledge.data else "",
        }
        return knowledge.model_copy(update=update)

    def _guidance(self, advice: CaseGuidance, outcome: Outcome | None) -> CaseGuidance:
        because = [self._reason(each, outcome) for each in advice.because]
        update = {
            "because": because,
            "next_step": because[0].next_step if because else self._texts("urgency.none"),
            "urgency_text": self._texts(f"urgency.{advice.urgency}") if advice.urgency else None,
            "conditions": [self._condition(each) for each in advice.conditions],
            "general": self._entry(advice.general),
            "skin_care": self._skin_care(advice.skin_care),
            "self_care": [self._care(each) for each in advice.self_care],
        }
        return advice.model_copy(update=update)

    def _reason(self, reason: UrgencyReason, outcome: Outcome | None) -> UrgencyReason:
        ranked = [each for each in outcome.differential if each.condition == reason.condition] if outcome else []
        if reason.flag:
            next_step = text = self._text(f"flag.{reason.flag}", reason.next_step)
            if reason.source != "RED_FLAG":
                text = self._texts("because.growth" if reason.source == "ANSWERS" else "because.growths_alone")
        elif ranked:
            text = self._texts("because.model", name=self._name(ranked[0].name), chance=self._chance(ranked[0]))
            next_step = self._entry(guidance().of_condition("", ranked[0].name).guidance).next_step
        else:
            return self._english(reason)
        return reason.model_copy(update={"text": text, "next_step": next_step})

    def _chance(self, ranked: RankedCondition) -> str:
        tenths = tenths_of(ranked.probability)
        return self._texts("chance.about", n=tenths) if tenths else self._texts("chance.less")

    def _condition(self, condition: ConditionGuidance) -> ConditionGuidance:
        update = {"name": self._name(condition.name), "guidance": self._entry(condition.guidance)}
        return condition.model_copy(update=update)

    def _entry(self, entry: GuidanceEntry) -> GuidanceEntry:
        words = self._words.get("entries", {}).get(entry.id)
        if words is None:
            return self._english(entry)
        return entry.model_copy(update={**words, "links": self._links(entry.links), "language": self.language})

    def _care(self, care: SelfCare) -> SelfCare:
        words = self._words.get("self_care", {}).get(care.id)
        if words is None:
            return self._english(care)
        return care.model_copy(update={**words, "links": self._links(care.links), "language": self.language})

    def _skin_care(self, english: list[str]) -> list[str]:
        words: list[str] | None = self._words.get("skin_care")
        return (self._english(english) if words is None else words) if english else []

    def _links(self, links: list[SourceLink]) -> list[SourceLink]:
        addresses = self._words.get("addresses", {})
        return [link.model_copy(update={"url": addresses.get(link.name, link.url)}) for link in links]

    def _named(self, ranked: Sequence[R]) -> tuple[R, ...]:
        return tuple(each.model_copy(update={"name": self._name(each.name)}) for each in ranked)

    def _name(self, english: str) -> str:
        return self._names.get(english) or self._english(english)

    def _knowledge_text(self, english: str) -> str:
        return self._words.get("knowledge", {}).get(english) or self._english(english)

    def _text(self, key: str, english: str) -> str:
        return self._texts.get(key) or self._english(english)

    def _english(self, value: T) -> T:
        self._falls_back = True
        return value


def _with_texts(warnings: Sequence[W], text_of: Callable[[W], str]) -> tuple[W, ...]:
    return tuple(each.model_copy(update={"text": text_of(each)}) for each in warnings)
