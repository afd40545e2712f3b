"""Images and answers that are no case of the store, to the outcome that a case with them would get."""

from collections.abc import Sequence

from dermis.shared.case import (
    AssessedImage,
    Outcome,
)
from dermis.shared.report import Verdict
from dermis.shared.vocabulary import SelfReport
from dermis.worker.answer import answer
from dermis.worker.core import phash
from dermis.worker.judge import Image, Original, judge
from dermis.worker.ports import Exceeded, Ports
from dermis.worker.stages import Stages


def assess_row(
    ports: Ports, name: str, originals: Sequence[bytes], report: SelfReport, *, exceeded: Exceeded = lambda: None
) -> tuple[Outcome, tuple[AssessedImage, ...]]:
    """Return the outcome of images and answers that are no case of the store, as a case with them would get; nothing is kept."""
    stages = Stages()
    images: dict[int, Image] = {}
    assessed = []
    for n, data in enumerate(originals, start=1):
        quality_report, working = judge(ports, Original(data), stages, exceeded)
        usable = working is not None and quality_report.verdict is not Verdict.UNUSABLE
        hash_text = None if working is None else phash.to_text(phash.phash(working))
        assessed.append(AssessedImage(n=n, quality=quality_report, phash=hash_text))
        if usable and working is not None:
            images[n] = working
    return answer(ports, name, report, assessed, images, stages, keep=None), tuple(assessed)
