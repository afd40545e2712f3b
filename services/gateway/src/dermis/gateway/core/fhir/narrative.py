"""What a person reads of a report: XHTML and plain text."""

import html
import re
from collections.abc import Iterable

from dermis.gateway.core.fhir.datatypes import Narrative
from dermis.gateway.core.fhir.facts import ReportFacts
from dermis.gateway.core.fhir.observations import NO_RELIANCE, flags_of
from dermis.gateway.core.fhir.readings import words_of
from dermis.gateway.core.fhir.terminology import words
from dermis.shared.case import NOT_A_MEDICAL_DEVICE, Outcome, OutcomeKind

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def narrative(paragraphs: Iterable[str]) -> Narrative:
    """Return paragraphs of plain text as XHTML."""
    text = "".join(f"<p>{html.escape(_NOT_IN_XML.sub(' ', each))}</p>" for each in paragraphs)
    return Narrative(div=f'<div xmlns="http://www.w3.org/1999/xhtml">{text}</div>')


def notice_of(facts: ReportFacts) -> list[str]:
    """Return what must be read before anything else."""
    return [*facts.warnings, NOT_A_MEDICAL_DEVICE]


def answer_lines(facts: ReportFacts) -> list[str]:
    """Return the answer of the software in words."""
    outcome = facts.outcome
    if outcome is None:
        return [f"The case could not be finished: {facts.failed.detail}" if facts.failed else "There is no answer."]
    if outcome.kind is OutcomeKind.DIFFERENTIAL:
        return [*_groups(outcome), f"Not ruled out, by software alone: {_listed(outcome, inside=True)}."]
    if outcome.kind is OutcomeKind.ABSTENTION:
        listed = [f"{NO_RELIANCE} {_listed(outcome, inside=False)}."] if outcome.differential else []
        return [f"The software abstained{_because(outcome)}.", *listed]
    return [f"The photos were refused{_because(outcome)}.", *outcome.advice]


def urgency_lines(facts: ReportFacts) -> list[str]:
    """Return the warning signs and how soon to have it looked at."""
    advice = facts.advice
    soon = [f"How soon to have it looked at: {words(advice.urgency)}."] if advice.urgency else []
    texts = [*(flag.text for flag in flags_of(facts)), *soon, *advice.because, advice.next_step]
    return list(dict.fromkeys(map(_sentence, texts)))


def reading_lines(facts: ReportFacts) -> list[str]:
    """Return what stands of the clinicians' readings, or that they don't agree yet."""
    if facts.verdict:
        return [f"{reading.reader}: {words_of(reading)}." for reading in facts.verdict]
    return [f"{reading.reader}, not agreed yet: {words_of(reading)}." for reading in facts.readings]


def conclusion_of(facts: ReportFacts) -> str:
    """Return the whole in a few sentences; the readings that stand come before the software's answer."""
    readings = reading_lines(facts) if facts.verdict else []
    return " ".join([*facts.warnings, *readings, *answer_lines(facts), *urgency_lines(facts), NOT_A_MEDICAL_DEVICE])


def _groups(outcome: Outcome) -> list[str]:
    answer = outcome.grouped_answer
    if answer is None:
        return []
    return [f"Most specific answer: {', '.join(f'{each.name} ({each.probability:.0%})' for each in answer.entries)}."]


def _listed(outcome: Outcome, *, inside: bool) -> str:
    listed = [each for each in outcome.differential if each.in_prediction_set or not inside]
    return ", ".join(f"{each.name} ({each.probability:.0%})" for each in listed[:10]) or "no condition"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _because(outcome: Outcome) -> str:
    return f": {words(outcome.reason).lower()}" if outcome.reason else ""
