"""Warnings from the answers alone: fixed rules, each with its source, shown whatever the model says.

They name no condition and no treatment, only when to have it looked at. An answer that was not given raises nothing.
"""

from dataclasses import dataclass
from enum import StrEnum

from dermis.shared.case import RedFlag, Urgency
from dermis.shared.vocabulary import BodyPart, ConditionSymptom, OtherSymptom, RelatedCategory, SelfReport, Texture

_AAD_RASH = (
    "American Academy of Dermatology, Rash 101 in adults: when to seek medical treatment "
    "(aad.org/public/everyday-care/itchy-skin/rash)"
)
_NHS_MOLE = (
    "NHS Lothian Dermatology, Skin cancer: when should I contact my doctor about a mole? "
    "(services.nhslothian.scot/dermatology)"
)
_NHS_LUPUS = "NHS, Lupus: check if you have it (nhs.uk/conditions/lupus)"
_NHS_SEPSIS = "NHS, Sepsis: symptoms, the rash and how it looks on brown and black skin (nhs.uk/conditions/sepsis)"
_AAD_COLOR = "American Academy of Dermatology, Skin cancer in people of color: palms, soles and nails (aad.org)"
_FEVER = frozenset({OtherSymptom.FEVER, OtherSymptom.CHILLS})
_SORE = frozenset({ConditionSymptom.PAIN, ConditionSymptom.BURNING})
_CHANGING = frozenset({ConditionSymptom.BLEEDING, ConditionSymptom.INCREASING_SIZE, ConditionSymptom.DARKENING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Raised if of each of the `needs` at least one answer was given."""

    flag: str
    urgency: Urgency
    needs: tuple[frozenset[StrEnum], ...]
    text: str
    source: str
    covered_by: str | None = None
    """A flag that says all that this one says: where it is raised, this one is not."""


RULES = (
    Rule(
        flag="SHORTNESS_OF_BREATH",
        urgency=Urgency.EMERGENCY,
        needs=(frozenset({OtherSymptom.SHORTNESS_OF_BREATH}),),
        text="Emergency: you report shortness of breath. If breathing or swallowing is hard, or lips, eyes or face "
        "swell, call the emergency number now.",
        source=_AAD_RASH,
    ),
    Rule(
        flag="FEVER_WITH_PAINFUL_BLISTERS",
        urgency=Urgency.TODAY,
        needs=(_FEVER, _SORE, frozenset({Texture.FLUID_FILLED})),
        text="Urgent: you report fever or chills with painful, fluid-filled skin. Go to emergency care today, at once "
        "if the skin peels or it spreads.",
        source=_AAD_RASH,
    ),
    Rule(
        flag="FEVER_WITH_SPREADING_RASH",
        urgency=Urgency.TODAY,
        needs=(_FEVER, frozenset({RelatedCategory.RASH}), frozenset({ConditionSymptom.INCREASING_SIZE})),
        text="Urgent: you report fever or chills with a rash that spreads. Go to emergency care today, at once if you "
        "are confused, very weak, have a stiff neck, or spots don't fade when pressed. On darker skin look at "
        "palms, soles and inside the eyelids.",
        source=_NHS_SEPSIS,
    ),
    Rule(
        flag="MOUTH_SORES",
        urgency=Urgency.TODAY,
        needs=(frozenset({OtherSymptom.MOUTH_SORES}),),
        text="Urgent: you report mouth sores with a skin problem. See a doctor today; go to emergency care if the "
        "skin blisters or peels, or eyes or genitals are sore too.",
        source=_AAD_RASH,
    ),
    Rule(
        flag="FEVER",
        urgency=Urgency.TODAY,
        needs=(_FEVER,),
        text="Urgent: you report fever or chills with a skin problem. Ask a doctor today; go to emergency care if you "
        "feel very ill, the rash spreads fast or does not fade when pressed.",
        source=_AAD_RASH,
    ),
    Rule(
        flag="PAINFUL_BLISTERS_ON_THE_HEAD",
        urgency=Urgency.TODAY,
        needs=(frozenset({Texture.FLUID_FILLED}), _SORE, frozenset({BodyPart.HEAD_OR_NECK})),
        text="Urgent: you report painful, fluid-filled skin on head or neck. See a doctor today, at once if it is "
        "near an eye.",
        source=_AAD_RASH,
    ),
    Rule(
        flag="CHANGING_GROWTH",
        urgency=Urgency.SOON,
        needs=(frozenset({RelatedCategory.GROWTH_OR_MOLE}), _CHANGING),
        text="Soon: you report a mole or growth that bleeds, grows or darkens. Have a doctor look at it in the next "
        "days, whatever is shown here.",
        source=_NHS_MOLE,
    ),
    Rule(
        flag="GROWTH",
        urgency=Urgency.SOON,
        needs=(frozenset({RelatedCategory.GROWTH_OR_MOLE}),),
        text="Soon: have a doctor look at a mole or growth in the next days, whatever is shown here.",
        source=_NHS_MOLE,
        covered_by="CHANGING_GROWTH",
    ),
    Rule(
        flag="CHANGING_SPOT_OF_PALM_SOLE_OR_NAIL",
        urgency=Urgency.SOON,
        needs=(
            frozenset({BodyPart.PALM, BodyPart.FOOT_SOLE, RelatedCategory.NAIL_PROBLEM}),
            frozenset({ConditionSymptom.BLEEDING, ConditionSymptom.DARKENING}),
        ),
        text="Soon: you report palm, sole or nail that bleeds or darkens. Have a doctor look at it in the next days: "
        "on darker skin too, this is a place where a dark spot should not wait.",
        source=_AAD_COLOR,
    ),
    Rule(
        flag="RASH_WITH_JOINT_PAIN",
        urgency=Urgency.SOON,
        needs=(frozenset({RelatedCategory.RASH}), frozenset({OtherSymptom.JOINT_PAIN})),
        text="Soon: you report a rash with joint pain. See a doctor, since both may belong together.",
        source=_NHS_LUPUS,
    ),
)


def red_flags(report: SelfReport) -> tuple[RedFlag, ...]:
    """Return the red flags that the answers raise, most urgent first."""
    one = {answer for answer in (report.related_category,) if answer}
    several = (report.textures, report.body_parts, report.condition_symptoms, report.other_symptoms)
    answers_given: set[StrEnum] = one.union(*(answers or () for answers in several))
    raised = {rule.flag: rule for rule in RULES if all(need & answers_given for need in rule.needs)}
    return tuple(_flag(rule) for rule in raised.values() if rule.covered_by not in raised)


def with_growth(flags: tuple[RedFlag, ...]) -> tuple[RedFlag, ...]:
    """Add the flag of a growth where none is raised: a model of growths answered, and it can't rule out cancer."""
    rule = next(rule for rule in RULES if rule.flag == "GROWTH")
    if any(flag.flag in (rule.flag, rule.covered_by) for flag in flags):
        return flags
    return tuple(sorted((*flags, _flag(rule)), key=lambda flag: list(Urgency).index(flag.urgency or Urgency.TODAY)))


def _flag(rule: Rule) -> RedFlag:
    return RedFlag(flag=rule.flag, text=rule.text, urgency=rule.urgency)
