"""Plain words about conditions, from the one file that ships with the gateway; how soon to have a case looked at."""

from collections.abc import Iterable, Iterator
from functools import cache
from importlib import resources
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from dermis.gateway.http import CaseGuidance, ConditionGuidance, GuidanceEntry, SelfCare, SourceLink, UrgencyReason
from dermis.gateway.web.languages import texts
from dermis.shared.case import Failed, Outcome, OutcomeKind, RankedCondition, RedFlag, Urgency
from dermis.shared.codes import codes_of
from dermis.shared.manifest import URGENCY_THRESHOLD
from dermis.shared.vocabulary import RelatedCategory, SelfReport

COULD_NOT_TELL = "We could not tell how soon. This does not mean it's harmless. If it worries you, show it to a doctor."
_ORDER = list(Urgency)
_GROWTH = "GROWTH"
"""The flag of a growth that nothing else is reported of."""
_GROWTH_REASONS = {
    "ANSWERS": "you report a mole or growth, and a photo can't rule out skin cancer",
    "MODEL": "this model knows growths alone, and a photo can't rule out skin cancer",
}


class Entry(GuidanceEntry):
    """An entry of the file; `names` are the conditions that it is said of, whatever the case of their letters.

    Beside a condition that is a `growth` no self-care is named.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    names: Annotated[tuple[str, ...], Field(min_length=1)]
    sources: Annotated[list[str], Field(min_length=1)]
    growth: bool = False


class Care(SelfCare):
    """Self-care of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    do: Annotated[list[str], Field(min_length=1)]
    avoid: Annotated[list[str], Field(min_length=1)]
    routine: Annotated[list[str], Field(min_length=1)]
    sources: Annotated[list[str], Field(min_length=1)]


class Guidance(BaseModel):
    """The file; `clinical_review` names who reviewed these very texts, "none" as long as no clinician has.

    `addresses` holds that of each source by its name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["dermis.guidance/2"]
    version: Annotated[int, Field(ge=1)]
    clinical_review: Annotated[str, Field(min_length=1)]
    addresses: dict[str, Annotated[str, Field(pattern=r"^https://\S+$")]]
    general: Entry
    skin_care: Annotated[list[str], Field(min_length=1)]
    self_care: tuple[Care, ...]
    entries: Annotated[tuple[Entry, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _each_name_once(self) -> "Guidance":
        everything = (self.general, *self.entries)
        for what, seen in (
            ("name", [n.casefold() for e in everything for n in e.names]),
            ("id", [e.id for e in everything]),
            ("self_care", [care.id for care in self.self_care]),
        ):
            if twice := sorted({each for each in seen if seen.count(each) > 1}):
                raise ValueError(f"{what} {twice[0]!r} stands twice; give each condition one entry")
        return self

    @model_validator(mode="after")
    def _names_what_is_there(self) -> "Guidance":
        everything = (self.general, *self.entries)
        named = [*(n for entry in everything for n in entry.sources), *(n for c in self.self_care for n in c.sources)]
        if unknown := set(named) - set(self.addresses):
            raise ValueError(f"source {min(unknown)!r} has no address; add it to `addresses`")
        if missing := {entry.self_care for entry in everything if entry.self_care} - {c.id for c in self.self_care}:
            raise ValueError(f"self_care {min(missing)!r} is not in the file; add it, or set null")
        return self

    def entry(self, name: str) -> Entry:
        """Return what is said of a condition; the general entry if none names it."""
        folded = name.casefold()
        return next(
            (entry for entry in self.entries if folded in {each.casefold() for each in entry.names}), self.general
        )

    def of_condition(self, condition: str, name: str) -> ConditionGuidance:
        entry = self.entry(name)
        return ConditionGuidance(
            condition=condition,
            name=name,
            is_general=entry is self.general,
            guidance=self._entry(entry),
            codes=list(codes_of(name)),
        )

    def of_general(self) -> GuidanceEntry:
        return self._entry(self.general)

    def of_everyone(self) -> list[SelfCare]:
        """Return all self-care of the file."""
        return [self._care(care) for care in self.self_care]

    def self_care_of(self, outcome: Outcome) -> list[SelfCare]:
        """Return the self-care for the conditions of the prediction set, each once.

        None where it could keep someone from a doctor or has no ground: beside a growth or a red flag, and where no
        model gave an answer that means something for a person.
        """
        entries = [self.entry(ranked.name) for ranked in outcome.differential if ranked.in_prediction_set]
        if not _is_answer(outcome) or outcome.red_flags or any(entry.growth for entry in entries):
            return []
        ids = {entry.self_care for entry in entries}
        return [care for care in self.of_everyone() if care.id in ids]

    def of_outcome(self, outcome: Outcome, report: SelfReport) -> CaseGuidance:
        """Return what a person may do now.

        A model adds texts and reasons only where it gave an answer and is no demo; of an answer over groups, texts on
        the conditions that it names alone.
        """
        answered = _is_answer(outcome)
        inside = [ranked for ranked in outcome.differential if ranked.in_prediction_set] if answered else []
        answer = outcome.grouped_answer
        alone = {entry.id for entry in answer.entries if entry.level == "CONDITION"} if answer else None
        return self._of(
            [*_reasons_of_flags(outcome.red_flags, report), *(self._reasons_of_model(outcome) if answered else ())],
            [
                self.of_condition(each.condition, each.name)
                for each in inside
                if alone is None or each.condition in alone
            ],
            self.self_care_of(outcome),
        )

    def of_failure(self, failed: Failed, report: SelfReport) -> CaseGuidance:
        """Return what a person may do whose case could not be finished: what the answers alone say."""
        return self._of(_reasons_of_flags(failed.red_flags, report), [], [])

    def _reasons_of_model(self, outcome: Outcome) -> Iterator[UrgencyReason]:
        threshold = URGENCY_THRESHOLD if outcome.urgency_threshold is None else outcome.urgency_threshold
        for ranked in outcome.differential:
            entry = self.entry(ranked.name)
            if ranked.probability >= threshold and entry is not self.general:
                yield _reason_of_model(ranked, entry)

    def _of(
        self, reasons: Iterable[UrgencyReason], conditions: list[ConditionGuidance], self_care: list[SelfCare]
    ) -> CaseGuidance:
        leading = most_urgent(reasons)
        return CaseGuidance(
            urgency=leading[0].urgency if leading else None,
            because=leading,
            next_step=leading[0].next_step if leading else COULD_NOT_TELL,
            conditions=conditions,
            general=self.of_general(),
            skin_care=self.skin_care if self_care else [],
            self_care=self_care,
            clinical_review=self.clinical_review,
            urgency_text=texts("en")[f"urgency.{leading[0].urgency}"] if leading else None,
        )

    def _entry(self, entry: Entry) -> GuidanceEntry:
        return GuidanceEntry(**entry.model_dump(exclude={"names", "growth", "links"}), links=self._links(entry.sources))

    def _care(self, care: Care) -> SelfCare:
        return SelfCare(**care.model_dump(exclude={"sources", "links"}), links=self._links(care.sources))

    def _links(self, sources: Iterable[str]) -> list[SourceLink]:
        return [SourceLink(name=name, url=self.addresses[name]) for name in sources]


def most_urgent(reasons: Iterable[UrgencyReason]) -> list[UrgencyReason]:
    """Return the reasons of the most urgent kind, in order; none where there is no reason."""
    everything = list(reasons)
    leading = min((_ORDER.index(each.urgency) for each in everything), default=None)
    return [each for each in everything if _ORDER.index(each.urgency) == leading]


@cache
def guidance() -> Guidance:
    """Return the guidance that ships with the gateway."""
    return Guidance.model_validate_json(resources.files("dermis.gateway").joinpath("guidance.json").read_bytes())


def _is_answer(outcome: Outcome) -> bool:
    """Tell whether a model answered that is no demo: what a demo says has no meaning for a person."""
    return outcome.kind is OutcomeKind.DIFFERENTIAL and not (outcome.model and outcome.model.purpose == "demo")


def _reasons_of_flags(flags: Iterable[RedFlag], report: SelfReport) -> Iterator[UrgencyReason]:
    for flag in flags:
        source: Literal["RED_FLAG", "ANSWERS", "MODEL"] = "RED_FLAG"
        text = flag.text
        if flag.flag == _GROWTH:  # raised for a reported growth, or for an answer of a model that knows growths alone
            source = "ANSWERS" if report.related_category is RelatedCategory.GROWTH_OR_MOLE else "MODEL"
            text = _GROWTH_REASONS[source]
        urgency = flag.urgency or Urgency.TODAY  # of a fact from before urgency was noted
        yield UrgencyReason(source=source, urgency=urgency, text=text, next_step=flag.text, flag=flag.flag)


def _reason_of_model(ranked: RankedCondition, entry: Entry) -> UrgencyReason:
    return UrgencyReason(
        source="MODEL",
        urgency=entry.urgency,
        text=f"it may be {ranked.name} ({in_ten(ranked.probability)})",
        next_step=entry.next_step,
        condition=ranked.condition,
    )


def in_ten(probability: float) -> str:
    """Return a probability as a person says it: about 6 in 10, less than 1 in 10."""
    tenths = tenths_of(probability)
    return f"about {tenths} in 10" if tenths else "less than 1 in 10"


def tenths_of(probability: float) -> int:
    """Return a probability in tenths, at most 9, as nothing is certain."""
    return min(9, round(10 * probability))
