"""What the software made of a case: its answer, the warning signs in the answers, and how soon to have it looked at."""

from collections.abc import Iterator
from typing import Any

from dermis.gateway.core.fhir.datatypes import Annotation, CodeableConcept, Coding, Quantity
from dermis.gateway.core.fhir.facts import ReportFacts
from dermis.gateway.core.fhir.people import subject_of
from dermis.gateway.core.fhir.resources import Component, Observation
from dermis.gateway.core.fhir.terminology import (
    REASONS,
    Concept,
    absent,
    concept,
    condition_of,
    group_of,
    urn,
    words,
)
from dermis.shared.case import Measured, Outcome, OutcomeKind, RedFlag

NO_RELIANCE = "The software abstained: these probabilities should not be relied on."
_NO_MODEL = {"NO_IMAGE", "UNDER_18"}
"""Reasons for which no model was asked."""


def observation(facts: ReportFacts, name: str, code: CodeableConcept, **fields: Any) -> Observation:
    """Return an observation of the software, which no one has checked."""
    defaults = {"status": "preliminary", "note": facts.notes, "issued": facts.finished_at}
    return Observation(
        id=facts.id(name),
        meta=facts.meta,
        code=code,
        subject=subject_of(facts),
        effective_date_time=facts.received.received_at,
        **{**defaults, **fields},
    )


def answers_of(facts: ReportFacts) -> list[Observation]:
    """Return the software's answer: its kind, then what it was sure of, then every probability."""
    outcome = facts.outcome
    if outcome is None:
        detail = f"The case could not be finished: {facts.failed.detail}" if facts.failed else "There is no answer."
        return [_no_answer(facts, "error", detail, facts.failed.reason if facts.failed else None)]
    if outcome.kind is not OutcomeKind.DIFFERENTIAL:
        asked = outcome.kind is OutcomeKind.ABSTENTION and outcome.reason not in _NO_MODEL
        answer = _no_answer(facts, "unknown" if asked else "not-performed", _why(outcome), outcome.reason)
        return [answer, *_probabilities(facts, outcome)]
    return [_prediction_set(facts, outcome), *_groups(facts, outcome), *_probabilities(facts, outcome)]


def red_flags_of(facts: ReportFacts) -> list[Observation]:
    return [_red_flag(facts, k, flag) for k, flag in enumerate(flags_of(facts), start=1)]


def flags_of(facts: ReportFacts) -> tuple[RedFlag, ...]:
    closing = facts.outcome or facts.failed
    return closing.red_flags if closing else ()


def urgency_of(facts: ReportFacts) -> Observation:
    """Return how soon to have it looked at, or that nothing says so."""
    advice = facts.advice
    code = (
        Coding(system=urn("urgencies"), code=advice.urgency, display=words(advice.urgency)) if advice.urgency else None
    )
    return observation(
        facts,
        "urgency",
        concept(Concept.URGENCY, "How soon to have it looked at"),
        value_codeable_concept=CodeableConcept(coding=(code,), text=words(code.code)) if code else None,
        data_absent_reason=None if code else absent("unknown", advice.next_step),
        note=(*facts.notes, *(Annotation(text=text) for text in dict.fromkeys((*advice.because, advice.next_step)))),
        device=facts.to("software"),
    )


def _no_answer(facts: ReportFacts, code: str, text: str, reason: str | None) -> Observation:
    return observation(
        facts,
        "answer",
        concept(Concept.ANSWER, "Answer of the software"),
        data_absent_reason=absent(code, text, reason=reason),
        note=(*facts.notes, *(Annotation(text=each) for each in (facts.outcome.advice if facts.outcome else ()))),
        device=_device(facts),
    )


def _why(outcome: Outcome) -> str:
    text = "The software abstained" if outcome.kind is OutcomeKind.ABSTENTION else "The photos were refused"
    return f"{text}: {words(outcome.reason).lower()}" if outcome.reason else text


def _prediction_set(facts: ReportFacts, outcome: Outcome) -> Observation:
    inside = [ranked for ranked in outcome.differential if ranked.in_prediction_set]
    coverage = (
        Component(
            code=concept(Concept.COVERAGE, "Share of cases for which such a set is made to hold the condition"),
            value_quantity=Quantity(value=outcome.coverage),
        )
        if outcome.coverage is not None
        else None
    )
    return observation(
        facts,
        "prediction-set",
        concept(Concept.PREDICTION_SET, "Conditions that the software can't rule out"),
        component=(
            *(Component(code=condition_of(each), value_boolean=True) for each in inside),
            *((coverage,) if coverage else ()),
        ),
        data_absent_reason=None if inside else absent("unknown", "The set is empty"),
        device=_device(facts),
        derived_from=_sources(facts),
    )


def _groups(facts: ReportFacts, outcome: Outcome) -> Iterator[Observation]:
    if answer := outcome.grouped_answer:
        yield observation(
            facts,
            "grouped-answer",
            concept(Concept.GROUPED_ANSWER, "Most specific answer that the software is sure enough of"),
            component=tuple(
                Component(code=group_of(entry), value_quantity=Quantity(value=entry.probability))
                for entry in answer.entries
            ),
            device=_device(facts),
            derived_from=_sources(facts),
        )


def _probabilities(facts: ReportFacts, outcome: Outcome) -> Iterator[Observation]:
    if not outcome.differential:
        return
    abstained = outcome.kind is OutcomeKind.ABSTENTION
    texts = (*((NO_RELIANCE,) if abstained else ()), *((_measured(outcome.measured),) if outcome.measured else ()))
    yield observation(
        facts,
        "differential",
        concept(Concept.DIFFERENTIAL, "Probability of each condition that the model knows"),
        note=(*facts.notes, *(Annotation(text=text) for text in texts)),
        component=tuple(
            Component(code=condition_of(each), value_quantity=Quantity(value=each.probability))
            for each in outcome.differential
        ),
        device=_device(facts),
        derived_from=_sources(facts),
    )


def _red_flag(facts: ReportFacts, k: int, flag: RedFlag) -> Observation:
    return observation(
        facts,
        f"red-flag/{k}",
        concept(Concept.RED_FLAG, "Warning sign in the answers"),
        value_codeable_concept=CodeableConcept(
            coding=(Coding(system=REASONS, code=flag.flag, display=words(flag.flag)),), text=flag.text
        ),
        device=facts.to("software"),
        derived_from=(facts.to("answers"),),
    )


def _device(facts: ReportFacts) -> Any:
    return facts.to("model" if facts.outcome and facts.outcome.model else "software")


def _sources(facts: ReportFacts) -> tuple[Any, ...]:
    used = facts.outcome.images_used if facts.outcome else ()
    stored = {image.n for image in facts.received.images}
    return (facts.to("answers"), *(facts.to(f"photo/{n}") for n in used if n in stored))


def _measured(measured: Measured) -> str:
    group = "all cases" if measured.group == "ALL" else f"cases of self-reported skin type {measured.group}"
    return (
        f"Measured on {measured.n} {group} ({measured.data}): the right condition was the first in "
        f"{measured.top_1:.0%} and among the first three in {measured.top_3:.0%}; a constant list reaches "
        f"{measured.floor_top_1:.0%} and {measured.floor_top_3:.0%}."
    )
