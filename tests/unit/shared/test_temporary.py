"""Temporary folders: gone at the end, and with the next holder if the last one was killed; a living one's stays."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from dermis.shared.temporary import held_folder

HOLD = """
import os, sys, time
from dermis.shared.temporary import held_folder
with held_folder("dermis-x-") as folder:
    (folder / "sub").mkdir()
    (folder / "sub" / "file").write_text("x")
    if len(sys.argv) > 1 and os.fork() == 0:
        sys.stdin.read()
        os._exit(0)
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def _own_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def folders() -> list[Path]:
    return sorted(Path(tempfile.gettempdir()).iterdir())


def holder(*arguments: str) -> tuple["subprocess.Popen[bytes]", Path]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout
    return process, Path(process.stdout.readline().decode().strip())


def test_a_folder_is_gone_at_the_end() -> None:
    with held_folder("dermis-x-") as folder:
        (folder / "file").write_text("x")
    assert folders() == []


def test_what_a_killed_holder_left_is_removed_by_the_next_and_no_other() -> None:
    killed, left = holder()
    killed.kill()
    killed.communicate()
    alive, kept = holder()
    assert folders() == [kept]
    assert left != kept
    with held_folder("dermis-x-") as folder:
        assert folders() == sorted([kept, folder])
    alive.kill()
    alive.communicate()


def test_a_killed_holders_children_hold_its_folder_as_long_as_they_live() -> None:
    killed, kept = holder("fork")
    killed.kill()
    killed.wait()
    with held_folder("dermis-x-") as folder:
        assert folders() == sorted([kept, folder])
    killed.communicate()  # closes what the child waits for
    with held_folder("dermis-x-") as folder:
        assert folders() == [folder]
