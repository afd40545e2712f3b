"""Cases that clinicians read, put into a store as the gateway and the worker put them."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from dermis.shared.case import Consent, Received, ReceivedImage, fact_key, image_key
from dermis.shared.ids import new_id
from dermis.shared.ports import BlobStore
from dermis.shared.reviews import (
    Adjudication,
    Review,
    ReviewedCondition,
    adjudication_key,
    reader_id,
    review_key,
)
from dermis.shared.vocabulary import Gradable, SelfReport, ShotType

AT = datetime(2026, 11, 30, 12, tzinfo=UTC)
OWNER = "owner-of-cases"
READERS = tuple(reader_id("https://login.example", name) for name in ("ada", "ben", "cho", "dee"))
Conditions = Sequence[tuple[str, int]]


def photo(shade: int) -> npt.NDArray[np.uint8]:
    return np.full((24, 32, 3), shade, np.uint8)


def put_case(
    store: BlobStore,
    *,
    images: Sequence[npt.NDArray[np.uint8]] = (),
    report: SelfReport | None = None,
    owner: str = OWNER,
    **fields: Any,
) -> str:
    """Put `received.json` and the images, RGB, of a case whose owner agreed to everything; return its id."""
    case_id, received = new_id("case"), []
    for n, pixels in enumerate(images, start=1):
        data = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes()
        store.put_once(image_key(owner, case_id, n, "original"), data)
        size = {"height": pixels.shape[0], "width": pixels.shape[1], "bytes": len(data)}
        digest = hashlib.sha256(data).hexdigest()
        received.append(
            ReceivedImage(n=n, content_type="image/png", sha256=digest, shot_type=ShotType.CLOSE_UP, **size)
        )
    fact = Received(
        **{
            "case_id": case_id,
            "owner": owner,
            "received_at": AT,
            "images": tuple(received),
            "self_report": report or SelfReport(),
            "consent": Consent.KEEP_FOR_IMPROVEMENT,
            "second_read": True,
        }
        | fields
    )
    store.put_once(fact_key(owner, case_id, "received"), fact.model_dump_json().encode())
    return case_id


def reading_of(case_id: str, reader: str, conditions: Conditions, **fields: Any) -> dict[str, Any]:
    gradable = Gradable.DEFAULT_YES_IMAGE_QUALITY_SUFFICIENT if conditions else Gradable.NO_IMAGE_QUALITY_INSUFFICIENT
    named = tuple(ReviewedCondition(label=label, confidence=confidence) for label, confidence in conditions)
    return {
        "case_id": case_id,
        "reader": reader,
        "read_at": AT + timedelta(hours=1),
        "gradable": gradable,
        "conditions": named,
    } | fields


def put_review(
    store: BlobStore, case_id: str, reader: str, conditions: Conditions, *, owner: str = OWNER, **fields: Any
) -> None:
    review = Review(**reading_of(case_id, reader, conditions, **fields))
    store.put_once(review_key(owner, case_id, reader), review.model_dump_json().encode())


def put_adjudication(
    store: BlobStore, case_id: str, reader: str, conditions: Conditions, *, owner: str = OWNER, **fields: Any
) -> None:
    about = {"readers": READERS[:2]} | fields
    adjudication = Adjudication(**reading_of(case_id, reader, conditions, **about))
    store.put_once(adjudication_key(owner, case_id), adjudication.model_dump_json().encode())
