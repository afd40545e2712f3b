"""The use-cases of a worker, bound to its ports."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from dermis.shared.case import AssessedImage, CaseState, OpenCase, Outcome
from dermis.shared.jobs import AssessImageJob, AssessJob
from dermis.shared.vocabulary import SelfReport
from dermis.worker.assess import assess
from dermis.worker.assess_image import assess_image
from dermis.worker.assess_row import assess_row
from dermis.worker.facts import marker, open_seconds
from dermis.worker.fail import fail
from dermis.worker.ports import AtRisk, Exceeded, Ports


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline(Ports):
    """Each method is the use-case of its name over these ports."""

    def assess(self, job: AssessJob, *, redelivered: bool = False) -> CaseState:
        return assess(self, job, redelivered=redelivered)

    def assess_row(
        self,
        name: str,
        originals: Sequence[bytes],
        report: SelfReport,
        *,
        exceeded: Exceeded = lambda: None,
        at_risk: AtRisk = nullcontext,
    ) -> tuple[Outcome, tuple[AssessedImage, ...]]:
        return assess_row(self, name, originals, report, exceeded=exceeded, at_risk=at_risk)

    def assess_image(self, job: AssessImageJob) -> None:
        assess_image(self, job)

    def fail(self, job: AssessJob, *, reason: str, detail: str) -> CaseState:
        return fail(self, job, reason=reason, detail=detail)

    def marker(self, job: AssessJob) -> OpenCase | None:
        return marker(self, job)

    def open_seconds(self, job: AssessJob) -> float:
        return open_seconds(self, job)
