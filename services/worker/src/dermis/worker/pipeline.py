"""The use-cases of a worker, bound to its ports."""

from collections.abc import Sequence
from dataclasses import dataclass

from dermis.shared.case import AssessedImage, CaseState, OpenCase, Outcome
from dermis.shared.jobs import AssessImageJob, AssessJob
from dermis.shared.vocabulary import SelfReport
from dermis.worker.assess import assess
from dermis.worker.assess_image import assess_image
from dermis.worker.assess_row import assess_row
from dermis.worker.facts import marker
from dermis.worker.fail import fail
from dermis.worker.ports import Exceeded, Ports


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline(Ports):
    """Each method is the use-case of its name over these ports."""

    def assess(self, job: AssessJob) -> CaseState:
        return assess(self, job)

    def assess_row(
        self, name: str, originals: Sequence[bytes], report: SelfReport, *, exceeded: Exceeded = lambda: None
    ) -> tuple[Outcome, tuple[AssessedImage, ...]]:
        return assess_row(self, name, originals, report, exceeded=exceeded)

    def assess_image(self, job: AssessImageJob) -> None:
        assess_image(self, job)

    def fail(self, job: AssessJob, *, reason: str, detail: str) -> CaseState:
        return fail(self, job, reason=reason, detail=detail)

    def marker(self, job: AssessJob) -> OpenCase | None:
        return marker(self, job)
