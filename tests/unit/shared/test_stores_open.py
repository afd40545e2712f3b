from pathlib import Path

import pytest

from dermis.shared.errors import DermisError, Kind
from dermis.shared.stores import is_store_url, open_source, open_store, overlap


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        ("file:///srv/dermis", "/srv/dermis"),
        ("file://localhost/srv/dermis/", "/srv/dermis"),
        ("file:///srv/a%20folder%23", "/srv/a folder#"),
        ("file:///srv/ä b", "/srv/ä b"),
    ],
)
def test_a_file_url_names_a_folder(url: str, folder: str) -> None:
    assert is_store_url(url)
    assert vars(open_store(url))["_root"] == Path(folder)


def test_the_url_of_any_folder_opens_that_folder(tmp_path: Path) -> None:
    odd = tmp_path / "a b%20c?d#e"
    open_store(odd.as_uri()).put_once("k", b"1")
    assert (odd / "k").read_bytes() == b"1"


def test_the_url_of_a_file_is_refused_by_its_name(tmp_path: Path) -> None:
    file = tmp_path / "photo.jpg"
    file.write_bytes(b"")
    for place in (file, file / "store"):
        for opens in (open_store, open_source):
            with pytest.raises(DermisError, match=r"photo\.jpg is a file; name a folder") as refused:
                opens(place.as_uri())
            assert refused.value.kind is Kind.INVALID


@pytest.mark.parametrize(
    "url", ["gs://dermis-cases", "gs://dermis-cases/", "gs://my.bucket_1/some/prefix/", "gs://abc/x?anonymous=true"]
)
def test_a_gs_url_is_understood_without_opening_it(url: str) -> None:
    assert is_store_url(url)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "store",
            "/srv/dermis",
            "file://",
            "file:///",
            "file://srv/dermis",
            "file:/srv",
            "file:///srv?x=1",
            "file:///srv#x",
        ),
        *(
            "gs://",
            "gs:///prefix",
            "gs://Bucket",
            "gs://ab",
            "gs://bucket?anonymous=yes",
            "gs://bucket/a#b",
            "gs://user@bucket",
        ),
        *("s3://bucket", "memory://", "http://[", "GS://bucket"),
    ],
)
def test_any_other_url_is_refused_with_the_forms_to_use(url: str) -> None:
    assert not is_store_url(url)
    with pytest.raises(DermisError, match=r"file:///folder, gs://bucket/prefix") as fault:
        open_store(url)
    assert (fault.value.kind, fault.value.reason) == (Kind.INVALID, "STORE_URL")


@pytest.mark.parametrize(
    ("source", "shared"),
    [
        ("file:///a/store", True),
        ("file:///a/store/cases", True),
        ("file:///a", True),
        ("file:///a/store2", False),
        ("file:///b", False),
        ("gs://a/store", False),
    ],
)
def test_a_source_that_shares_objects_with_the_store_is_told(source: str, shared: bool) -> None:
    assert overlap("file:///a/store", source) is shared


def test_so_is_one_behind_a_link_and_in_a_bucket(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "store")
    assert overlap((tmp_path / "store").as_uri(), (tmp_path / "link" / "cases").as_uri())
    assert overlap("gs://bucket/dermis", "gs://bucket/dermis/cases")
    assert overlap("gs://bucket/dermis", "gs://bucket")
    assert not overlap("gs://bucket/dermis", "gs://bucket/photos?anonymous=true")
