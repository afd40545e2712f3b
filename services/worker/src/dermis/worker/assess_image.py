"""Judges one image at once, without a case."""

import hashlib
from functools import partial

from dermis.shared.jobs import AssessImageJob, scratch_key
from dermis.shared.ports import BlobNotFound
from dermis.shared.report import QualityReport
from dermis.shared.test_images import forced_by_image
from dermis.worker.core import quality
from dermis.worker.judge import TOO_COSTLY, Original, forced_report, judge
from dermis.worker.ports import Ports
from dermis.worker.stages import Stages


def assess_image(ports: Ports, job: AssessImageJob) -> None:
    """Judge one image that a client wants judged at once, answer, and remove it."""
    key = scratch_key(job.scratch_id)
    try:
        data = ports.store.get(key)
        color = ports.store.get(scratch_key(job.profile_id)) if job.profile_id else job.color
    except BlobNotFound:
        return  # nobody waits any more
    original = Original(data, job.content_type, job.orientation, color)
    report, _ = judge(ports, original, Stages(), partial(_reply, ports, job, _too_costly(ports)))
    if end := forced_by_image(hashlib.sha256(data).hexdigest(), livemode=job.livemode):
        report = forced_report(ports, end, report)
    _reply(ports, job, report)


def _reply(ports: Ports, job: AssessImageJob, report: QualityReport) -> None:
    ports.announcer.reply(job.scratch_id, report.model_dump_json().encode())
    for scratch_id in filter(None, (job.scratch_id, job.profile_id)):
        ports.store.delete(scratch_key(scratch_id))


def _too_costly(ports: Ports) -> QualityReport:
    return quality.unreadable(ports.policy, TOO_COSTLY)
