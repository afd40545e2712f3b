"""The front door: a source in a store, its images, its cases."""

import cv2
import numpy as np
import pandas as pd
import pytest

from dermis.data.scin.columns import CASES_FILE, LABELS_FILE, PERSONS_FILE
from dermis.data.scin.fetch import fetch, images_of
from dermis.data.scin.source import Scin, open_scin, to_binary
from dermis.data.scin.tables import read_tables
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ports import BlobNotFound
from dermis.shared.stores.memory import MemoryStore
from tests.unit.data.scin_rows import Row, case, files, labelled

ROWS = [
    labelled(1, {"Eczema": 1.0}, images=(1, 2), textures_flat="YES"),
    labelled(2, {"Tinea": 1.0}, images=(2,), textures_flat="YES", textures_fluid_filled="YES"),
    case(3, images=(4,)),
]


def png(shade: int) -> bytes:
    return cv2.imencode(".png", np.full((3, 5, 3), (10, 20, shade), np.uint8))[1].tobytes()


def source(rows: list[Row] = ROWS) -> Scin:
    store = MemoryStore()
    for name, data in zip((CASES_FILE, LABELS_FILE), files(rows), strict=True):
        store.put_once(name, data)
    store.put_once("images/1.png", png(101))
    store.put_once("images/2.png", png(102))
    store.put_once("images/3.png", b"no image")
    return Scin(source="memory", store=store, tables=read_tables(*files(rows)))


def test_an_image_is_rgb() -> None:
    image = source().read_image("images/1.png")
    assert image.shape == (3, 5, 3)
    assert image[0, 0].tolist() == [101, 20, 10]


def test_a_missing_and_a_broken_image_are_told_apart() -> None:
    with pytest.raises(BlobNotFound):
        source().read_image("images/4.png")
    with pytest.raises(DermisError, match="no image that can be decoded") as caught:
        source().read_image("images/3.png")
    assert caught.value.kind is Kind.INVALID


def test_images_come_in_order_and_the_missing_as_none() -> None:
    keys = ["images/2.png", "images/4.png", "images/1.png"] * 7
    read = list(source().read_images(keys))
    assert [key for key, _ in read] == keys
    assert [None if image is None else int(image[0, 0, 0]) for _, image in read] == [102, None, 101] * 7


def test_a_case_is_shown_with_its_images() -> None:
    scin = source()
    assert scin.image_paths("1") == ["images/1.png", "images/2.png"]
    figure = scin.show_case("1")
    assert [panel.get_title() for panel in figure.axes] == ["CLOSE_UP", "CLOSE_UP"]
    assert "Eczema 1.00" in figure.get_suptitle()
    assert "missing" in scin.show_case("3").axes[0].get_title()
    with pytest.raises(DermisError, match="no case '9'"):
        scin.show_case("9")


def test_labelled_cases_have_their_label_beside_them() -> None:
    assert source().labelled("scin-all")[["case_id", "top"]].to_numpy().tolist() == [["1", "Eczema"], ["2", "Tinea"]]


def test_absent_answers_are_missing_not_zero() -> None:
    binary = to_binary(list(source().cases["textures"]), ("FLAT", "FLUID_FILLED"))
    assert binary.iloc[:2].to_numpy().tolist() == [[1, 0], [1, 1]]
    assert binary.iloc[2].isna().all()
    assert (binary.dtypes == "Int8").all()


def test_a_folder_without_tables_says_what_is_missing(tmp_path: object) -> None:
    with pytest.raises(DermisError, match=r"no object 'scin_cases.csv' in file://.*: name the folder that holds"):
        open_scin(f"file://{tmp_path}")


def test_what_is_fetched_is_a_source_itself() -> None:
    scin, home = source(), MemoryStore()
    steps: list[int] = []
    done = fetch(scin, ["1", "3"], home, step=lambda: steps.append(1))
    assert done.fetched == ("images/1.png", "images/2.png")
    assert done.missing == ("images/4.png",)
    assert len(steps) == 3
    again = read_tables(home.get(CASES_FILE), home.get(LABELS_FILE))
    expected = scin.cases[scin.cases["case_id"] != "2"].reset_index(drop=True)
    pd.testing.assert_frame_equal(again.cases, expected)
    assert home.get("images/1.png") == scin.store.get("images/1.png")


def test_what_is_fetched_keeps_whose_its_cases_are() -> None:
    scin, home = source(), MemoryStore()
    scin.store.put_once(PERSONS_FILE, b"case_id,person\n1,7\n2,7\n3,8\n")
    fetch(scin, ["1", "3"], home)
    tables = read_tables(home.get(CASES_FILE), home.get(LABELS_FILE), persons=home.get(PERSONS_FILE))
    assert list(tables.cases["person"]) == ["7", "8"]
    assert set(tables.digests) == {CASES_FILE, LABELS_FILE, PERSONS_FILE}


class _Stopped(MemoryStore):
    """A source that must not be read again."""

    def get(self, key: str, *, most: int | None = None) -> bytes:
        assert not key.startswith("images/") or key == "images/4.png", key
        return super().get(key, most=most)


def test_a_fetch_goes_on_where_it_was_stopped() -> None:
    scin, home = source(), MemoryStore()
    fetch(scin, ["1", "3"], home)
    stopped = _Stopped()
    for name, data in zip((CASES_FILE, LABELS_FILE), files(ROWS), strict=True):
        stopped.put_once(name, data)
    done = fetch(Scin(source="again", store=stopped, tables=scin.tables), ["1", "3"], home)
    assert (done.fetched, done.there, done.missing) == ((), ("images/1.png", "images/2.png"), ("images/4.png",))


def test_a_shared_image_is_fetched_once() -> None:
    assert images_of(source(), ["1", "2"]) == ["images/1.png", "images/2.png"]
