"""The photos of a case, each with what was said of its quality."""

import base64
import hashlib

from dermis.gateway.core.fhir.datatypes import Annotation, Attachment, CodeableConcept, Coding
from dermis.gateway.core.fhir.facts import ReportFacts
from dermis.gateway.core.fhir.observations import observation
from dermis.gateway.core.fhir.people import subject_of
from dermis.gateway.core.fhir.resources import Media, Observation
from dermis.gateway.core.fhir.terminology import REASONS, Concept, concept, standard, words
from dermis.shared.case import AssessedImage, ReceivedImage


def photo_name(n: int) -> str:
    return f"photo/{n}"


def photos_of(facts: ReportFacts) -> list[Media]:
    """Return each photo as it was prepared, attached; only its title where there is no prepared image."""
    return [_photo(facts, image) for image in facts.received.images]


def qualities_of(facts: ReportFacts) -> list[Observation]:
    return [_quality(facts, image) for image in facts.assessed.images] if facts.assessed else []


def _photo(facts: ReportFacts, image: ReceivedImage) -> Media:
    shot = image.shot_type
    return Media(
        id=facts.id(photo_name(image.n)),
        meta=facts.meta,
        type=standard("media-type", "image", "Image"),
        view=CodeableConcept(text=words(shot)) if shot else None,
        subject=subject_of(facts),
        issued=facts.received.received_at,
        content=_attachment(image.n, facts.photos.get(image.n)),
    )


def _attachment(n: int, data: bytes | None) -> Attachment:
    if not data:
        return Attachment(title=f"Photo {n}: it could not be opened, or is no longer kept")
    digest = hashlib.sha1(data, usedforsecurity=False).digest()  # FHIR's own choice
    return Attachment(
        content_type="image/jpeg",
        data=base64.b64encode(data).decode(),
        size=len(data),
        hash=base64.b64encode(digest).decode(),
        title=f"Photo {n}",
    )


def _quality(facts: ReportFacts, image: AssessedImage) -> Observation:
    quality = image.quality
    codes = [Coding(system=REASONS, code=code, display=words(code)) for code in (quality.verdict, *quality.reasons)]
    return observation(
        facts,
        f"quality/{image.n}",
        concept(Concept.PHOTO_QUALITY, "Quality of the photo"),
        focus=(facts.to(photo_name(image.n)),),
        value_codeable_concept=CodeableConcept(
            coding=tuple(codes), text=", ".join(map(words, [each.code for each in codes]))
        ),
        note=(*facts.notes, *(Annotation(text=text) for text in quality.advice)),
        device=facts.to("software"),
    )
