"""The notebook of the documentation runs as it stands."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from dermis.data.scin.columns import CASES_FILE, LABELS_FILE
from tests.unit.data.scin_rows import files, labelled

NOTEBOOK = Path(__file__).parents[3] / "docs" / "how-to" / "data-notebook.ipynb"


def run() -> dict[str, object]:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    names: dict[str, object] = {}
    for number, cell in enumerate(cells):
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [], "commit the notebook without its outputs"
            exec(compile("".join(cell["source"]), f"{NOTEBOOK.name} cell {number}", "exec"), names)  # noqa: S102
    return names


def test_it_runs_on_made_up_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [labelled(n, {"AB"[n % 2]: 1.0}, images=(n,), textures_flat="YES") for n in range(1, 40)]
    for name, table in zip((CASES_FILE, LABELS_FILE), files(rows), strict=True):
        (tmp_path / name).write_bytes(table)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1.png").write_bytes(cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes())
    monkeypatch.setenv("SCIN_SOURCE", tmp_path.as_uri())
    assert len(run()["labelled"]) == 39  # type: ignore[arg-type]


def test_it_runs_on_real_rows(real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIN_SOURCE", f"file://{real_data}/scin")
    assert len(run()["labelled"]) > 900  # type: ignore[arg-type]
