"""Assesses images and answers that are no case of the store, as if they were."""

from collections.abc import Sequence

from dermis.shared.case import AssessedImage, Outcome
from dermis.shared.report import Verdict
from dermis.shared.vocabulary import SelfReport
from dermis.worker.answer import answer
from dermis.worker.core import phash
from dermis.worker.judge import Image, Original, judge
from dermis.worker.ports import AtRisk, Exceeded, Ports
from dermis.worker.stages import Stages


def assess_row(
    ports: Ports,
    name: str,
    originals: Sequence[bytes],
    report: SelfReport,
    *,
    exceeded: Exceeded,
    at_risk: AtRisk,
) -> tuple[Outcome, tuple[AssessedImage, ...]]:
    """Return the outcome that a case of these images and answers would get; nothing is kept."""
    stages = Stages()
    images: dict[int, Image] = {}
    assessed = []
    with at_risk():
        for n, data in enumerate(originals, start=1):
            quality_report, working = judge(ports, Original(data), stages, exceeded)
            hash_text = None if working is None else phash.to_text(phash.phash(working))
            assessed.append(AssessedImage(n=n, quality=quality_report, phash=hash_text))
            if working is not None and quality_report.verdict is not Verdict.UNUSABLE:
                images[n] = working
    return answer(ports, name, report, assessed, images, stages, keep=None).outcome, tuple(assessed)
