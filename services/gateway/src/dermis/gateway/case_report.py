"""Reads what a case's report is built from, and builds it."""

import hashlib
from dataclasses import dataclass

from dermis.gateway.core.fhir.document import document_of
from dermis.gateway.core.fhir.facts import NextStep, ReportFacts
from dermis.gateway.facts import erased_problem, get_fact
from dermis.gateway.problems import RefusedError
from dermis.gateway.schemas import case_of
from dermis.shared.case import CaseState, ModelRef, Received, fact_key, image_key
from dermis.shared.errors import Kind
from dermis.shared.manifest import MANIFEST_FILE, bundle_key
from dermis.shared.ports import BlobNotFound, BlobStore, has
from dermis.shared.reviews import Adjudication, Review, adjudication_key, reviews_prefix

RETRY_AFTER_SECONDS = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseReports:
    store: BlobStore

    def fhir(self, state: CaseState, received: Received, *, shows_reference: bool) -> bytes:
        """Return a case's report as a FHIR R4 document in JSON.

        CONFLICT as long as the case is open, NOT_FOUND if it was erased meanwhile.
        """
        report = document_of(self._facts(state, received, shows_reference=shows_reference))
        if has(self.store, fact_key(received.owner, received.case_id, "erased")):
            raise erased_problem(received.case_id)
        return report.model_dump_json(by_alias=True).encode()

    def _facts(self, state: CaseState, received: Received, *, shows_reference: bool) -> ReportFacts:
        guidance = case_of(state).guidance
        if guidance is None:
            detail = f"case {received.case_id} has no outcome yet; ask for its report once it is FINISHED or FAILED"
            raise RefusedError(Kind.CONFLICT, "NOT_FINISHED", detail, {"Retry-After": str(RETRY_AFTER_SECONDS)})
        because = tuple(reason.text for reason in guidance.because)
        owner, case_id = received.owner, received.case_id
        return ReportFacts(
            received=received,
            assessed=state.assessed,
            outcome=state.outcome,
            failed=state.failed,
            reviews=self._reviews(owner, case_id),
            adjudication=get_fact(self.store, adjudication_key(owner, case_id), Adjudication),
            photos=self._photos(received),
            manifest_sha256=self._digest(state.outcome.model) if state.outcome and state.outcome.model else None,
            advice=NextStep(urgency=guidance.urgency, because=because, next_step=guidance.next_step),
            shows_reference=shows_reference,
        )

    def _reviews(self, owner: str, case_id: str) -> tuple[Review, ...]:
        keys = sorted(self.store.list(reviews_prefix(owner, case_id)))
        return tuple(filter(None, (get_fact(self.store, key, Review) for key in keys)))

    def _photos(self, received: Received) -> dict[int, bytes]:
        """Return the prepared images that there are: what can't be decoded has none."""
        photos = {
            image.n: self._get(image_key(received.owner, received.case_id, image.n, "prepared"))
            for image in received.images
        }
        return {n: data for n, data in photos.items() if data}

    def _digest(self, model: ModelRef) -> str | None:
        """Return the SHA-256 of a model's manifest, None if the store has it no more."""
        manifest = self._get(f"{bundle_key(model.name, model.version)}/{MANIFEST_FILE}")
        return hashlib.sha256(manifest).hexdigest() if manifest else None

    def _get(self, key: str) -> bytes | None:
        try:
            return self.store.get(key)
        except BlobNotFound:
            return None
