"""Following models.config: load, unload, fail, try again; and finding the version that a call names."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from dermis.api.serving.v1 import serving_pb2 as pb
from dermis.serving.core.refusal import RpcRefusal
from dermis.serving.models import ServedModels
from dermis.shared.errors import DermisError, Kind
from dermis.shared.manifest import SERVER_CONFIG_KEY, VersionRef
from dermis.shared.ports import BlobNotFound
from dermis.shared.stores.memory import MemoryStore

State = pb.ModelVersionStatus
CONFIG_OF_1 = 'model_config_list { config { name: "dermis" model_version_policy { specific { versions: 1 } } } }'


class House:
    """Models over a store in memory; `faults` says which versions don't load and why."""

    def __init__(self, new_runner: Callable[..., object]) -> None:
        self.store = MemoryStore()
        self.runners: dict[VersionRef, Any] = {}
        self.faults: dict[int, Exception] = {}
        self.loads: list[int] = []
        self.new_runner = new_runner
        self.models = ServedModels(self.store, self.load)

    def load(self, ref: VersionRef) -> Any:
        self.loads.append(ref.version)
        if ref.version in self.faults:
            raise self.faults[ref.version]
        self.runners[ref] = self.new_runner(ref.version)
        return self.runners[ref]

    def want(self, *versions: int) -> None:
        numbers = " ".join(f"versions: {version}" for version in versions)
        self.write(
            f'model_config_list {{ config {{ name: "dermis" model_version_policy {{ specific {{ {numbers} }} }} }} }}'
        )
        self.models.poll()

    def write(self, text: str) -> None:
        self.store.replace(
            SERVER_CONFIG_KEY, text.encode(), generation=self.store.get_versioned(SERVER_CONFIG_KEY).generation
        )

    def states(self) -> dict[int, str]:
        return {each.version: State.State.Name(each.state) for each in self.models.status(pb.ModelSpec(name="dermis"))}

    def error_of(self, version: int) -> pb.StatusProto:
        spec = pb.ModelSpec(name="dermis")
        spec.version.value = version
        (status,) = self.models.status(spec)
        return status.status


@pytest.fixture
def house(new_runner: Any) -> House:
    return House(new_runner)


def spec_of(version: int | None = None, *, name: str = "dermis") -> pb.ModelSpec:
    spec = pb.ModelSpec(name=name)
    if version is not None:
        spec.version.value = version
    return spec


def test_without_a_configuration_nothing_is_found(house: House) -> None:
    house.models.poll()
    assert not house.models.available
    with pytest.raises(RpcRefusal, match=r"Servable not found for request: Latest\(dermis\)") as caught:
        house.models.find(spec_of())
    assert caught.value.code == pb.NOT_FOUND
    with pytest.raises(RpcRefusal, match="Could not find any versions of model dermis") as caught:
        house.models.status(spec_of())
    assert caught.value.code == pb.NOT_FOUND


def test_a_configuration_that_comes_later_is_taken_up(house: House) -> None:
    house.models.poll()
    house.want(1, 2)
    assert house.models.available
    assert house.states() == {2: "AVAILABLE", 1: "AVAILABLE"}
    assert [each.version for each in house.models.status(spec_of())] == [2, 1]


def test_finds_by_number_and_else_the_largest(house: House) -> None:
    house.want(1, 3, 2)
    assert house.models.find(spec_of(2)) == (2, house.runners[VersionRef(name="dermis", version=2)])
    assert house.models.find(spec_of())[0] == 3


def test_the_largest_is_the_largest_that_is_available(house: House) -> None:
    house.faults[3] = RpcRefusal(pb.DATA_LOSS, "broken")
    house.want(1, 2, 3)
    assert house.models.find(spec_of())[0] == 2


@pytest.mark.parametrize(
    ("spec", "code", "message"),
    [
        (pb.ModelSpec(), pb.INVALID_ARGUMENT, "ModelSpec has no name specified."),
        (spec_of(name="other"), pb.NOT_FOUND, "Servable not found for request: Latest(other)"),
        (spec_of(9), pb.NOT_FOUND, "Servable not found for request: Specific(dermis, 9)"),
        (spec_of(0), pb.NOT_FOUND, "Servable not found for request: Specific(dermis, 0)"),
        (
            pb.ModelSpec(name="dermis", version_label="stable"),
            pb.INVALID_ARGUMENT,
            "Unrecognized servable version label: stable",
        ),
    ],
)
def test_what_is_not_found(house: House, spec: pb.ModelSpec, code: int, message: str) -> None:
    house.want(1)
    with pytest.raises(RpcRefusal) as caught:
        house.models.find(spec)
    assert (caught.value.code, caught.value.message) == (code, message)


def test_the_state_of_an_unknown_version_is_not_found(house: House) -> None:
    house.want(1)
    with pytest.raises(RpcRefusal, match="Could not find version 9 of model dermis"):
        house.models.status(spec_of(9))


def test_a_roll_out_loads_the_new_and_unloads_the_old(house: House) -> None:
    house.want(1, 2)
    house.want(2, 3)
    assert house.states() == {3: "AVAILABLE", 2: "AVAILABLE", 1: "END"}
    assert house.error_of(1) == pb.StatusProto()
    assert house.runners[VersionRef(name="dermis", version=1)].drained
    assert house.loads == [2, 1, 3]


def test_a_call_under_way_keeps_its_version(house: House) -> None:
    house.want(1)
    _, runner = house.models.find(spec_of())
    house.want(2)
    assert runner.run({"features": [0]}, ("embedding",))["embedding"].tolist() == [[1]]  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("fault", "code", "message"),
    [
        (RpcRefusal(pb.DATA_LOSS, "saved_model.pb is cut"), pb.DATA_LOSS, "saved_model.pb is cut"),
        (DermisError(Kind.INVALID, "BUNDLE_INVALID", "no such field"), pb.INVALID_ARGUMENT, "no such field"),
        (RuntimeError("out of luck"), pb.INTERNAL, "RuntimeError: out of luck"),
    ],
)
def test_a_broken_bundle_ends_with_its_error_and_leaves_the_others(
    house: House, fault: Exception, code: int, message: str
) -> None:
    house.want(1)
    house.faults[2] = fault
    house.want(1, 2)
    assert house.states() == {2: "END", 1: "AVAILABLE"}
    assert house.error_of(2) == pb.StatusProto(error_code=code, error_message=message)  # type: ignore[arg-type]
    assert house.models.find(spec_of())[0] == 1
    house.models.poll()
    assert house.loads == [1, 2], "a broken bundle is not loaded again and again"


def test_a_broken_only_successor_does_not_end_the_version_that_works(house: House) -> None:
    house.want(1)
    house.faults[2] = RpcRefusal(pb.DATA_LOSS, "broken")
    house.want(2)
    assert house.states() == {2: "END", 1: "AVAILABLE"}


@pytest.mark.parametrize(
    "fault", [BlobNotFound("models/dermis/1/manifest.json"), DermisError(Kind.UNAVAILABLE, "STORE", "later")]
)
def test_what_may_pass_is_tried_again(house: House, fault: Any) -> None:
    house.faults[1] = fault
    house.want(1)
    assert house.states() == {1: "START"}
    assert house.error_of(1).error_message == fault.detail
    del house.faults[1]
    house.models.poll()
    assert house.states() == {1: "AVAILABLE"}


@pytest.mark.parametrize("text", ["model_config_list {", 'model_config_list { config { name: "dermis" } }'])
def test_a_configuration_that_can_not_be_read_changes_nothing(house: House, text: str) -> None:
    house.want(1)
    house.write(text)
    house.models.poll()
    assert house.states() == {1: "AVAILABLE"}


def test_a_store_that_is_away_changes_nothing(house: House) -> None:
    house.want(1)
    house.store.delete(SERVER_CONFIG_KEY)
    house.models.poll()
    assert house.models.available


def test_states_on_the_way_are_seen(house: House, new_runner: Any) -> None:
    seen: list[str] = []

    class Watched(new_runner):  # type: ignore[misc]
        def drain(self) -> None:
            seen.append(house.states()[1])

    def load(ref: VersionRef) -> Any:
        seen.append(house.states()[ref.version])
        return Watched()

    house.models._load = load
    house.want(1)
    house.want(2)
    assert seen == ["LOADING", "LOADING", "UNLOADING"]


def test_follows_until_told_to_stop_and_tells_what_changed(house: House) -> None:
    stop = threading.Event()
    told: list[bool] = []

    def changed(available: bool) -> None:
        told.append(available)
        if available:
            stop.set()
        else:
            house.write(CONFIG_OF_1)

    house.models.follow(every_s=0, stop=stop, changed=changed)
    assert told == [False, True]
