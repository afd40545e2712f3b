"""Plain words about conditions, from the one file that ships with the gateway."""

from collections.abc import Iterable
from functools import cache
from importlib import resources
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from dermis.gateway.http import CaseGuidance, ConditionGuidance, GuidanceEntry, SelfCare, SourceLink
from dermis.shared.case import Outcome, OutcomeKind, Urgency

_ORDER = list(Urgency)


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
            condition=condition, name=name, is_general=entry is self.general, guidance=self._entry(entry)
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
        demo = outcome.model is not None and outcome.model.purpose == "demo"
        if outcome.kind is not OutcomeKind.DIFFERENTIAL or demo or outcome.red_flags or any(e.growth for e in entries):
            return []
        ids = {entry.self_care for entry in entries}
        return [care for care in self.of_everyone() if care.id in ids]

    def of_outcome(self, outcome: Outcome) -> CaseGuidance:
        """Return what a person may do now.

        Where the model abstained or saw no image, red flags and general guidance only. Of an answer over groups, texts
        on the conditions that it names alone; the urgency is still that of the whole prediction set.
        """
        relied = outcome.kind is OutcomeKind.DIFFERENTIAL
        inside = [ranked for ranked in outcome.differential if ranked.in_prediction_set and relied]
        conditions = [self.of_condition(ranked.condition, ranked.name) for ranked in inside]
        answer = outcome.grouped_answer
        alone = {entry.id for entry in answer.entries if entry.level == "CONDITION"} if answer else None
        steps = [(flag.urgency or Urgency.TODAY, flag.text) for flag in outcome.red_flags]
        steps += [(each.guidance.urgency, each.guidance.next_step) for each in conditions]
        self_care = self.self_care_of(outcome)
        urgency, next_step = most_urgent(steps or [(self.general.urgency, self.general.next_step)])
        return CaseGuidance(
            urgency=urgency,
            next_step=next_step,
            conditions=[each for each in conditions if alone is None or each.condition in alone],
            general=self.of_general(),
            skin_care=self.skin_care if self_care else [],
            self_care=self_care,
            clinical_review=self.clinical_review,
        )

    def _entry(self, entry: Entry) -> GuidanceEntry:
        return GuidanceEntry(**entry.model_dump(exclude={"names", "growth", "links"}), links=self._links(entry.sources))

    def _care(self, care: Care) -> SelfCare:
        return SelfCare(**care.model_dump(exclude={"sources", "links"}), links=self._links(care.sources))

    def _links(self, sources: Iterable[str]) -> list[SourceLink]:
        return [SourceLink(name=name, url=self.addresses[name]) for name in sources]


def most_urgent(steps: Iterable[tuple[Urgency, str]]) -> tuple[Urgency, str]:
    """Return the most urgent step; of equals the first."""
    return min(steps, key=lambda step: _ORDER.index(step[0]))


@cache
def guidance() -> Guidance:
    """Return the guidance that ships with the gateway."""
    return Guidance.model_validate_json(resources.files("dermis.gateway").joinpath("guidance.json").read_bytes())
