"""Is the part in this container well?"""

import os
from pathlib import Path

import pytest

from dermis.shared.health import is_well


@pytest.mark.parametrize("variable", ["DERMIS_WORKER_ALIVE_FILE", "DERMIS_SWEEP_ALIVE_FILE"])
def test_a_file_that_was_not_touched_for_a_minute_is_no_sign_of_life(tmp_path: Path, variable: str) -> None:
    file = tmp_path / "alive"
    file.touch()
    assert is_well("worker", {variable: str(file)})
    os.utime(file, (0, 0))
    assert not is_well("worker", {variable: str(file)})


def test_a_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        is_well("worker", {"DERMIS_WORKER_ALIVE_FILE": str(tmp_path / "none")})


def test_a_container_without_a_part_that_runs_on_is_well() -> None:
    assert is_well("standalone", {})
