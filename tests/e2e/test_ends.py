"""The ends of cases side by side, by the program that shows them."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.e2e import pages
from tests.e2e.conftest import System
from tests.e2e.ends import ROOT

pytestmark = pytest.mark.browser
COMMAND = [sys.executable, "-m", "tests.e2e.ends"]


def test_a_result_and_a_rejection_stand_side_by_side(system: System, tmp_path: Path) -> None:
    dark = tmp_path / "dark.png"
    Image.new("RGB", (600, 450)).save(dark)
    case, rejected, out = ",".join(map(str, pages.IMAGES)), str(dark), tmp_path / "ends.png"
    command = [*COMMAND, "--url", system.url, "--out", str(out), "--case", case, "--case", rejected]
    said = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    assert [line.split()[1] for line in said] == ["DIFFERENTIAL", "REJECTION"]
    with Image.open(out) as whole:
        assert whole.width == 2 * (pages.SIZES["phone"]["width"] + 16)


def test_a_picture_of_photos_is_never_written_into_the_repository() -> None:
    asked = subprocess.run(
        [*COMMAND, "--out", "ends.png", "--case", "x.png"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert asked.returncode == 2
    assert "inside the repository" in asked.stderr
