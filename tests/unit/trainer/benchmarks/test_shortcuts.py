"""What labels can be told from without looking at skin."""

from typing import Any

import cv2
import numpy as np
import pytest

from dermis.data.dataset import open_dataset
from dermis.trainer.benchmarks.shortcuts import missing_answers, missing_in_the_table, size_and_aspect, table

pytestmark = pytest.mark.trainer
HEADER = "file,patient_id,lesion_id,label,gender,fitzpatrick,age,itch,grew,hurt,bleed,elevation,region\n"


@pytest.fixture
def leaky(tmp_path: Any) -> Any:
    """A table in which sex and type are missing, and images squeezed, just where the lesion is benign."""
    rng = np.random.default_rng(0)
    rows = []
    for n in range(60):
        bad = n % 2 == 0
        form = "FEMALE,2.0" if bad else ","
        rows.append(f"{n}.png,p{n},1,{'BCC' if bad else 'NEV'},{form},50,False,False,False,False,False,ARM\n")
        size = (40, 40) if not bad else (30, 50)
        _, data = cv2.imencode(".png", rng.integers(0, 255, (*size, 3)).astype(np.uint8))
        (tmp_path / f"{n}.png").write_bytes(data.tobytes())
    (tmp_path / "manifest.csv").write_text(HEADER + "".join(rows), encoding="utf-8")
    return open_dataset(str(tmp_path), mapping="pad_ufes_20")


def test_a_leak_is_seen_in_the_table_and_in_the_copies_and_not_in_the_answers(leaky: Any) -> None:
    lines = {line.split(" | ")[0].lstrip("| "): line for line in table(leaky).splitlines()}
    assert "| 1.000 " in lines["what is missing in the table"]
    assert "| 1.000 " in lines["size and aspect of the image"]
    assert float(lines["which answers are missing"].split(" | ")[1].split()[0]) < 0.7


def test_missing_is_one_where_nothing_was_told(leaky: Any) -> None:
    assert missing_answers(leaky)[0].sum() == len(missing_answers(leaky)[0]) - 3  # age, texture, place
    assert (missing_in_the_table(leaky)[1] >= missing_in_the_table(leaky)[0]).all()
    assert size_and_aspect(leaky).mean(0) == pytest.approx(0, abs=1e-9)
