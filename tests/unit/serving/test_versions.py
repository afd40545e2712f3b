"""What models.config asks for and what follows."""

from typing import Any

import pytest

from dermis.api.serving.v1 import serving_pb2 as pb
from dermis.serving.core.refusal import RpcRefusal
from dermis.serving.core.versions import to_load, to_unload, wanted_versions
from dermis.shared.manifest import VersionRef

Status = pb.ModelVersionStatus


def refs(*versions: int, name: str = "dermis") -> frozenset[VersionRef]:
    return frozenset(VersionRef(name=name, version=version) for version in versions)


def states(**by_version: Any) -> dict[VersionRef, pb.ModelVersionStatus.State]:
    return {VersionRef(name="dermis", version=int(key[1:])): state for key, state in by_version.items()}


def test_reads_several_models_and_versions() -> None:
    config = """
    model_config_list {
      config { name: "dermis" base_path: "/models/dermis" model_platform: "tensorflow"
               model_version_policy { specific { versions: 2 versions: 1 } } }
      config { name: "other" base_path: "/x" model_platform: "tensorflow"
               model_version_policy { specific { versions: 9 } } }
    }"""
    assert wanted_versions(config) == refs(1, 2) | refs(9, name="other")
    assert wanted_versions("") == frozenset()


@pytest.mark.parametrize(
    "config",
    [
        "model_config_list {",
        'model_config_list { config { name: "dermis" model_version_policy { all {} } } }',
        'model_config_list { config { name: "dermis" } }',
        "model_config_list { config { model_version_policy { specific { versions: 1 } } } }",
    ],
)
def test_says_what_it_does_not_understand(config: str) -> None:
    with pytest.raises(RpcRefusal, match=r"models\.config"):
        wanted_versions(config)


def test_loads_what_is_newly_wanted_newest_first() -> None:
    assert to_load(refs(1, 2, 3), states(v1=Status.AVAILABLE), before=refs(1)) == [*refs(3), *refs(2)]


def test_does_not_load_again_what_is_available() -> None:
    assert to_load(refs(1), states(v1=Status.AVAILABLE), before=refs()) == []


def test_a_failed_version_waits_until_it_left_and_came_back() -> None:
    assert to_load(refs(1), states(v1=Status.END), before=refs(1)) == []
    assert to_load(refs(1), states(v1=Status.END), before=refs()) == [*refs(1)]


def test_a_version_at_start_is_tried_again() -> None:
    assert to_load(refs(1), states(v1=Status.START), before=refs(1)) == [*refs(1)]


def test_unloads_what_is_not_wanted_once_another_is_available() -> None:
    assert to_unload(refs(2), states(v1=Status.AVAILABLE, v2=Status.AVAILABLE)) == [*refs(1)]


def test_keeps_the_old_version_while_no_new_one_is_available() -> None:
    assert to_unload(refs(2), states(v1=Status.AVAILABLE, v2=Status.END)) == []


def test_unloads_a_model_that_is_no_longer_named() -> None:
    assert to_unload(refs(1, name="other"), states(v1=Status.AVAILABLE, v2=Status.AVAILABLE)) == [*refs(1), *refs(2)]


def test_what_is_gone_is_not_unloaded_again() -> None:
    assert to_unload(refs(2), states(v1=Status.END, v2=Status.AVAILABLE)) == []
