"""What is said of conditions in plain words, from the one file that ships with the gateway."""

from collections.abc import Iterable
from functools import cache
from importlib import resources
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from dermis.gateway.http import CaseGuidance, ConditionGuidance, GuidanceEntry
from dermis.shared.case import Outcome, OutcomeKind, Urgency

_ORDER = list(Urgency)


class Entry(GuidanceEntry):
    """An entry of the file; `names` are the conditions that it is said of, whatever the case of their letters."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    names: Annotated[tuple[str, ...], Field(min_length=1)]
    sources: Annotated[list[str], Field(min_length=1)]


class Guidance(BaseModel):
    """The file; `clinical_review` names who reviewed these very texts, "none" as long as no clinician has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["dermis.guidance/1"]
    version: Annotated[int, Field(ge=1)]
    clinical_review: Annotated[str, Field(min_length=1)]
    general: Entry
    skin_care: Annotated[list[str], Field(min_length=1)]
    entries: Annotated[tuple[Entry, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _each_name_once(self) -> "Guidance":
        everything = (self.general, *self.entries)
        for what, seen in (
            ("name", [n.casefold() for e in everything for n in e.names]),
            ("id", [e.id for e in everything]),
        ):
            if twice := sorted({each for each in seen if seen.count(each) > 1}):
                raise ValueError(f"{what} {twice[0]!r} stands twice; give each condition one entry")
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
            condition=condition, name=name, is_general=entry is self.general, guidance=_entry_of(entry)
        )

    def of_general(self) -> GuidanceEntry:
        return _entry_of(self.general)

    def of_outcome(self, outcome: Outcome) -> CaseGuidance:
        """Return what a person may do now.

        Where the model abstained or saw no image, red flags and general guidance only.
        """
        relied = outcome.kind is OutcomeKind.DIFFERENTIAL
        inside = [ranked for ranked in outcome.differential if ranked.in_prediction_set and relied]
        conditions = [self.of_condition(ranked.condition, ranked.name) for ranked in inside]
        steps = [(flag.urgency or Urgency.TODAY, flag.text) for flag in outcome.red_flags]
        steps += [(each.guidance.urgency, each.guidance.next_step) for each in conditions]
        urgency, next_step = most_urgent(steps or [(self.general.urgency, self.general.next_step)])
        return CaseGuidance(
            urgency=urgency,
            next_step=next_step,
            conditions=conditions,
            general=self.of_general(),
            skin_care=self.skin_care,
            clinical_review=self.clinical_review,
        )


def most_urgent(steps: Iterable[tuple[Urgency, str]]) -> tuple[Urgency, str]:
    """Return the most urgent step; of equals the first."""
    return min(steps, key=lambda step: _ORDER.index(step[0]))


@cache
def guidance() -> Guidance:
    """Return the guidance that ships with the gateway."""
    return Guidance.model_validate_json(resources.files("dermis.gateway").joinpath("guidance.json").read_bytes())


def _entry_of(entry: Entry) -> GuidanceEntry:
    return GuidanceEntry.model_validate(entry.model_dump(exclude={"names"}))
