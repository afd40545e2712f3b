"""Which versions models.config wants, and what to load and unload for it."""

from collections.abc import Mapping

from google.protobuf import text_format

from dermis.api.serving.v1 import serving_pb2 as pb
from dermis.serving.core.refusal import RpcRefusal
from dermis.shared.manifest import VersionRef

States = Mapping[VersionRef, pb.ModelVersionStatus.State]


def wanted_versions(config: str) -> frozenset[VersionRef]:
    """Read models.config: a ModelServerConfig in text format, every model with a `specific` policy."""
    try:
        models = text_format.Parse(config, pb.ModelServerConfig()).model_config_list.config
    except text_format.ParseError as error:
        raise RpcRefusal(pb.INVALID_ARGUMENT, f"models.config is not understood: {error}") from error
    for model in models:
        if not model.name or not model.model_version_policy.specific.versions:
            raise RpcRefusal(
                pb.INVALID_ARGUMENT, f"models.config: model {model.name!r} needs a name and a 'specific' version policy"
            )
    return frozenset(
        VersionRef(name=model.name, version=v) for model in models for v in model.model_version_policy.specific.versions
    )


def to_load(wanted: frozenset[VersionRef], states: States, *, before: frozenset[VersionRef]) -> list[VersionRef]:
    """Return what to load, newest first: what is wanted since now, and what waits at START for another try.

    A version that failed stays at END until it has left the configuration and come back.
    """
    fresh = {ref for ref in wanted - before if states.get(ref) != pb.ModelVersionStatus.AVAILABLE}
    waiting = {ref for ref in wanted if states.get(ref) == pb.ModelVersionStatus.START}
    return sorted(fresh | waiting, key=lambda ref: (ref.name, -ref.version))


def to_unload(wanted: frozenset[VersionRef], states: States) -> list[VersionRef]:
    """Return what to unload.

    It is not wanted, and either its model is not wanted at all or a wanted version of it is available.

    Source: TensorFlow Serving's AvailabilityPreservingPolicy.
    """
    available = {ref for ref, state in states.items() if state == pb.ModelVersionStatus.AVAILABLE}
    replaced = {ref.name for ref in wanted & available}
    still_named = {ref.name for ref in wanted}
    gone = [ref for ref in available - wanted if ref.name in replaced or ref.name not in still_named]
    return sorted(gone, key=lambda ref: (ref.name, ref.version))
