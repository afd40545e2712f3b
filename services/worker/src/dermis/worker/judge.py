"""Turns an image's bytes into its quality report and working image."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dermis.shared.errors import DermisError
from dermis.shared.images.color_profile import Color
from dermis.shared.images.header import is_refusal
from dermis.shared.report import QualityReport, Verdict
from dermis.shared.test_images import ForcedEnd
from dermis.worker.core import decode, forced, quality
from dermis.worker.ports import Exceeded, Ports
from dermis.worker.stages import Stages

Image = npt.NDArray[np.uint8]
NOT_SKIN_ADVICE = "Take a photo of the skin itself."
"""Of a test image where the skin gate, whose advice it is, is switched off."""
TOO_COSTLY = "the photo takes too long to decode: save it as an ordinary (baseline) JPEG, or send a smaller copy"


@dataclass(frozen=True, slots=True)
class Original:
    """An image to judge, with what was kept of its dropped metadata; None where the bytes still say it."""

    data: bytes
    content_type: str | None = None
    orientation: int | None = None
    color: Color | None = None


def judge(ports: Ports, original: Original, stages: Stages, exceeded: Exceeded) -> tuple[QualityReport, Image | None]:
    """Return an image's report and, if it can be decoded, its working image."""
    try:
        with stages("decode"), ports.guard(exceeded):
            working = decode.decode(
                original.data,
                content_type=original.content_type,
                orientation=original.orientation,
                color=original.color,
            ).image
    except DermisError as error:
        if not is_refusal(error):
            raise
        return quality.unreadable(ports.policy, error.detail), None
    with stages("quality"):
        report = quality.assess(working, ports.policy)
    if ports.gate is None or report.verdict is Verdict.UNUSABLE:
        return report, working
    with stages("skin"):
        return ports.gate.judge(report, ports.gate.score(working)), working


def forced_report(ports: Ports, end: ForcedEnd, report: QualityReport) -> QualityReport:
    """Return the report that a test image forces."""
    not_skin = ports.gate.spec.advice if ports.gate else NOT_SKIN_ADVICE
    return forced.forced_report(end, report, ports.policy, not_skin=not_skin)
