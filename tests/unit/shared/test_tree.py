"""Laws of the tree that no linter states."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())
SOURCES = [ROOT / folder for folder in CONFIG["tool"]["hatch"]["build"]["targets"]["wheel"]["sources"]]
SOURCES.append(ROOT / "clients/python/src")
SERVICES = {path.name for path in (ROOT / "services").iterdir() if path.is_dir()}


def test_dermis_is_a_namespace_in_every_source_root() -> None:
    assert len(SOURCES) == 11
    for source in SOURCES:
        assert not (source / "dermis/__init__.py").exists(), (
            f"{source / 'dermis/__init__.py'} would hide every other part"
        )
        assert not (source / "dermis/py.typed").exists()


def test_shared_imports_no_service() -> None:
    files = [*(ROOT / "shared/src").rglob("*.py"), *(ROOT / "proto/gen").rglob("*.py")]
    assert len(files) > 15
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{file}: relative import"
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            for name in names:
                parts = name.split(".")
                assert parts[0] != "dermis" or parts[1] in {"shared", "api"}, f"{file} imports {name}"


def test_the_words_load_without_arrays_grpc_or_any_service() -> None:
    modules = [
        "case",
        "errors",
        "ids",
        "jobs",
        "manifest",
        "ports",
        "report",
        "settings",
        "stores",
        "telemetry",
        "vocabulary",
    ]
    code = f"import sys; import {', '.join(f'dermis.shared.{name}' for name in modules)}; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    )
    heavy = {"numpy", "cv2", "grpc", "tensorflow", "google.cloud.storage", "requests"}
    assert not loaded & (heavy | {f"dermis.{service}" for service in SERVICES})


def test_no_folder_of_odds_and_ends() -> None:
    for source in SOURCES:
        for path in source.rglob("*"):
            assert path.stem not in {"utils", "util", "common", "helpers", "misc"}, path
