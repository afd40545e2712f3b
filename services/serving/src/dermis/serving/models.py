"""The versions that are served: follows models.config in the store, finds the version that a call names."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from dermis.api.serving.v1 import serving_pb2 as pb
from dermis.serving.core.refusal import RpcRefusal
from dermis.serving.core.versions import to_load, to_unload, wanted_versions
from dermis.serving.ports import Load, Runner
from dermis.shared.errors import GRPC_CODE, DermisError
from dermis.shared.manifest import SERVER_CONFIG_KEY, VersionRef
from dermis.shared.ports import BlobNotFound, BlobStore
from dermis.shared.telemetry import log

Status = pb.ModelVersionStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    state: pb.ModelVersionStatus.State
    code: str = "OK"
    message: str = ""
    runner: Runner | None = None

    def as_proto(self, number: int) -> pb.ModelVersionStatus:
        return Status(
            version=number, state=self.state, status=pb.StatusProto(error_code=self.code, error_message=self.message)
        )


class ServedModels:
    """One thread calls `poll`; any may ask. `_versions` is replaced, never changed, so that no reader needs a lock."""

    def __init__(self, store: BlobStore, load: Load) -> None:
        self._store = store
        self._load = load
        self._versions: dict[VersionRef, Version] = {}
        self._wanted: frozenset[VersionRef] = frozenset()
        self._fault = ""

    @property
    def available(self) -> bool:
        """Whether any version answers."""
        return any(version.runner for version in self._versions.values())

    def find(self, spec: pb.ModelSpec) -> tuple[int, Runner]:
        """Return the version that `spec` names, the largest available one if it names none.

        Codes and wording of TensorFlow Serving's server_core.cc and basic_manager.cc. No version carries a label here.
        """
        if not spec.name:
            raise RpcRefusal(pb.INVALID_ARGUMENT, "ModelSpec has no name specified.")
        if spec.WhichOneof("version_choice") == "version_label":
            raise RpcRefusal(pb.INVALID_ARGUMENT, f"Unrecognized servable version label: {spec.version_label}")
        runners = {ref.version: v.runner for ref, v in self._versions.items() if ref.name == spec.name and v.runner}
        number = spec.version.value if spec.HasField("version") else max(runners, default=None)
        if number is None or number not in runners:
            request = f"Specific({spec.name}, {number})" if spec.HasField("version") else f"Latest({spec.name})"
            raise RpcRefusal(pb.NOT_FOUND, f"Servable not found for request: {request}")
        return number, runners[number]

    def status(self, spec: pb.ModelSpec) -> list[pb.ModelVersionStatus]:
        """Return the state of the version that `spec` names, of all of the model if it names none, newest first.

        Codes and wording of TensorFlow Serving's get_model_status_impl.cc.
        """
        states = {ref.version: version for ref, version in self._versions.items() if ref.name == spec.name}
        if spec.HasField("version"):
            number = spec.version.value
            if number not in states:
                raise RpcRefusal(pb.NOT_FOUND, f"Could not find version {number} of model {spec.name}")
            states = {number: states[number]}
        if not states:
            raise RpcRefusal(pb.NOT_FOUND, f"Could not find any versions of model {spec.name}")
        return [states[number].as_proto(number) for number in sorted(states, reverse=True)]

    def follow(self, *, every_s: float, stop: threading.Event, changed: Callable[[bool], None]) -> None:
        """Poll until `stop`; tell `changed` whether any version answers, first and whenever that changes."""
        reported: bool | None = None
        while not stop.is_set():
            self.poll()
            if self.available != reported:
                reported = self.available
                changed(reported)
            stop.wait(every_s)

    def poll(self) -> None:
        """Read models.config and do what it asks; a fault of the store or of the file leaves everything as it was."""
        try:
            wanted = wanted_versions(self._store.get(SERVER_CONFIG_KEY).decode())
        except Exception as fault:  # noqa: BLE001 - whatever is wrong there, the versions that answer go on
            if str(fault) != self._fault:
                log.warning("config_unread", key=SERVER_CONFIG_KEY, fault=str(fault))
            self._fault = str(fault)
            return
        self._fault = ""
        for ref in to_load(wanted, self._states(), before=self._wanted):
            self._bring_up(ref)
        for ref in to_unload(wanted, self._states()):
            self._take_down(ref)
        self._wanted = wanted

    def _bring_up(self, ref: VersionRef) -> None:
        before = self._versions.get(ref)
        self._put(ref, Version(state=Status.LOADING))
        try:
            version = Version(state=Status.AVAILABLE, runner=self._load(ref))
        except Exception as fault:  # noqa: BLE001 - whatever a broken bundle does, the others stay
            version = _failed(fault)
        self._put(ref, version)
        if version != before:
            state = Status.State.Name(version.state)
            log.info("version", model=ref.name, version=ref.version, state=state, error=version.message)

    def _take_down(self, ref: VersionRef) -> None:
        runner = self._versions[ref].runner
        self._put(ref, Version(state=Status.UNLOADING))
        if runner:
            runner.drain()
        self._put(ref, Version(state=Status.END))
        log.info("version", model=ref.name, version=ref.version, state="END")

    def _put(self, ref: VersionRef, version: Version) -> None:
        self._versions = {**self._versions, ref: version}

    def _states(self) -> dict[VersionRef, pb.ModelVersionStatus.State]:
        return {ref: version.state for ref, version in self._versions.items()}


def _failed(fault: Exception) -> Version:
    """Return the version back at START if another try may help, else at END, with the error."""
    again = isinstance(fault, BlobNotFound) or (isinstance(fault, DermisError) and fault.retryable)
    state = Status.START if again else Status.END
    match fault:
        case RpcRefusal():
            return Version(state=state, code=pb.Code.Name(fault.code), message=fault.message)
        case DermisError():
            return Version(state=state, code=GRPC_CODE[fault.kind], message=fault.detail)
        case _:
            return Version(state=state, code="INTERNAL", message=f"{type(fault).__name__}: {fault}")
