"""One contract for the worker's ports: the unit tests' fakes, and the adapters over store, gRPC services and Redis."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import redis

from dermis.metadata.bootstrap import build
from dermis.shared.bundles import point, publish
from dermis.shared.errors import DermisError, Kind
from dermis.shared.evaluation import EvaluationReport
from dermis.shared.jobs import reply_key, wakeup_channel
from dermis.shared.manifest import OutlierRule, VersionRef
from dermis.shared.report import QualityReport, Verdict
from dermis.shared.rpc import open_channel
from dermis.shared.stores.memory import MemoryStore
from dermis.shared.vocabulary import SelfReport
from dermis.worker.adapters.announcer import RedisAnnouncer
from dermis.worker.adapters.models import StoreModels
from dermis.worker.adapters.rpc import MetadataClient, ServingClient
from dermis.worker.ports import Announcer, Classifier, Features, Inputs, Models
from tests.support.servers import free_port, redis_server
from tests.unit.worker.test_pipeline import World

REPORT = SelfReport.model_validate({"related_category": "RASH"})


@dataclass(frozen=True)
class Ports:
    models: Models
    features: Features
    classifier: Classifier


@pytest.fixture(params=["fake", "real"])
def ports(request: pytest.FixtureRequest) -> Iterator[Ports]:
    if request.param == "fake":
        world = World()
        yield Ports(world, world, world)
        return
    store = MemoryStore()
    bundle: Path = request.getfixturevalue("bundle")
    published = publish(store, bundle)
    point(store, VersionRef(name=published.name, version=published.version))
    metadata, _ = build(store, threads=2)
    port = metadata.add_insecure_port("127.0.0.1:0")
    metadata.start()
    with open_channel(f"127.0.0.1:{port}") as channel:
        yield Ports(
            StoreModels(store, lambda _: True),
            MetadataClient(channel, deadline_s=5),
            ServingClient(request.getfixturevalue("server").channel, deadline_s=20),
        )
    metadata.stop(0).wait()


def inputs_of(ports: Ports) -> Inputs:
    manifest = ports.models.pinned()
    size = manifest.image_size
    images = np.random.default_rng(0).integers(0, 256, (manifest.max_images, size, size, 3), np.uint8)
    mask = np.array([True, False, False])
    return Inputs(images=images, image_mask=mask, features=ports.features.encode(manifest.feature_schema, REPORT))


def test_what_a_version_says_of_itself_belongs_together(ports: Ports) -> None:
    manifest = ports.models.pinned()
    assert ports.models.pinned() == manifest
    assert ports.models.feature_schema(manifest).id == manifest.feature_schema
    assert ports.models.outliers(manifest) is None
    assert manifest.outliers is None
    report = ports.models.evaluation(manifest)
    assert isinstance(report, EvaluationReport)
    assert report.n > 0


def test_answers_become_a_vector_of_the_versions_schema_and_of_no_other(ports: Ports) -> None:
    manifest = ports.models.pinned()
    columns = ports.models.feature_schema(manifest).columns
    vector = ports.features.encode(manifest.feature_schema, REPORT)
    assert (vector.dtype, vector.shape) == (np.float32, (len(columns),))
    assert dict(zip(columns, vector, strict=True))["related_category=RASH"] == 1
    with pytest.raises(DermisError) as refused:
        ports.features.encode("sha256:other", REPORT)
    assert refused.value.kind is Kind.UNAVAILABLE


def test_a_prediction_has_the_shapes_of_the_manifest(ports: Ports) -> None:
    manifest = ports.models.pinned()
    outputs = ports.classifier.predict(manifest, inputs_of(ports))
    conditions = len(manifest.conditions)
    assert outputs.probabilities.shape == outputs.answers_logits.shape == (conditions,)
    assert outputs.probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert outputs.cam.shape == (manifest.max_images, *manifest.cam_size, conditions)
    assert not outputs.cam[1:].any(), "an image that is masked has a share"
    assert outputs.embedding is None
    ruled = manifest.model_copy(update={"outliers": OutlierRule(threshold=2, false_alarms=0.02, calibrated_on=100)})
    embedding = ports.classifier.predict(ruled, inputs_of(ports)).embedding
    assert embedding is not None
    assert (embedding.dtype, embedding.shape) == (np.float32, (manifest.embedding_size,))


def test_what_the_answers_say_follows_from_their_weights(ports: Ports) -> None:
    manifest, inputs = ports.models.pinned(), inputs_of(ports)
    weights = ports.classifier.answer_weights(manifest, len(inputs.features))
    assert weights is not None
    assert weights.weights.shape == (len(inputs.features), len(manifest.conditions))
    for features in (inputs.features, np.zeros_like(inputs.features)):
        logits = ports.classifier.predict(manifest, replace(inputs, features=features)).answers_logits
        np.testing.assert_allclose(weights.bias + features @ weights.weights, logits, atol=1e-3)


@dataclass(frozen=True)
class Announcing:
    """An announcer and what those who wait hear: facts of cases, and verdicts in replies."""

    announcer: Announcer
    heard: Callable[[], list[str]]


CASE, SCRATCH = "case_01m82nmrzdescb95c4e8msawzy", "scratch_01m82nmrzdescb95c4e8msawzy"


@pytest.fixture(params=["fake", "real"])
def announcing(request: pytest.FixtureRequest) -> Iterator[Announcing]:
    if request.param == "fake":
        world = World()
        yield Announcing(world, lambda: world.announced)
        return
    with (
        redis_server() as url,
        redis.Redis.from_url(url) as client,
        client.pubsub(ignore_subscribe_messages=True) as waiting,
    ):
        waiting.subscribe(wakeup_channel(CASE))
        waiting.get_message(timeout=5)

        def heard() -> list[str]:
            message = waiting.get_message(timeout=5)
            replied = client.lrange(reply_key(SCRATCH), 0, -1)
            return [
                *([message["data"].decode()] if message else ()),
                *(f"{SCRATCH}: {QualityReport.model_validate_json(each).verdict}" for each in replied),
            ]

        yield Announcing(RedisAnnouncer(client), heard)


def test_who_waits_hears_a_fact_and_a_reply(announcing: Announcing) -> None:
    announcing.announcer.announce(CASE, "outcome")
    report = QualityReport(verdict=Verdict.USABLE, reasons=(), advice=(), measures=None, policy="p")
    announcing.announcer.reply(SCRATCH, report.model_dump_json().encode())
    assert announcing.heard() == ["outcome", f"{SCRATCH}: USABLE"]


def test_an_announcer_whose_redis_is_away_loses_a_hint_and_raises_nothing() -> None:
    with redis.Redis(port=free_port(), socket_connect_timeout=1) as client:
        RedisAnnouncer(client).announce(CASE, "outcome")
        RedisAnnouncer(client).reply(SCRATCH, b"{}")
