"""A case that clinicians read as a row of SCIN's tables; nothing in it names the case, its owner or a reader."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from dermis.data.reviews.cases import ReviewedCase, estimated_tone
from dermis.data.scin.columns import FITZPATRICK, SLOTS, TWO_OR_MORE, flag_column
from dermis.data.scin.reference_differential import GraderList, weigh
from dermis.data.scin.rows import Row, answer_cells, image_cells
from dermis.shared.case import ReceivedImage
from dermis.shared.reviews import CaseReading
from dermis.shared.vocabulary import MonkSkinTone, SelfReport

SOURCE_CELL = "DERMIS"
RELEASE = "1.0.0"
"""Of SCIN, whose columns these are."""


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """Numbers that stand for cases, images and persons: HMAC-SHA-256 (RFC 2104) under a key that stays in the store."""

    key: bytes

    def case(self, case_id: str) -> str:
        return self._number(f"case {case_id}")

    def image(self, image: ReceivedImage) -> str:
        """Return one number for the same photo, whatever case it came with: cases that share it stay together."""
        return self._number("image " + image.model_dump_json(include={"sha256", "orientation", "color"}))

    def person(self, owner: str, reference: str) -> str:
        return self._number(f"person {owner} {reference}")

    def order(self, reading: CaseReading) -> bytes:
        """Return by what the readings of a case are sorted: no slot of a table is one reader's."""
        return self._digest(f"reader {reading.case_id} {reading.reader}")

    def _number(self, text: str) -> str:
        """Return a signed 64-bit number other than 0, as SCIN's ids are."""
        return str(int.from_bytes(self._digest(text)[:8], signed=True) or 1)

    def _digest(self, text: str) -> bytes:
        return hmac.digest(self.key, text.encode(), hashlib.sha256)


def readings_that_count(case: ReviewedCase, pseudonyms: Pseudonyms) -> tuple[CaseReading, ...]:
    """Return the adjudication alone where there is one, else every review."""
    if case.adjudication:
        return (case.adjudication,)
    return tuple(sorted(case.reviews, key=pseudonyms.order))


def row(case: ReviewedCase, pseudonyms: Pseudonyms, images: Sequence[ReceivedImage]) -> Row:
    """Return the cells of both tables; `images`: those of the case that can be shown.

    The differential is weighed over all readings that count. SCIN's tables have columns for three graders: of more,
    the gradability and skin type of the first three stand there. The Monk tone is the readers' lower median, in the
    column of the pool that decides in SCIN.
    """
    received = case.received
    cells = {"case_id": pseudonyms.case(received.case_id), "source": SOURCE_CELL, "release": RELEASE}
    cells |= {"year": str(received.received_at.year)} | _answers(received.self_report)
    cells |= image_cells([(pseudonyms.image(image), image.shot_type) for image in images])
    readings = readings_that_count(case, pseudonyms)
    return cells | _condition_cells(readings) | _tone_cells(_estimates(case, readings))


def person_of(case: ReviewedCase, pseudonyms: Pseudonyms) -> str | None:
    """Return the number of a case's person; None where its client gave no reference, so that nobody can tell."""
    reference = case.received.client_reference
    return None if reference is None else pseudonyms.person(case.received.owner, reference)


def _answers(report: SelfReport) -> dict[str, str]:
    """Return the answers; several races become one value, as SCIN's publisher made them."""
    races = report.race_ethnicity or ()
    if len(races) < 2:
        return answer_cells(report)
    several = {flag_column("race_ethnicity", TWO_OR_MORE): "YES", "combined_race": TWO_OR_MORE}
    return answer_cells(report.model_copy(update={"race_ethnicity": None})) | several


def _condition_cells(readings: Sequence[CaseReading]) -> dict[str, str]:
    lists: list[GraderList] = [
        tuple((each.label.strip(), each.confidence) for each in reading.conditions) for reading in readings
    ]
    written = [entry for graded in lists for entry in graded]
    gradable = {
        f"dermatologist_gradable_for_skin_condition_{slot}": str(reading.gradable)
        for slot, reading in zip(SLOTS, readings, strict=False)
    }
    return gradable | {
        "dermatologist_skin_condition_on_label_name": repr([name for name, _ in written]),
        "dermatologist_skin_condition_confidence": repr([confidence for _, confidence in written]),
        "weighted_skin_condition_label": repr({name: round(weight, 2) for name, weight in weigh(lists).items()}),
    }


def _estimates(case: ReviewedCase, readings: Sequence[CaseReading]) -> Sequence[CaseReading]:
    """Return whose estimates of type and tone count: an adjudicator who gave none leaves the readers' standing."""
    if any(reading.fitzpatrick_skin_type or reading.monk_skin_tone for reading in readings):
        return readings
    return case.reviews


def _tone_cells(readings: Sequence[CaseReading]) -> dict[str, str]:
    cells = {}
    for slot, reading in zip(SLOTS, readings, strict=False):
        if (skin_type := reading.fitzpatrick_skin_type) is not None:
            graded = str(skin_type) in FITZPATRICK
            cells[f"dermatologist_gradable_for_fitzpatrick_skin_type_{slot}"] = "YES" if graded else "NO"
            if graded:
                cells[f"dermatologist_fitzpatrick_skin_type_label_{slot}"] = str(skin_type)
    if (tone := estimated_tone(readings)) is not None:
        number = tuple(MonkSkinTone).index(tone) + 1
        cells |= {"gradable_for_monk_skin_tone_us": "True", "monk_skin_tone_label_us": str(number)}
    return cells
