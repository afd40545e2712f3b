"""The same commands on a bucket as on a folder."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from dermis.data.cli import data
from dermis.data.scin.columns import CASES_FILE, LABELS_FILE
from dermis.data.scin.source import open_scin
from dermis.shared.stores import open_store
from tests.unit.data.scin_rows import case, files, labelled

pytest_plugins = ["tests.support.gcs"]


@pytest.fixture
def source(gcs_url: str) -> str:
    store = open_store(gcs_url)
    rows = [labelled(n, {"AB"[n % 2]: 1.0}, images=(n, -n)) for n in range(1, 20)]
    for name, table in zip((CASES_FILE, LABELS_FILE), files([*rows, case(20, images=(20,))]), strict=True):
        store.put_once(name, table)
    for n in range(1, 20):
        for image in (n, -n):
            store.put_once(f"images/{image}.png", cv2.imencode(".png", np.full((4, 4, 3), n, np.uint8))[1].tobytes())
    return gcs_url


def test_a_bucket_is_read_where_it_is_and_a_part_comes_home(source: str, tmp_path: Path) -> None:
    scin = open_scin(source)
    assert len(scin.cases) == 20
    assert [image is None for _, image in scin.read_images(["images/1.png", "images/20.png"])] == [False, True]
    home = tmp_path / "home"
    said = CliRunner().invoke(
        data, ["fetch", "--data", source, "--policy", "scin-all", "--where", "label=A|", str(home)]
    )
    assert said.exit_code == 0, said.output
    assert "10 of 20 cases, 19 images" in said.output
    assert "18 fetched, 0 were there, 1 missing in the source" in said.output
    assert (home / "images" / "-2.png").read_bytes() == open_store(source).get("images/-2.png")
    split = tmp_path / "split.json"
    said = CliRunner().invoke(data, ["split", "--data", source, "--policy", "scin-all", "--out", str(split)])
    assert said.exit_code == 0, said.output
    assert "no leak" in CliRunner().invoke(data, ["audit", "--data", source, "--policy", "scin-all", str(split)]).output
