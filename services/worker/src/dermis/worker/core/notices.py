"""What a person should know before reading a result: fixed rules on the answers and on what the model knows.

Nothing here looks at an image: a skin type is never inferred, and whether a face or an intimate area is in it is told
from where the person says that it is.
"""

from dermis.shared.case import Notice
from dermis.shared.manifest import Manifest
from dermis.shared.vocabulary import AgeGroup, BodyPart, FitzpatrickSkinType, RelatedCategory, SelfReport
from dermis.worker.core.differential import unmeasured

_NO_ADULT_AGE = (None, AgeGroup.AGE_UNKNOWN)
_INTIMATE = frozenset({BodyPart.GENITALIA_OR_GROIN, BodyPart.BUTTOCKS})
_NO_GROWTHS = frozenset(
    {
        RelatedCategory.RASH,
        RelatedCategory.ACNE,
        RelatedCategory.NAIL_PROBLEM,
        RelatedCategory.HAIR_LOSS,
        RelatedCategory.OTHER_HAIR_PROBLEM,
    }
)
"""What nobody means by a growth; a change of colour may be one."""
UNDER_18 = Notice(
    notice="UNDER_18",
    text="You gave no adult age. If this is about someone under 18: the model has learned from adults alone, and "
    "children's skin differs. A doctor should look at it, whatever stands here. Never send photos of a child's "
    "intimate areas.",
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


NOT_A_GROWTH = Notice(
    notice="NOT_A_GROWTH",
    text="You report something other than a growth or mole. The model knows growths alone, so what it lists is most "
    "likely wrong for you.",
)
TESTED_ON_LIGHT_SKIN = Notice(
    notice="TESTED_ON_LIGHT_SKIN", text="Tested almost only on light skin; may be wrong on darker skin."
)
NOT_MEASURED_FOR_GROUP = Notice(
    notice="NOT_MEASURED_FOR_GROUP",
    text=(
        "The model was not measured on enough people with the skin type that you report. "
        "What is shown may be wrong for you."
    ),
)
CANNOT_RULE_OUT_SKIN_CANCER = Notice(
    notice="CANNOT_RULE_OUT_SKIN_CANCER",
    text=(
        "The model knows a few kinds of growths of the skin and nothing else. "
        "It can't rule out skin cancer, whatever comes first."
    ),
)


def notices_of_model(manifest: Manifest, report: SelfReport) -> tuple[Notice, ...]:
    """Return what is to be read before what a model says, for this person's own words on their skin type."""
    darkest_unmeasured = manifest.knowledge is not None and "FST_V_VI" in manifest.knowledge.not_measured
    no_type = report.fitzpatrick_skin_type in (None, FitzpatrickSkinType.NONE_IDENTIFIED)
    called_for = (
        (NOT_A_GROWTH, manifest.malignant is not None and report.related_category in _NO_GROWTHS),
        (CANNOT_RULE_OUT_SKIN_CANCER, manifest.malignant is not None),
        (TESTED_ON_LIGHT_SKIN, no_type and darkest_unmeasured),
        (NOT_MEASURED_FOR_GROUP, unmeasured(manifest, report.fitzpatrick_skin_type)),
    )
    return tuple(notice for notice, due in called_for if due)


def notices(report: SelfReport) -> tuple[Notice, ...]:
    """Return the notices that the answers call for; where no age is told, that the person may be under 18.

    Of someone who is, the red flag says so.
    """
    places = set(report.body_parts or ())
    age_told = report.under_18 is not None or report.age_group not in _NO_ADULT_AGE
    called_for = (
        (UNDER_18, not age_told),
        (INTIMATE_AREA, bool(places & _INTIMATE)),
        (FACE, BodyPart.HEAD_OR_NECK in places),
    )
    return tuple(notice for notice, due in called_for if due)
