"""Gives notices that a person should read before a result, by fixed rules on the answers alone.

No image is looked at: whether it may hold a face or an intimate area follows from the body parts in the answers.
"""

from dermis.shared.case import Notice
from dermis.shared.vocabulary import AgeGroup, BodyPart, SelfReport

_INTIMATE = frozenset({BodyPart.GENITALIA_OR_GROIN, BodyPart.BUTTOCKS})
UNDER_18 = Notice(
    notice="UNDER_18",
    text="No adult age is given. If this is about someone under 18: the model has learned from adults alone, "
    "children's skin differs, and a doctor should look at it whatever is shown here. Never send photos of a "
    "child's intimate areas.",
)
INTIMATE_AREA = Notice(
    notice="INTIMATE_AREA",
    text="You report an intimate area. Send photos of your own body only, and only as an adult. You can erase this "
    "case at any time, with its photos. A doctor can look at it in confidence; so can a clinic for sexual health.",
)
FACE = Notice(
    notice="FACE",
    text="You report head or neck, so a photo may show a face, by which a person can be known. Cut the photo to the "
    "skin concern before sending it where you can. You can erase this case at any time, with its photos.",
)


def notices(report: SelfReport) -> tuple[Notice, ...]:
    """Return the notices that the answers call for; without an adult's age, that the person may be under 18."""
    places = set(report.body_parts or ())
    adult = report.age_group not in (None, AgeGroup.AGE_UNKNOWN)
    called_for = (
        (UNDER_18, not adult),
        (INTIMATE_AREA, bool(places & _INTIMATE)),
        (FACE, BodyPart.HEAD_OR_NECK in places),
    )
    return tuple(notice for notice, due in called_for if due)
