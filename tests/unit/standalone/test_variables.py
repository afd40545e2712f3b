"""The settings of all parts, as the parts announce them."""

from importlib.metadata import EntryPoint, EntryPoints

import pytest

from dermis.standalone import variables

POINTS = EntryPoints(
    [
        EntryPoint("worker", "dermis.sweep.settings:SweepSettings", variables.GROUP),
        EntryPoint("trainer", "no_such_package.settings:TrainerSettings", variables.GROUP),
    ]
)


@pytest.fixture(autouse=True)
def _parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: POINTS)


def test_a_part_that_is_not_installed_has_no_variables() -> None:
    assert set(variables.models()) == {"STANDALONE", "WORKER"}


def test_every_variable_comes_once_with_the_first_source_that_has_it() -> None:
    shown = list(
        variables.effective(
            {
                "option": {"DERMIS_STORE_URL": "file:///a"},
                "environment": {"DERMIS_STORE_URL": "file:///b", "HOME": "/h"},
            }
        )
    )
    by_name = {variable.name: variable for variable in shown}
    assert len(by_name) == len(shown)
    assert (by_name["DERMIS_STORE_URL"].value, by_name["DERMIS_STORE_URL"].source) == ("file:///a", "option")
    assert by_name["DERMIS_STORE_URL"].part == variables.SHARED
    assert (by_name["DERMIS_STANDALONE_STATE"].value, by_name["DERMIS_STANDALONE_STATE"].source) == (
        "/h/.local/share/dermis",
        "default",
    )
    assert (by_name["DERMIS_WORKER_INTERVAL_SECONDS"].value, by_name["DERMIS_WORKER_INTERVAL_SECONDS"].part) == (
        "30",
        "worker",
    )
