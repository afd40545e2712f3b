"""Converts facts to the bodies of the HTTP API."""

from collections.abc import Sequence
from typing import cast

from dermis.gateway.core.listing import next_cursor
from dermis.gateway.guidance import guidance
from dermis.gateway.http import Case, CaseGuidance, CaseImage, CaseList, CaseSummary, Failure
from dermis.shared.case import NOT_A_MEDICAL_DEVICE, CaseState, Failed, Received, ReceivedImage, Status
from dermis.shared.ids import made_at
from dermis.shared.listing import Listed
from dermis.shared.report import QualityReport
from dermis.shared.vocabulary import SelfReport


def case_of(state: CaseState, *, read_only: bool = False) -> Case:
    """Return what is shown of a case that was received and not erased, to its owner or to who may only see it."""
    received = cast(Received, state.received)
    quality = {image.n: image.quality for image in state.assessed.images} if state.assessed else {}
    return Case(
        id=received.case_id,
        status=state.status or Status.RECEIVED,
        received_at=received.received_at,
        assessed_at=state.assessed.assessed_at if state.assessed else None,
        images=[_image(image, quality.get(image.n)) for image in received.images],
        self_report=received.self_report,
        outcome=state.outcome,
        guidance=_guidance(state, received.self_report),
        failure=_failure(state.failed) if state.failed and not state.outcome else None,
        notice=NOT_A_MEDICAL_DEVICE,
        access="READ" if read_only else "OWNER",
        client_reference=None if read_only else received.client_reference,
        livemode=received.livemode,
    )


def _guidance(state: CaseState, report: SelfReport) -> CaseGuidance | None:
    if state.outcome:
        return guidance().of_outcome(state.outcome, report)
    return guidance().of_failure(state.failed, report) if state.failed else None


def list_of(listed: Sequence[Listed], limit: int, *, livemode: bool) -> CaseList:
    """Return a page of `limit` cases out of `listed`, which holds one more if there is a next page.

    The cases of an owner are all live or all test cases.
    """
    return CaseList(
        cases=[
            CaseSummary(id=each.case_id, status=each.status, received_at=made_at(each.case_id), livemode=livemode)
            for each in listed[:limit]
        ],
        next_cursor=next_cursor([each.case_id for each in listed], limit),
    )


def _image(image: ReceivedImage, quality: QualityReport | None) -> CaseImage:
    turned = image.orientation >= 5
    return CaseImage(
        n=image.n,
        content_type=image.content_type,
        width=image.height if turned else image.width,
        height=image.width if turned else image.height,
        shot_type=image.shot_type,
        quality=quality,
    )


def _failure(failed: Failed) -> Failure:
    return Failure(attempt=failed.attempt, failed_at=failed.failed_at, reason=failed.reason, detail=failed.detail)
