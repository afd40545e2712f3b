"""The import laws hold for the tree as it is, and break where they should."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [
    "proto/gen",
    "shared/src",
    "clients/python/src",
    *(
        f"services/{part}/src"
        for part in ("gateway", "worker", "metadata", "serving", "data", "trainer", "sweep", "standalone")
    ),
]
PLANTED = {
    "services/gateway/src/dermis/gateway/app.py": "import cv2",
    "services/gateway/src/dermis/gateway/pipeline.py": "import dermis.worker.tasks",
    "services/worker/src/dermis/worker/core/phash.py": "import random",
    "shared/src/dermis/shared/case.py": "import dermis.metadata.convert",
    "clients/python/src/dermis/client/images.py": "import dermis.shared.case",
    "services/data/src/dermis/data/dataset.py": "import dermis.trainer.metrics",
    "services/data/src/dermis/data/split/split.py": "import random",
    "services/trainer/src/dermis/trainer/evaluation/slices.py": "import dermis.shared.stores",
}


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(root / source) for source in SOURCES)}
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    return subprocess.run(command, check=False, cwd=root, env=environment, stdout=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    shutil.copy(ROOT / "pyproject.toml", root)
    for source in SOURCES:
        shutil.copytree(ROOT / source, root / source, ignore=shutil.ignore_patterns("__pycache__", "bundle", "case"))
    return root


def test_the_tree_keeps_the_laws(copy: Path) -> None:
    found = lint(copy)
    assert found.returncode == 0, found.stdout
    assert "0 broken" in found.stdout


@pytest.mark.parametrize("path", PLANTED)
def test_a_planted_import_breaks_one(copy: Path, path: str) -> None:
    file = copy / path
    original = file.read_text()
    file.write_text(original + "\n" + PLANTED[path] + "\n")
    try:
        found = lint(copy)
    finally:
        file.write_text(original)
    assert found.returncode != 0
    assert re.search(r"[1-9]\d* broken", found.stdout), found.stdout


def test_below_dermis_all_is_regular_packages() -> None:
    """A namespace package has portions in every installed tree, of which the import linter would read any one."""
    folders = {file.parent for source in SOURCES[1:] for file in (ROOT / source / "dermis").rglob("*.py")}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_no_root_makes_dermis_a_regular_package() -> None:
    assert [source for source in SOURCES if (ROOT / source / "dermis" / "__init__.py").exists()] == []
