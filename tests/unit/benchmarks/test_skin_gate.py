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
from benchmarks.skin_gate.train import CS, by_source, choose, out_of_fold, threshold
from benchmarks.skin_gate.views import SIZE, GateView, limbs, portraits, training_people

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
    trains, tests = (
        {source.package for source in (*one, *other)}
        for one, other in ((sources.TRAIN, sources.SKIN), (sources.TEST, sources.FACES))
    )
    assert not trains & tests


def test_a_package_is_read_by_folders_and_parts_no_person(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for folder, number in (("cat", 1), ("cat", 11), ("hand", 2)):
        (tmp_path / folder).mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / folder / f"image_{number:04}.png"), rng.integers(0, 256, (128, 128, 3)))
    source = Package(kind="animals", package=tmp_path.name, licence="made here", folders=("cat",))
    assert [name for name, _ in sources.read(source, tmp_path.parent)] == ["cat/image_0001.png", "cat/image_0011.png"]
    hands = replace(source, first=1, person=10)
    groups = [hands.group(f"7/IMG_{number}.JPG") for number in (1, 10, 11)]
    assert groups[0] == groups[1] != groups[2]
    assert source.group("cat/image_0001.png") != source.group("dog/image_0001.png")


def test_people_train_as_they_are_and_as_if_darker(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "IMG_7.png"), np.random.default_rng(0).integers(90, 256, (128, 128, 3)))
    source = Package(kind="hands", package=tmp_path.name, licence="made here", person=10)
    read = list(training_people(source, tmp_path.parent))
    assert [(one.kind, one.skin, one.changed) for one in read] == [
        ("hands", True, False),
        ("hands", True, True),
        ("hands, darkened", True, True),
    ]
    assert len({one.group for one in read}) == 1
    assert read[2].pixels.mean() < read[0].pixels.mean()


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
    scores = out_of_fold(features, views, 1e-3)
    assert roc_auc_score([one.skin for one in views], scores) > 0.85


def test_folds_by_source_show_a_head_nothing_of_a_source() -> None:
    """What marks one package's pictures alone helps where the package trains, and not where it does not."""
    features, views = learned()
    views = [replace(one, source=one.kind if one.skin or place % 2 else "zoo") for place, one in enumerate(views)]
    zoo = np.array([one.source == "zoo" for one in views])
    features[~zoo & [not one.skin for one in views], 1] -= 8
    skin, here = np.array([one.skin for one in views]), zoo
    alone, both = by_source(features, views, 1.0), out_of_fold(features, views, 1.0)
    assert roc_auc_score(skin[skin | here], both[skin | here]) > roc_auc_score(skin[skin | here], alone[skin | here])


def test_the_strength_that_parts_unseen_sources_best_is_taken() -> None:
    features, views = learned(40)
    views = [replace(one, source=one.kind) for one in views]
    chosen = choose(features, views)
    assert chosen.refused[chosen.c] == max(chosen.refused.values())
    assert len(chosen.refused) == len(CS)
    assert f"{chosen.c:g}" in chosen.table()


def test_the_threshold_keeps_skin_of_each_kind_alike_and_photos_of_an_unseen_source() -> None:
    _, views = learned()
    views = [one for one in views if one.kind != "drawings" or one.group < "drawings 30"]
    scores = np.arange(len(views), dtype=float)
    kinds = np.array([one.kind for one in views])
    limit = threshold(scores, scores - 10, views)
    assert np.mean([np.mean(scores[kinds == kind] < limit) for kind in SKINS]) <= 0.015
    assert np.mean(scores[kinds == "photos"] - 10 < limit) <= 0.015
    assert threshold(scores, scores - 50, views) == limit - 40, "photos of a source that is new have their say"
    assert threshold(scores - 90, scores, views) < limit - 40, "and so has every kind of skin"


def test_portraits_show_a_face_in_the_midst_of_what_is_around_it() -> None:
    face = replace(view("faces", skin=True, group="person 1"), pixels=np.full((SIZE, SIZE, 3), 200, np.uint8))
    around = replace(view("cloth", skin=False), pixels=np.full((SIZE, SIZE, 3), (0, 0, 90), np.uint8))
    drawn = list(portraits([face], [around], 20))
    assert {(one.kind, one.group, one.skin, one.changed) for one in drawn} == {("portraits", "person 1", True, True)}
    assert len({one.pixels.tobytes() for one in drawn}) == 20
    seen = [np.all(one.pixels > 150, axis=-1).mean() for one in drawn]
    assert 0.05 < min(seen)
    assert np.median([one.pixels[SIZE * 2 // 5, SIZE // 2, 0] for one in drawn]) > 150


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
