"""One place states the version: every other file that states it is held against pyproject.toml."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def check(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(root / "scripts/check_version.py"), *options]
    return subprocess.run(command, check=False, capture_output=True, text=True)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the files that state a version."""
    names = ["scripts/check_version.py", "pyproject.toml", "Dockerfile", "tests/contract/openapi.json"]
    names += ["services/trainer/Dockerfile", "services/serving/tfserving/Dockerfile", "helm/dermis/Chart.yaml"]
    for name in [*names, "clients/typescript/package.json"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_all_files_state_the_same_version() -> None:
    done = check(ROOT)
    assert done.returncode == 0, done.stderr


def test_a_file_left_behind_is_named_and_put_right(tree: Path) -> None:
    project = tree / "pyproject.toml"
    project.write_text(
        project.read_text(encoding="utf-8").replace('\nversion = "', '\nversion = "9.', 1), encoding="utf-8"
    )
    done = check(tree)
    assert done.returncode != 0
    assert all(name in done.stderr for name in ("Chart.yaml", "package.json", "Dockerfile", "openapi.json"))
    assert check(tree, "--write").returncode == 0
    assert check(tree).returncode == 0
