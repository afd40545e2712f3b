"""The worker's metrics: of all its processes together, over files that Prometheus' client shares between them.

`prometheus_client` decides when it is imported whether it counts in files, so PROMETHEUS_MULTIPROC_DIR must be set
before this module is: `__main__` does so.
"""

import os
from pathlib import Path

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from dermis.shared.case import Assessed, Fact, Failed, Outcome
from dermis.shared.ids import is_id, made_at
from dermis.shared.manifest import Manifest
from dermis.shared.releases import ReleaseAnswer
from dermis.shared.report import Verdict
from dermis.shared.vocabulary import MonkSkinTone, monk_bin
from dermis.worker.ports import Role

_CASE_SECONDS = (0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600, 86400)
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class WebhookMetrics:
    """Counts what became of tries to deliver webhooks."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.tries = Counter(
            "dermis_worker_webhook_tries",
            "tries to deliver a webhook, by what became of them",
            ("verdict",),
            registry=registry,
        )


class Metrics:
    """Counters of cases, images and stages; labels hold codes of ours, never a case."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.in_work = Gauge(
            "dermis_worker_in_work", "jobs in work now", registry=registry, multiprocess_mode="livesum"
        )
        self.waited = Histogram(
            "dermis_worker_wait_seconds", "time a job waited in the queue", buckets=_SECONDS, registry=registry
        )
        self.job_seconds = Histogram(
            "dermis_worker_job_seconds", "time a job was in work", ("task",), buckets=_SECONDS, registry=registry
        )
        self.retries = Counter(
            "dermis_worker_retries", "tries that failed for now, by reason", ("reason",), registry=registry
        )
        self.redeliveries = Counter(
            "dermis_worker_redeliveries", "jobs whose worker was lost before", registry=registry
        )
        self._stages = Histogram(
            "dermis_worker_stage_seconds", "time of a stage", ("stage",), buckets=_SECONDS, registry=registry
        )
        self._images = Counter("dermis_worker_images", "images judged, by verdict", ("verdict",), registry=registry)
        self._reasons = Counter(
            "dermis_worker_image_reasons", "what was wrong with images", ("reason",), registry=registry
        )
        self._outcomes = Counter(
            "dermis_worker_outcomes", "outcomes by kind and reason", ("kind", "reason"), registry=registry
        )
        self._case_seconds = Histogram(
            "dermis_worker_case_seconds",
            "time from a case's id to its outcome; a case that was replayed counts from its first id, too",
            buckets=_CASE_SECONDS,
            registry=registry,
        )
        self._test_facts = Counter(
            "dermis_worker_test_facts",
            "facts of test cases, which no other counter of facts has",
            ("fact",),
            registry=registry,
        )
        self._first = Counter(
            "dermis_worker_first_conditions", "the most probable condition", ("condition",), registry=registry
        )
        self._failures = Counter(
            "dermis_worker_failures", "attempts that failed, by reason", ("reason",), registry=registry
        )
        self._model = Gauge(
            "dermis_worker_model_version",
            "version that answered last",
            ("name",),
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self._answers = Counter(
            "dermis_worker_version_answers",
            "what a version made of cases; FAILED: tries",
            ("version", "role", "answer"),
            registry=registry,
        )
        self._answers_by_tone = Counter(
            "dermis_worker_version_answers_by_tone",
            "what a version made of cases, by the Monk tone that the person stated",
            ("version", "role", "answer", "tone"),
            registry=registry,
        )
        self._shadow_compared = Counter(
            "dermis_worker_shadow_compared",
            "cases of which a shadow and the current version named the same condition first, or not",
            ("version", "agrees", "tone"),
            registry=registry,
        )
        # Shown as 0 from the start: Prometheus can't see the first step of a counter that appears with it.
        for reason in ("FACT_BROKEN", "INTERNAL", "TIME_LIMIT", "WORKER_LOST"):
            self._failures.labels(reason)
        for reason in ("METADATA_UNAVAILABLE", "SERVING_UNAVAILABLE", "STORE_UNAVAILABLE"):
            self.retries.labels(reason)
        for verdict in Verdict:
            self._images.labels(verdict)

    def answered(self, manifest: Manifest, role: Role, answer: ReleaseAnswer, tone: MonkSkinTone | None) -> None:
        """Count what a version made of a case, as the current one, a canary or a shadow."""
        version = f"{manifest.name}/{manifest.version}"
        for each in ReleaseAnswer:  # shown as 0 with the first of them, so that its first step is seen
            self._answers.labels(version, role, each)
        self._answers.labels(version, role, answer).inc()
        self._answers_by_tone.labels(version, role, answer, monk_bin(tone)).inc()

    def compared(self, manifest: Manifest, agrees: bool, tone: MonkSkinTone | None) -> None:
        """Count whether a shadow agreed with the current version."""
        self._shadow_compared.labels(f"{manifest.name}/{manifest.version}", str(agrees).lower(), monk_bin(tone)).inc()

    def note_test(self, fact: Fact) -> None:
        """Count a fact of a test case that this worker was the first to put."""
        self._test_facts.labels(type(fact).__name__.lower()).inc()

    def note(self, fact: Fact) -> None:
        """Count a fact that this worker was the first to put."""
        match fact:
            case Assessed():
                for image in fact.images:
                    self._images.labels(image.quality.verdict).inc()
                    for reason in image.quality.reasons:
                        self._reasons.labels(reason).inc()
            case Outcome():
                self._outcomes.labels(fact.kind, fact.reason or "").inc()
                if is_id("case", fact.case_id):
                    self._case_seconds.observe(max(0.0, (fact.finished_at - made_at(fact.case_id)).total_seconds()))
                for stage in fact.stages:
                    self._stages.labels(stage.name).observe(stage.ms / 1000)
                if fact.differential:
                    self._first.labels(fact.differential[0].condition).inc()
                if fact.model:
                    self._model.labels(fact.model.name).set(fact.model.version)
            case Failed():
                self._failures.labels(fact.reason).inc()


class OfAllProcesses(CollectorRegistry):
    """Collects from the files of all processes; what a lost one counted stays, what it held does not."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        MultiProcessCollector(self, str(folder))  # type: ignore[no-untyped-call]

    def collect(self) -> object:  # type: ignore[override]
        for file in self._folder.glob("gauge_live*_*.db"):
            pid = int(file.stem.rpartition("_")[2])
            if not _lives(pid):
                mark_process_dead(pid, str(self._folder))  # type: ignore[no-untyped-call]
        return super().collect()


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
