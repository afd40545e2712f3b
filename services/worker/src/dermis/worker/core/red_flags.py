"""Warnings from the answers alone: fixed rules, each with its source, shown whatever the model says.

They name no condition and no treatment, only when to have it looked at. An answer that was not given raises nothing.
The page evaluates the same table at the tap: `scripts/generate_red_flags.py` writes it for the gateway.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from dermis.shared.case import RedFlag, Urgency
from dermis.shared.vocabulary import (
    BodyPart,
    ConditionSymptom,
    OtherSymptom,
    RelatedCategory,
    SelfReport,
    Texture,
    WarningSign,
)

Need = Mapping[str, frozenset[StrEnum] | frozenset[bool]]
"""Field of a self-report -> answers; met by any of them in any of its fields."""

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
_NHS_ANAPHYLAXIS = "NHS, Anaphylaxis: call 999 if (nhs.uk/conditions/anaphylaxis)"
_NHS_CHILDREN = "NHS, Rashes in babies and children: when to get help (nhs.uk/symptoms/rashes-babies-and-children)"
_FEVER: Need = {
    "other_symptoms": frozenset({OtherSymptom.FEVER, OtherSymptom.CHILLS}),
    "warning_signs": frozenset({WarningSign.FEVER_WITH_RASH}),
}
_RASH: Need = {"related_category": frozenset({RelatedCategory.RASH})}
_RASH_OF_ANY_FIELD: Need = {**_RASH, "warning_signs": frozenset({WarningSign.FEVER_WITH_RASH})}
_GROWTH: Need = {"related_category": frozenset({RelatedCategory.GROWTH_OR_MOLE})}
_BLISTERS: Need = {"textures": frozenset({Texture.FLUID_FILLED})}
_SORE: Need = {"condition_symptoms": frozenset({ConditionSymptom.PAIN, ConditionSymptom.BURNING})}
_SPREADING: Need = {
    "condition_symptoms": frozenset({ConditionSymptom.INCREASING_SIZE}),
    "warning_signs": frozenset({WarningSign.FAST_SPREADING}),
}
_CHANGING: Need = {
    "condition_symptoms": frozenset(
        {ConditionSymptom.BLEEDING, ConditionSymptom.INCREASING_SIZE, ConditionSymptom.DARKENING}
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Raised if each of the `needs` is met."""

    flag: str
    urgency: Urgency
    needs: tuple[Need, ...]
    text: str
    source: str
    covered_by: str | None = None
    """A flag that says all that this one says: where it is raised, this one is not."""


RULES = (
    Rule(
        flag="SHORTNESS_OF_BREATH",
        urgency=Urgency.EMERGENCY,
        needs=(
            {
                "other_symptoms": frozenset({OtherSymptom.SHORTNESS_OF_BREATH}),
                "warning_signs": frozenset({WarningSign.SHORTNESS_OF_BREATH}),
            },
        ),
        text="Emergency: you report shortness of breath. If breathing or swallowing is hard, or lips, eyes or face "
        "swell, call the emergency number now.",
        source=_AAD_RASH,
    ),
    Rule(
        flag="SWOLLEN_FACE_OR_TONGUE",
        urgency=Urgency.EMERGENCY,
        needs=({"warning_signs": frozenset({WarningSign.SWOLLEN_FACE_OR_TONGUE})},),
        text="Emergency: you report a swollen face or tongue. Call the emergency number now, before it gets hard to "
        "breathe.",
        source=_NHS_ANAPHYLAXIS,
    ),
    Rule(
        flag="VERY_ILL",
        urgency=Urgency.EMERGENCY,
        needs=({"warning_signs": frozenset({WarningSign.VERY_ILL})},),
        text="Emergency: you feel very ill with a skin problem. Call the emergency number now, above all if you are "
        "confused, very weak or cold, or spots don't fade when pressed.",
        source=_NHS_SEPSIS,
    ),
    Rule(
        flag="FEVER_WITH_PAINFUL_BLISTERS",
        urgency=Urgency.TODAY,
        needs=(_FEVER, _SORE, _BLISTERS),
        text="Urgent: you report fever or chills with painful, fluid-filled skin. Go to emergency care today, at once "
        "if the skin peels or it spreads.",
        source=_AAD_RASH,
    ),
    Rule(
        flag="FEVER_WITH_SPREADING_RASH",
        urgency=Urgency.TODAY,
        needs=(_FEVER, _RASH_OF_ANY_FIELD, _SPREADING),
        text="Urgent: you report fever or chills with a rash that spreads. Go to emergency care today, at once if you "
        "are confused, very weak, have a stiff neck, or spots don't fade when pressed. On darker skin look at "
        "palms, soles and inside the eyelids.",
        source=_NHS_SEPSIS,
    ),
    Rule(
        flag="MOUTH_SORES",
        urgency=Urgency.TODAY,
        needs=(
            {
                "other_symptoms": frozenset({OtherSymptom.MOUTH_SORES}),
                "warning_signs": frozenset({WarningSign.MOUTH_SORES}),
            },
        ),
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
        flag="FAST_SPREADING",
        urgency=Urgency.TODAY,
        needs=({"warning_signs": frozenset({WarningSign.FAST_SPREADING})},),
        text="Urgent: you report that it spreads fast. See a doctor today; go to emergency care if you feel very ill, "
        "have a fever, or it does not fade when pressed.",
        source=_AAD_RASH,
        covered_by="FEVER_WITH_SPREADING_RASH",
    ),
    Rule(
        flag="PAINFUL_BLISTERS_ON_THE_HEAD",
        urgency=Urgency.TODAY,
        needs=(_BLISTERS, _SORE, {"body_parts": frozenset({BodyPart.HEAD_OR_NECK})}),
        text="Urgent: you report painful, fluid-filled skin on head or neck. See a doctor today, at once if it is "
        "near an eye.",
        source=_AAD_RASH,
    ),
    Rule(
        flag="CHANGING_GROWTH",
        urgency=Urgency.SOON,
        needs=(_GROWTH, _CHANGING),
        text="Soon: you report a mole or growth that bleeds, grows or darkens. Have a doctor look at it in the next "
        "days, whatever is shown here.",
        source=_NHS_MOLE,
    ),
    Rule(
        flag="GROWTH",
        urgency=Urgency.SOON,
        needs=(_GROWTH,),
        text="Soon: have a doctor look at a mole or growth in the next days, whatever is shown here.",
        source=_NHS_MOLE,
        covered_by="CHANGING_GROWTH",
    ),
    Rule(
        flag="CHANGING_SPOT_OF_PALM_SOLE_OR_NAIL",
        urgency=Urgency.SOON,
        needs=(
            {
                "body_parts": frozenset({BodyPart.PALM, BodyPart.FOOT_SOLE}),
                "related_category": frozenset({RelatedCategory.NAIL_PROBLEM}),
            },
            {"condition_symptoms": frozenset({ConditionSymptom.BLEEDING, ConditionSymptom.DARKENING})},
        ),
        text="Soon: you report palm, sole or nail that bleeds or darkens. Have a doctor look at it in the next days: "
        "on darker skin too, this is a place where a dark spot should not wait.",
        source=_AAD_COLOR,
    ),
    Rule(
        flag="RASH_WITH_JOINT_PAIN",
        urgency=Urgency.SOON,
        needs=(_RASH, {"other_symptoms": frozenset({OtherSymptom.JOINT_PAIN})}),
        text="Soon: you report a rash with joint pain. See a doctor, since both may belong together.",
        source=_NHS_LUPUS,
    ),
    Rule(
        flag="UNDER_18",
        urgency=Urgency.SOON,
        needs=({"under_18": frozenset({True})},),
        text="Soon: have a doctor look at the skin of someone under 18 in the next days. dermis has learned from "
        "adults alone and gives no answer for you.",
        source=_NHS_CHILDREN,
    ),
)


def red_flags(report: SelfReport) -> tuple[RedFlag, ...]:
    """Return the red flags that the answers raise, most urgent first."""
    raised = {rule.flag: rule for rule in RULES if all(_is_met(need, report) for need in rule.needs)}
    return tuple(_flag(rule) for rule in raised.values() if rule.covered_by not in raised)


def _is_met(need: Need, report: SelfReport) -> bool:
    for name, answers in need.items():
        answer = getattr(report, name)
        if answers & frozenset(answer if isinstance(answer, tuple) else (answer,)):
            return True
    return False


def with_growth(flags: tuple[RedFlag, ...]) -> tuple[RedFlag, ...]:
    """Add the flag of a growth where none is raised: a model of growths answered, and it can't rule out cancer."""
    rule = next(rule for rule in RULES if rule.flag == "GROWTH")
    if any(flag.flag in (rule.flag, rule.covered_by) for flag in flags):
        return flags
    return tuple(sorted((*flags, _flag(rule)), key=lambda flag: list(Urgency).index(flag.urgency or Urgency.TODAY)))


def _flag(rule: Rule) -> RedFlag:
    return RedFlag(flag=rule.flag, text=rule.text, urgency=rule.urgency)
