"""What the worker asks serving for, and where it reads the outlier file."""

import itertools
from typing import Any

import numpy as np
import pytest

from dermis.api.serving.v1 import serving_pb2 as pb
from dermis.shared.errors import DermisError, Kind
from dermis.shared.manifest import CURRENT_KEY, MANIFEST_FILE, Current, OutlierRule, VersionRef
from dermis.shared.stores.memory import MemoryStore
from dermis.shared.tensors import from_proto, to_proto
from dermis.worker.adapters import rpc
from dermis.worker.adapters.models import StoreModels
from dermis.worker.adapters.rpc import ServingClient
from dermis.worker.core import answer_shares
from dermis.worker.core.answer_shares import AnswerWeights
from dermis.worker.core.outliers import Outliers, to_bytes
from dermis.worker.ports import Inputs
from tests.unit.worker.test_differential import manifest

INPUTS = Inputs(
    images=np.zeros((3, 64, 64, 3), np.uint8), image_mask=np.ones(3, np.bool_), features=np.zeros(5, np.float32)
)
MISFIT = AnswerWeights(bias=np.zeros(3, np.float32), weights=np.zeros((2, 4), np.float32))
INFINITE = AnswerWeights(bias=np.zeros(4, np.float32), weights=np.full((2, 4), np.inf, np.float32))
KNOWING = manifest().model_copy(update={"outliers": OutlierRule(threshold=2, false_alarms=0.02, calibrated_on=100)})


class Channel:
    """A serving that answers with what it is asked for."""

    def __init__(self, **outputs: Any) -> None:
        self.outputs = {
            "probabilities": np.full((1, 4), 0.25, np.float32),
            "embedding": np.ones((1, 4), np.float32),
            "cam": np.zeros((1, 3, *manifest().cam_size, 4), np.float32),
            "answers_logits": np.zeros((1, 4), np.float32),
        } | outputs
        self.asked: list[str] = []

    def unary_unary(self, _path: str, **_: Any) -> Any:
        def call(request: Any, timeout: float) -> Any:  # noqa: ARG001 - gRPC's name
            self.asked = list(request.output_filter)
            given = from_proto(request.inputs["features"])
            found = {name: self.outputs[name] for name in self.asked}
            return pb.PredictResponse(
                outputs={name: to_proto(value(given) if callable(value) else value) for name, value in found.items()}
            )

        return call


def client(channel: Channel) -> ServingClient:
    return ServingClient(channel, deadline_s=1)  # type: ignore[arg-type]


def test_the_embedding_is_asked_for_only_where_a_rule_needs_it() -> None:
    channel = Channel()
    assert client(channel).predict(manifest(), INPUTS).embedding is None
    assert channel.asked == ["probabilities", "cam", "answers_logits"]
    embedding = client(channel).predict(KNOWING, INPUTS).embedding
    assert channel.asked == ["probabilities", "cam", "answers_logits", "embedding"]
    assert embedding is not None
    assert embedding.tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("embedding", [np.ones((1, 3), np.float32), np.full((1, 4), np.nan, np.float32)])
def test_an_embedding_that_does_not_fit_is_our_fault(embedding: Any) -> None:
    with pytest.raises(DermisError, match="embedding of shape"):
        client(Channel(embedding=embedding)).predict(KNOWING, INPUTS)


def test_what_answers_count_is_probed_once_a_version() -> None:
    weights, bias = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32), np.arange(4, dtype=np.float32)
    calls = []

    def linear(features: Any) -> Any:
        calls.append(len(features))
        return (features @ weights + bias).astype(np.float32)

    serving = client(Channel(answers_logits=linear))
    found = serving.answer_weights(manifest(), 40)
    np.testing.assert_allclose(found.weights, weights, atol=1e-5)
    np.testing.assert_allclose(found.bias, bias)
    assert serving.answer_weights(manifest(), 40) is found
    assert sum(calls) == 41


@pytest.mark.parametrize("late", [DermisError(Kind.DEADLINE, "SERVING_DEADLINE", "serving took too long"), None])
def test_a_slow_model_is_probed_over_several_cases_and_costs_none_its_outcome(
    late: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def slow(features: Any) -> Any:
        calls.append(len(features))
        if len(calls) == 2 and late:
            raise late
        return np.zeros((len(features), 4), np.float32)

    monkeypatch.setattr(rpc, "_PROBING_S", 5.0 if late else 0.0)
    ticks = itertools.count()
    monkeypatch.setattr("dermis.worker.adapters.rpc.time.monotonic", lambda: float(next(ticks)))
    serving = client(Channel(answers_logits=slow))
    answers = [serving.answer_weights(manifest(), 40) for _ in range(5)]
    assert answers[0] is None
    assert answers[-1] is not None
    assert sum(calls) == 41 + (16 if late else 0), "what was found out is kept"


def test_a_version_that_is_not_told_of_soon_is_not_waited_for_as_long_as_a_prediction() -> None:
    waits: list[float] = []

    class Silent(Channel):
        def unary_unary(self, _path: str, **_: Any) -> Any:
            return lambda _request, timeout: waits.append(timeout) or pb.GetModelStatusResponse()

    assert not ServingClient(Silent(), deadline_s=10).available(VersionRef(name="dermis", version=1))  # type: ignore[arg-type]
    assert waits == [2]


def test_what_answers_count_is_read_from_a_bundle_that_carries_it() -> None:
    store = MemoryStore()
    models = StoreModels(store, lambda _ref: True)
    carrying = manifest().model_copy(update={"answer_weights": "answer_weights.npz"})
    weights = AnswerWeights(bias=np.arange(4, dtype=np.float32), weights=np.eye(3, 4, dtype=np.float32))
    store.put_once(f"{carrying.key}/answer_weights.npz", answer_shares.to_bytes(weights))
    assert models.bundle_answer_weights(manifest()) is None
    read = models.bundle_answer_weights(carrying)
    assert read is not None
    np.testing.assert_array_equal(read.weights, weights.weights)
    np.testing.assert_array_equal(read.bias, weights.bias)
    assert models.bundle_answer_weights(carrying) is read


@pytest.mark.parametrize("data", [b"", b"no npz", answer_shares.to_bytes(MISFIT), answer_shares.to_bytes(INFINITE)])
def test_weights_of_answers_that_are_broken_say_so(data: bytes) -> None:
    with pytest.raises(DermisError, match="weights of answers"):
        answer_shares.from_bytes(data)


def test_outliers_are_read_once_from_the_bundle() -> None:
    store = MemoryStore()
    models = StoreModels(store, lambda _ref: True)
    assert models.outliers(manifest()) is None
    known = Outliers(mean=np.zeros(4), axes=np.eye(4)[:1], variances=np.ones(1), rest=1.0)
    store.put_once(f"{KNOWING.key}/outliers.npz", to_bytes(known))
    first = models.outliers(KNOWING)
    assert first is not None
    assert first.score(np.full(4, 3.0)) == pytest.approx(9)
    assert models.outliers(KNOWING) is first


def point_to(store: MemoryStore, data: bytes) -> None:
    pointer = Current(current=VersionRef(name=manifest().name, version=manifest().version))
    store.put_once(CURRENT_KEY, pointer.model_dump_json().encode())
    store.put_once(f"{manifest().key}/{MANIFEST_FILE}", data)


def test_cases_wait_for_a_manifest_that_is_broken_and_for_one_that_is_missing() -> None:
    store = MemoryStore()
    point_to(store, b"{")
    models = StoreModels(store, lambda _: True)
    for _ in range(2):
        with pytest.raises(DermisError) as fault:
            models.pinned()
        assert (fault.value.kind, fault.value.reason) == (Kind.UNAVAILABLE, "MODEL_NOT_READY")
        store.delete(f"{manifest().key}/{MANIFEST_FILE}")
    store.put_once(f"{manifest().key}/{MANIFEST_FILE}", manifest().model_dump_json().encode())
    assert models.pinned() == manifest()


def test_a_version_that_is_held_is_kept_while_the_next_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dermis.worker.adapters.models._LOOK_EVERY_S", 0)
    store = MemoryStore()
    point_to(store, manifest().model_dump_json().encode())
    models = StoreModels(store, lambda _: True)
    assert models.pinned() == manifest()
    held = store.get_versioned(CURRENT_KEY)
    broken = Current(current=VersionRef(name=manifest().name, version=manifest().version + 1))
    store.put_once(f"models/{manifest().name}/{manifest().version + 1}/{MANIFEST_FILE}", b"{")
    store.replace(CURRENT_KEY, broken.model_dump_json().encode(), generation=held.generation)
    assert models.pinned() == manifest()


@pytest.mark.parametrize("data", [None, b"no arrays"])
def test_cases_wait_for_a_file_of_the_bundle_that_is_broken(data: bytes | None) -> None:
    store = MemoryStore()
    if data:
        store.put_once(f"{KNOWING.key}/outliers.npz", data)
    with pytest.raises(DermisError) as fault:
        StoreModels(store, lambda _: True).outliers(KNOWING)
    assert (fault.value.kind, fault.value.reason) == (Kind.UNAVAILABLE, "BUNDLE_BROKEN")
