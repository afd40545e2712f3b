"""What a test image forces in place of what its pixels would say."""

import numpy as np

from dermis.shared.case import OutcomeKind
from dermis.shared.manifest import Manifest
from dermis.shared.report import QualityReport, Verdict
from dermis.shared.test_images import ForcedEnd, ForcedKind
from dermis.worker.core.differential import Decision, decide
from dermis.worker.core.quality import Policy, Reason


def forced_report(end: ForcedEnd, report: QualityReport, policy: Policy, *, not_skin: str) -> QualityReport:
    """Return a report with the forced verdict and the advice that goes with it; `not_skin` is the skin gate's."""
    if end.is_usable or end.reason is None:
        return report.model_copy(update={"verdict": Verdict.USABLE, "reasons": (), "advice": ()})
    reason = Reason(end.reason)
    advice = not_skin if reason is Reason.NOT_SKIN else policy.advice[reason]
    measures = None if reason is Reason.UNREADABLE else report.measures
    return report.model_copy(
        update={"verdict": Verdict.UNUSABLE, "reasons": (reason,), "advice": (advice,), "measures": measures}
    )


def forced_decision(end: ForcedEnd, manifest: Manifest) -> Decision:
    """Return a decision on a model's conditions of which the first is all but sure, abstained from where forced."""
    probabilities = np.full(len(manifest.conditions), 1e-9)
    probabilities[0] = 1
    decision = decide(probabilities / probabilities.sum(), manifest, None)
    if end.kind is not ForcedKind.ABSTENTION:
        return decision
    return Decision(
        kind=OutcomeKind.ABSTENTION,
        reason=end.reason,
        differential=decision.differential,
        coverage=decision.coverage,
    )
