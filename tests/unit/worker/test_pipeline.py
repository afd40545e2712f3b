"""The way of a case through the worker, over fakes: one outcome, whatever happens."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from billiard.exceptions import SoftTimeLimitExceeded
from prometheus_client import CollectorRegistry

from dermis.shared.case import (
    Erased,
    Failed,
    ModelKnowledge,
    OpenCase,
    OutcomeKind,
    Received,
    ReceivedImage,
    Status,
    fact_key,
    failed_key,
    image_key,
    open_key,
)
from dermis.shared.erasing import erase
from dermis.shared.errors import DermisError, Kind
from dermis.shared.evaluation import EvaluationReport
from dermis.shared.jobs import AssessImageJob, AssessJob, scratch_key
from dermis.shared.manifest import (
    AbstentionRule,
    Condition,
    FeatureField,
    FeatureSchema,
    Knowledge,
    Manifest,
    OutlierRule,
    PredictionSets,
)
from dermis.shared.report import QualityReport
from dermis.shared.stores.memory import MemoryStore
from dermis.shared.vocabulary import SelfReport
from dermis.shared.webhook_store import Outbox
from dermis.shared.webhooks import DeliverJob
from dermis.worker import tasks
from dermis.worker.bootstrap import load_policy
from dermis.worker.core.answer_shares import AnswerWeights
from dermis.worker.core.outliers import Outliers
from dermis.worker.core.texture import Textures
from dermis.worker.facts import read
from dermis.worker.metrics import Metrics
from dermis.worker.pipeline import Pipeline
from dermis.worker.ports import Candidates, Classifier, Inputs, Outputs
from dermis.worker.settings import WorkerSettings
from dermis.worker.strikes import Strikes
from tests.support import evaluations

JOB = AssessJob(case_id="case_01m82nmrzdescb95c4e8msawzz", owner="public")
SETTINGS = WorkerSettings(store_url="file:///unused")
SCHEMA = FeatureSchema(fields=(FeatureField(name="related_category", kind="ONE_OF", values=("RASH", "ACNE")),))
MANIFEST = Manifest(
    version=7,
    purpose="demo",
    image_size=64,
    conditions=(Condition(id="eczema", name="Eczema"), Condition(id="urticaria", name="Urticaria")),
    feature_schema=SCHEMA.id,
    embedding_size=4,
    cam_size=(2, 2),
    prediction_sets=PredictionSets(coverage=0.9, thresholds={"FST_I_II": 0.3, "FST_III_IV": 0.3, "FST_V_VI": 0.3}),
    abstention=AbstentionRule(min_probability=0.1, max_set_size=2),
    files={},
)


@dataclass
class World:
    """Fakes of every port; `faults` are raised, one a call of the classifier."""

    store: MemoryStore = field(default_factory=MemoryStore)
    faults: list[Exception] = field(default_factory=list)
    seen: list[Inputs] = field(default_factory=list)
    announced: list[str] = field(default_factory=list)
    sent: list[DeliverJob] = field(default_factory=list)
    meanwhile: list[tuple[str, bytes]] = field(default_factory=list)
    manifest: Manifest = MANIFEST
    known: Outliers | None = None
    seen_textures: Textures | None = None
    linear: bool = True
    staged: Candidates = field(default_factory=Candidates)
    candidate_classifier: Classifier | None = None
    idle: Callable[[], bool] = lambda: True
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    metrics: Metrics = field(init=False)

    def __post_init__(self) -> None:
        self.metrics = Metrics(self.registry)

    def counted(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"dermis_worker_{name}", labels) or 0

    def pinned(self) -> Manifest:
        return self.manifest

    def candidates(self) -> Candidates:
        return self.staged

    def outliers(self, _manifest: Manifest) -> Outliers | None:
        return self.known

    def textures(self, _manifest: Manifest) -> Textures | None:
        return self.seen_textures

    def bundle_answer_weights(self, _manifest: Manifest) -> None:
        return None

    def encode(self, schema_id: str, _report: SelfReport) -> npt.NDArray[np.float32]:
        if schema_id != SCHEMA.id:
            raise DermisError(Kind.UNAVAILABLE, "SCHEMA_UNKNOWN", f"schema {schema_id} is not known yet")
        return np.array([1, 0, 0], np.float32)

    def feature_schema(self, _manifest: Manifest) -> FeatureSchema:
        return SCHEMA

    def evaluation(self, _manifest: Manifest) -> EvaluationReport:
        return evaluations.report()

    def answer_weights(self, _manifest: Manifest, _columns: int) -> AnswerWeights:
        return AnswerWeights(bias=np.zeros(2, np.float32), weights=np.array([[1, -1], [0, 0], [0.5, 0]], np.float32))

    def predict(self, manifest: Manifest, inputs: Inputs) -> Outputs:
        for key, data in self.meanwhile:
            self.store.put_once(key, data)
        if self.faults:
            raise self.faults.pop(0)
        self.seen.append(inputs)
        cam = np.zeros((3, 2, 2, 2), np.float32)
        cam[0, 0, 1, 0] = 1
        logits = (
            inputs.features @ self.answer_weights(manifest, 3).weights if self.linear else np.array([3, 3], np.float32)
        )
        embedding = np.full(manifest.embedding_size, 3, np.float32) if manifest.outliers else None
        return Outputs(
            probabilities=np.array([0.8, 0.2], np.float32), cam=cam, answers_logits=logits, embedding=embedding
        )

    def announce(self, _case_id: str, fact: str) -> None:
        self.announced.append(fact)

    def reply(self, scratch_id: str, report: bytes) -> None:
        self.announced.append(f"{scratch_id}: {QualityReport.model_validate_json(report).verdict}")

    def pipeline(self) -> Pipeline:
        return Pipeline(
            store=self.store,
            models=self,
            features=self,
            classifier=self,
            announcer=self,
            candidate_classifier=self.candidate_classifier,
            idle=self.idle,
            answered=self.metrics.answered,
            compared=self.metrics.compared,
            policy=load_policy(),
            strikes=Strikes(store=self.store),
            outbox=Outbox(self.store, send=self.sent.append),
            noted=self.metrics.note,
            noted_test=self.metrics.note_test,
        )

    def work(self, *, redelivered: bool = False) -> bool:
        pipeline = self.pipeline()
        try:
            return tasks.work(pipeline, JOB, settings=SETTINGS, redelivered=redelivered, metrics=self.metrics)
        finally:
            pipeline.strikes._thread.shutdown()

    def status(self) -> Status | None:
        return read(self.pipeline(), JOB).status


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "RETRY_AFTER_S", (0, 0))


def png(image: npt.NDArray[np.uint8]) -> bytes:
    ok, data = cv2.imencode(".png", image[..., ::-1])
    assert ok
    return data.tobytes()


def skin(seed: int = 0) -> bytes:
    noise = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 1, (200, 300, 3)), (0, 0), 1.5) * 60
    image = noise + np.array([170, 130, 110])
    cv2.circle(image, (150, 100), 40, (160, 60, 60), -1)
    return png(np.clip(image, 0, 255).astype(np.uint8))


ANSWERS = {"related_category": "RASH", "other_symptoms": ["FEVER"]}
BLACK = png(np.zeros((200, 300, 3), np.uint8))


def world(
    *originals: bytes, received_at: datetime | None = None, answers: Mapping[str, object] = MappingProxyType(ANSWERS)
) -> World:
    made = World()
    images = tuple(
        ReceivedImage(n=n, content_type="image/png", bytes=len(data), sha256="", width=300, height=200)
        for n, data in enumerate(originals, start=1)
    )
    received = Received(
        case_id=JOB.case_id,
        owner=JOB.owner,
        received_at=received_at or datetime.now(UTC),
        images=images,
        self_report=SelfReport.model_validate(answers),
    )
    made.store.put_once(
        open_key(JOB.case_id),
        OpenCase(case_id=JOB.case_id, owner=JOB.owner, opened_at=received.received_at).model_dump_json().encode(),
    )
    for n, data in enumerate(originals, start=1):
        made.store.put_once(image_key(JOB.owner, JOB.case_id, n, "original"), data)
    made.store.put_once(fact_key(JOB.owner, JOB.case_id, "received"), received.model_dump_json().encode())
    return made


def test_a_case_gets_its_differential() -> None:
    made = world(skin(0), skin(1))
    made.work()
    state = read(made.pipeline(), JOB)
    assert state.outcome is not None
    assert state.outcome.kind is OutcomeKind.DIFFERENTIAL
    assert [c.condition for c in state.outcome.differential] == ["eczema", "urticaria"]
    assert state.outcome.model is not None
    assert state.outcome.model.version == 7
    assert state.outcome.images_used == (1, 2)
    assert {stage.name for stage in state.outcome.stages} >= {
        "read",
        "decode",
        "quality",
        "hash",
        "prepare",
        "features",
        "predict",
    }
    assert made.seen[0].image_mask.tolist() == [True, True, False]
    assert not made.seen[0].images[2].any()
    assert made.announced == ["assessed", "outcome"]
    assert list(made.store.list("open/")) == []
    assert made.store.get(image_key(JOB.owner, JOB.case_id, 2, "prepared"))[:2] == b"\xff\xd8"


@pytest.mark.parametrize(("threshold", "reason"), [(1.0, "OUT_OF_DISTRIBUTION"), (100.0, None)])
def test_the_embedding_decides_whether_a_case_is_out_of_distribution(threshold: float, reason: str | None) -> None:
    made = world(skin())
    rule = OutlierRule(threshold=threshold, false_alarms=0.02, calibrated_on=100)
    made.manifest = MANIFEST.model_copy(update={"outliers": rule})
    made.known = Outliers(
        mean=np.zeros(4), axes=np.eye(4)[:1], variances=np.ones(1), rest=1.0
    )  # an embedding of threes scores 9
    made.work()
    outcome = read(made.pipeline(), JOB).outcome
    assert outcome is not None
    assert outcome.reason == reason
    assert outcome.differential


def test_a_result_says_what_counted_where_and_how_well_it_was_measured() -> None:
    made = world(BLACK, skin())
    made.work()
    outcome = read(made.pipeline(), JOB).outcome
    assert outcome is not None
    assert [share.model_dump() for share in outcome.answer_shares] == [
        {"field": "related_category", "values": ("RASH",), "shares": {"eczema": 0.5}}
    ]
    assert [(heatmap.n, heatmap.condition) for heatmap in outcome.heatmaps] == [(2, "eczema")]
    drawn = cv2.imdecode(
        np.frombuffer(made.store.get(f"cases/public/{JOB.case_id}/images/2/heatmaps/dermis-7-0.png"), np.uint8),
        cv2.IMREAD_UNCHANGED,
    )
    assert drawn.shape == (171, 256, 4)
    assert drawn[:60, -60:, 3].mean() > drawn[-60:, :60, 3].mean() == 0
    assert outcome.measured is not None
    assert (outcome.measured.group, outcome.measured.n, outcome.measured.top_1_interval) == ("ALL", 40, (0.25, 0.75))
    assert [notice.notice for notice in outcome.notices] == ["UNDER_18"]


def test_a_result_says_what_its_model_knows_and_from_when_a_condition_says_how_soon() -> None:
    made = world(skin())
    words = Knowledge(kind="a rash", unknown=("a growth",), data="drawings", scale="painted", measured_on={})
    made.manifest = MANIFEST.model_copy(update={"knowledge": words, "urgency_threshold": 0.35})
    made.work()
    outcome = read(made.pipeline(), JOB).outcome
    assert outcome is not None
    assert outcome.knowledge == ModelKnowledge(kind="a rash", unknown=("a growth",), data="drawings", painted=True)
    assert outcome.urgency_threshold == 0.35


def test_answers_that_the_model_does_not_add_up_are_not_explained() -> None:
    made = world(skin())
    made.linear = False
    made.work()
    outcome = read(made.pipeline(), JOB).outcome
    assert outcome is not None
    assert outcome.kind is OutcomeKind.DIFFERENTIAL
    assert outcome.answer_shares == ()


def test_an_unusable_image_is_left_out_and_advised_on() -> None:
    made = world(BLACK, skin())
    made.work()
    outcome = read(made.pipeline(), JOB).outcome
    assert outcome is not None
    assert outcome.images_used == (2,)
    assert outcome.advice


def test_no_usable_image_is_a_rejection_without_a_model_yet_with_red_flags() -> None:
    made = world(BLACK, b"not an image at all")
    made.work()
    outcome = read(made.pipeline(), JOB).outcome
    assert outcome is not None
    assert outcome.kind is OutcomeKind.REJECTION
    assert outcome.model is None
    assert outcome.differential == ()
    assert outcome.advice
    assert outcome.red_flags
    assert outcome.notices
    assert outcome.heatmaps == ()
    assert made.seen == []


def test_answers_without_an_image_raise_red_flags_and_ask_no_model() -> None:
    made = world()
    made.work()
    outcome = read(made.pipeline(), JOB).outcome
    assert outcome is not None
    assert (outcome.kind, outcome.reason, outcome.model) == (OutcomeKind.ABSTENTION, "NO_IMAGE", None)
    assert [flag.flag for flag in outcome.red_flags] == ["FEVER"]
    assert outcome.notices
    assert made.seen == []


def test_nobody_under_18_gets_an_answer_of_the_models() -> None:
    made = world(skin(), answers={"under_18": True, "age_group": "AGE_18_TO_29"})
    made.work()
    outcome = read(made.pipeline(), JOB).outcome
    assert outcome is not None
    assert (outcome.kind, outcome.reason, outcome.model) == (OutcomeKind.ABSTENTION, "UNDER_18", None)
    assert [(flag.flag, flag.urgency) for flag in outcome.red_flags] == [("UNDER_18", "SOON")]
    assert outcome.notices == ()  # the flag says all of it
    assert outcome.differential == ()
    assert made.seen == []


def test_work_done_twice_gives_one_outcome() -> None:
    made = world(skin())
    made.work()
    first = made.store.get(fact_key(JOB.owner, JOB.case_id, "outcome"))
    made.work(redelivered=True)
    assert made.store.get(fact_key(JOB.owner, JOB.case_id, "outcome")) == first
    assert len(made.seen) == 1


def test_the_loser_of_a_race_takes_the_winners_outcome() -> None:
    winner = world(skin())
    winner.work()
    key = fact_key(JOB.owner, JOB.case_id, "outcome")
    loser = world(skin())
    loser.meanwhile = [(key, winner.store.get(key))]
    loser.work()
    assert loser.store.get(key) == winner.store.get(key)
    assert loser.announced == ["assessed"]


def test_a_passing_fault_is_tried_again_within_the_task() -> None:
    made = world(skin())
    made.faults = [DermisError(Kind.UNAVAILABLE, "SERVING_UNAVAILABLE", "away")] * 2
    made.work()
    assert made.status() is Status.FINISHED


def test_a_longer_outage_leaves_the_case_open() -> None:
    made = world(skin())
    made.faults = [DermisError(Kind.UNAVAILABLE, "SERVING_UNAVAILABLE", "away")] * 3
    made.work()
    assert made.status() is Status.ASSESSED
    assert list(made.store.list("open/")) == [open_key(JOB.case_id)]
    made.work()
    assert made.status() is Status.FINISHED


def test_a_try_that_took_long_is_the_last_one_so_that_a_peer_that_hangs_fails_no_case(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tasks, "RETRY_WITHIN_S", -1)
    made = world(skin())
    made.faults = [DermisError(Kind.DEADLINE, "SERVING_DEADLINE_EXCEEDED", "no answer")] * 3
    made.work()
    assert len(made.faults) == 2
    assert made.status() is Status.ASSESSED
    assert list(made.store.list("open/")) == [open_key(JOB.case_id)]


def days_later(made: World, days: float) -> None:
    """Move the store's clock on."""
    made.store._clock = lambda: datetime.now(UTC) + timedelta(days=days)


@pytest.mark.parametrize(
    ("kind", "reason", "waits"),
    [
        (Kind.UNAVAILABLE, "SERVING_UNAVAILABLE", True),
        (Kind.UNAVAILABLE, "METADATA_CIRCUIT_OPEN", True),
        (Kind.UNAVAILABLE, "MODEL_NOT_READY", True),
        (Kind.DEADLINE, "SERVING_DEADLINE_EXCEEDED", False),
        (Kind.UNAVAILABLE, "STORE", False),
    ],
)
def test_a_case_waits_for_a_peer_that_is_away_and_for_nothing_else(kind: Kind, reason: str, waits: bool) -> None:
    made = world(skin())
    made.faults = [DermisError(kind, reason, "away")] * 3
    assert made.work() is waits
    assert list(made.store.list("open/")) == [open_key(JOB.case_id)]
    assert made.work() is False
    assert made.status() is Status.FINISHED


def test_an_outage_of_a_day_fails_the_case() -> None:
    made = world(skin())
    days_later(made, 2)
    made.faults = [DermisError(Kind.UNAVAILABLE, "SERVING_UNAVAILABLE", "away")] * 3
    assert made.work() is False
    assert made.status() is Status.FAILED


def test_an_outage_does_not_fail_a_new_case_whose_gateway_had_another_clock() -> None:
    made = world(skin(), received_at=datetime.now(UTC) - timedelta(days=31))
    made.faults = [DermisError(Kind.UNAVAILABLE, "SERVING_UNAVAILABLE", "away")] * 3
    made.work()
    assert not made.faults
    assert made.status() is Status.ASSESSED


def replayed(made: World) -> None:
    """Fail attempt 1 and open attempt 2, as `dermis replay` does."""
    made.pipeline().fail(JOB, reason="INTERNAL", detail="a bug")
    marker = OpenCase(case_id=JOB.case_id, owner=JOB.owner, opened_at=datetime.now(UTC), attempt=2)
    made.store.put_once(open_key(JOB.case_id), marker.model_dump_json().encode())


def test_a_late_job_of_an_attempt_that_failed_leaves_the_replay_open() -> None:
    made = world(skin())
    replayed(made)
    made.work()
    assert OpenCase.model_validate_json(made.store.get(open_key(JOB.case_id))).attempt == 2


def test_an_outage_does_not_fail_an_old_case_that_was_just_replayed() -> None:
    made = world(skin())
    days_later(made, 2)
    replayed(made)
    made.faults = [DermisError(Kind.UNAVAILABLE, "SERVING_UNAVAILABLE", "away")] * 3
    again = JOB.model_copy(update={"attempt": 2})
    tasks.work(made.pipeline(), again, settings=SETTINGS, redelivered=False, metrics=made.metrics)
    assert not made.faults
    assert read(made.pipeline(), again).failed is None
    assert list(made.store.list("open/")) == [open_key(JOB.case_id)]


@pytest.mark.parametrize("fault", [ValueError("a bug"), DermisError(Kind.INTERNAL, "SERVING_OUTPUT", "nan")])
def test_what_can_never_work_fails_the_attempt(fault: Exception) -> None:
    made = world(skin())
    made.faults = [fault]
    made.work()
    failed = Failed.model_validate_json(made.store.get(failed_key(JOB.owner, JOB.case_id, 1)))
    assert failed.attempt == 1
    assert [flag.flag for flag in failed.red_flags] == ["FEVER"]
    assert made.status() is Status.FAILED
    assert list(made.store.list("open/")) == []


SLOW = {"get": ("original", "STORE_SLOW"), "encode": ("", "METADATA_SLOW"), "predict": ("", "SERVING_SLOW")}


@pytest.mark.parametrize("call", SLOW)
def test_a_wait_that_is_too_long_ends_the_task_and_never_the_case(monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    made, (suffix, reason) = world(skin()), SLOW[call]
    owner = made.store if call == "get" else made
    real = getattr(owner, call)

    def slow(*arguments: Any) -> Any:
        if call != "get" or arguments[0].endswith(suffix):
            raise SoftTimeLimitExceeded
        return real(*arguments)

    for _ in range(5):
        with monkeypatch.context() as patched:
            patched.setattr(owner, call, slow)
            made.work(redelivered=True)
        assert made.status() in (Status.RECEIVED, Status.ASSESSED)
        assert list(made.store.list("open/")) == [open_key(JOB.case_id)]
    assert made.counted("retries_total", reason=reason) == 5
    assert list(made.store.list(f"cases/{JOB.owner}/{JOB.case_id}/redelivered/")) == []
    made.work()
    assert made.status() is Status.FINISHED


def test_a_wait_of_a_day_fails_the_case_and_says_for_what() -> None:
    made = world(skin())
    days_later(made, 2)
    made.faults = [SoftTimeLimitExceeded()]
    made.work()
    failed = read(made.pipeline(), JOB).failed
    assert failed is not None
    assert failed.reason == "SERVING_SLOW"


def test_a_case_that_computes_for_too_long_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    made = world(skin())

    def busy(*_: Any) -> QualityReport:
        end = time.process_time() + 30
        while time.process_time() < end:
            pass
        raise AssertionError("nobody ended this")

    # Far from the hard limit, at which the kernel would end this very process.
    monkeypatch.setattr("dermis.worker.core.quality.assess", busy)
    monkeypatch.setitem(
        globals(),
        "SETTINGS",
        SETTINGS.model_copy(update={"soft_time_limit_seconds": 1, "hard_time_limit_seconds": 300}),
    )
    made.work()
    failed = read(made.pipeline(), JOB).failed
    assert failed is not None
    assert failed.reason == "TIME_LIMIT"


def test_a_fact_that_is_broken_fails_its_own_case_and_is_not_tried_for_ever() -> None:
    made = world(skin())
    made.store.delete(fact_key(JOB.owner, JOB.case_id, "received"))
    made.store.put_once(fact_key(JOB.owner, JOB.case_id, "received"), b"{}")
    made.work()
    assert list(made.store.list("open/")) == []
    assert Failed.model_validate_json(made.store.get(failed_key(JOB.owner, JOB.case_id, 1))).reason == "FACT_BROKEN"


def test_erased_meanwhile_leaves_only_the_tombstone() -> None:
    made = world(skin())
    tombstone = fact_key(JOB.owner, JOB.case_id, "erased")
    made.meanwhile = [(tombstone, Erased(case_id=JOB.case_id, erased_at=datetime.now(UTC)).model_dump_json().encode())]
    made.work()
    assert list(made.store.list("")) == [tombstone]


def test_an_unknown_case_is_left_alone() -> None:
    made = World()
    made.work()
    assert list(made.store.list("")) == []


def test_an_image_is_judged_at_once_and_removed() -> None:
    made = World()
    for scratch_id, data in (("a", skin()), ("b", BLACK), ("c", b"no image")):
        made.store.put_once(scratch_key(scratch_id), data)
        made.pipeline().assess_image(AssessImageJob(scratch_id=scratch_id, content_type="image/png"))
    made.pipeline().assess_image(AssessImageJob(scratch_id="gone", content_type="image/png"))
    assert made.announced == ["a: USABLE", "b: UNUSABLE", "c: UNUSABLE"]
    assert list(made.store.list("")) == []


class Killed(BaseException):
    pass


class Numbered(MemoryStore):
    """A store that tells `told` before each of its operations which one comes, from 1 on.

    What is told may use the store itself.
    """

    def __init__(self, made: World, told: Callable[[int], None]) -> None:
        super().__init__()
        self._objects = dict(made.store._objects)
        self._told, self.operations, self._silent = told, 0, False

    def _next(self) -> None:
        if self._silent:
            return
        self.operations += 1
        self._silent = True
        try:
            self._told(self.operations)
        finally:
            self._silent = False

    def get(self, key: str, *, most: int | None = None) -> bytes:
        self._next()
        return super().get(key, most=most)

    def put_once(self, key: str, data: bytes, *, reserved: bool = False) -> bool:  # noqa: ARG002 - the port's name
        self._next()
        return super().put_once(key, data)

    def delete(self, key: str, *, generation: int | None = None) -> None:
        self._next()
        super().delete(key, generation=generation)


def test_an_erasure_that_is_killed_while_a_worker_closes_the_case_leaves_the_marker_or_nothing() -> None:
    """Before each operation of the worker the case is erased.

    Someone erases it who is killed before each of theirs in turn.
    """
    tombstone, marker = fact_key(JOB.owner, JOB.case_id, "erased"), open_key(JOB.case_id)

    def erase_until(made: World, last: int) -> None:
        def told(n: int) -> None:
            if n == last:
                raise Killed

        killed = Numbered(made, told)
        killed._objects = made.store._objects
        with suppress(Killed):
            erase(killed, owner=JOB.owner, case_id=JOB.case_id, at=datetime.now(UTC))

    def keys_after(at: int, last: int) -> tuple[int, set[str]]:
        made = world(BLACK)
        made.store = Numbered(made, lambda n: erase_until(made, last) if n == at else None)
        made.work()
        return made.store.operations, set(made.store.list(""))

    operations, _ = keys_after(0, 0)
    for at in range(1, operations + 1):
        for last in range(1, 10):
            _, keys = keys_after(at, last)
            assert tombstone not in keys or keys == {tombstone} or marker in keys, (at, last)
