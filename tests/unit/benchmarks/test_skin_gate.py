"""The skin gate's training and page: what is drawn, read, weighed and counted."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks.skin_gate import rendered, sources
from benchmarks.skin_gate.page import GateScores, tables
from benchmarks.skin_gate.sources import Package
from benchmarks.skin_gate.train import out_of_fold, threshold
from benchmarks.skin_gate.views import SIZE, GateView, limbs

pytestmark = pytest.mark.trainer
SKINS, OTHERS = ("photos", "drawings"), ("animals", "charts")


def view(
    kind: str, *, skin: bool, group: str = "", source: str = "somewhere", part: str = "", **more: object
) -> GateView:
    pixels = np.zeros((4, 4, 3), np.uint8)
    return GateView(kind=kind, source=source, group=group, skin=skin, pixels=pixels, part=part, **more)  # type: ignore[arg-type]


def learned(n: int = 100) -> tuple[np.ndarray, list[GateView]]:
    """Return features in which skin is 2 higher on the first axis, and its views."""
    rng = np.random.default_rng(0)
    views = [view(kind, skin=kind in SKINS, group=f"{kind} {i}") for kind in (*SKINS, *OTHERS) for i in range(n)]
    features = rng.normal(size=(len(views), 3)).astype(np.float32)
    features[:, 0] += [2.0 * one.skin for one in views]
    return features, views


@pytest.mark.parametrize("kind", list(rendered.TRAIN))
def test_a_generator_draws_the_same_picture_again_and_another_by_another_seed(kind: str) -> None:
    first, again, other = (rendered.TRAIN[kind](np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (first.shape, first.dtype) == ((*rendered.SIZE, 3), np.uint8)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_no_package_both_trains_and_tests() -> None:
    trains, tests = ({source.package for source in each} for each in (sources.TRAIN, sources.TEST))
    assert not trains & tests
    assert not trains & {source.package for source in sources.FACES}


def test_what_is_transparent_lies_on_each_ground(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (128, 128, 4)).astype(np.uint8)
    picture[:64, :, 3] = 0
    cv2.imwrite(str(tmp_path / "cat.png"), picture)
    source = Package(kind="animals", package=tmp_path.name, licence="made here")
    white, brown = (image for _, image in sources.read(source, tmp_path.parent, (sources.WHITE, (160, 126, 86))))
    assert np.unique(white[:64]).tolist() == [255]
    assert brown[0, 0].tolist() == [160, 126, 86]


def test_the_head_tells_skin_by_folds_that_part_no_group() -> None:
    features, views = learned()
    scores = out_of_fold(features, views)
    assert roc_auc_score([one.skin for one in views], scores) > 0.85


def test_the_threshold_keeps_each_kind_of_skin() -> None:
    features, views = learned()
    scores = out_of_fold(features, views)
    limit = threshold(scores, views)
    for kind in SKINS:
        assert np.mean([score < limit for score, one in zip(scores, views, strict=True) if one.kind == kind]) <= 0.015


def test_limbs_of_skin_keep_their_group_and_show_what_is_around_them() -> None:
    skin = [replace(view("photos", skin=True, group="patient 1"), pixels=np.full((SIZE, SIZE, 3), 200, np.uint8))]
    around = [replace(view("cloth", skin=False), pixels=np.full((SIZE, SIZE, 3), (0, 0, 90), np.uint8))]
    drawn = list(limbs(skin, around, 20))
    assert {(one.kind, one.group, one.skin, one.changed) for one in drawn} == {("limbs", "patient 1", True, True)}
    shares = [float(np.mean(one.pixels[..., 0] > 60)) for one in drawn]
    assert 0.1 < np.mean(shares) < 0.9
    assert np.ptp(shares) > 0.2


def test_the_page_counts_the_gate_and_quality_once_each() -> None:
    photos = [
        (view("photos", skin=True, source="Fitzpatrick17k", part="5"), -1.0),
        (view("photos", skin=True, source="Fitzpatrick17k", part="6", unusable=True), -1.0),
        (view("photos", skin=True, source="Fitzpatrick17k", part="1"), 2.0),
    ]
    folds = [(view("photos", skin=True, source="PAD-UFES-20"), 3.0)]
    cat = [(view("animals", skin=False, source="zoo"), 1.0)]
    text = tables(GateScores(limit=0.0, photos=photos, drawings=[], faces=photos[:1], everyday=cat, folds=folds))
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    rows = {tuple(row[:2]): row for row in cells}
    assert rows["all photos", "4"][2:4] == ["1", "25.0%"]
    assert rows["all photos", "4"][5:7] == ["2", "50.0%"]
    assert rows["V-VI", "2"][2] == "1"
    assert rows["animals, zoo", "1"][2] == "0"
