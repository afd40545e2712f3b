"""Files of the user's, by a path or by an object's URL."""

from pathlib import Path

import pytest

from dermis.data.mapping import load_mapping
from dermis.data.objects import read_object
from dermis.data.scin.source import load_policy
from dermis.shared.errors import DermisError, Kind
from dermis.shared.stores.disk import DiskStore


def test_a_file_and_an_object_are_read_alike(tmp_path: Path) -> None:
    DiskStore(tmp_path).put_once("splits/a b.json", b"{}")
    file = tmp_path / "splits" / "a b.json"
    assert read_object(str(file)) == read_object(file.as_uri()) == b"{}"


@pytest.mark.parametrize("url", [False, True])
def test_one_that_is_missing_is_named(tmp_path: Path, url: bool) -> None:
    place = (tmp_path / "split.json").as_uri() if url else str(tmp_path / "split.json")
    with pytest.raises(DermisError, match=r"split\.json") as fault:
        read_object(place)
    assert fault.value.kind is Kind.NOT_FOUND


def test_policies_and_mappings_are_taken_from_a_store(tmp_path: Path) -> None:
    policy, mapping = load_policy("scin-all"), load_mapping("pad_ufes_20")
    for name, form in (("policy.json", policy), ("mapping.json", mapping)):
        DiskStore(tmp_path).put_once(name, form.model_dump_json().encode())
    assert load_policy((tmp_path / "policy.json").as_uri()) == policy
    assert load_mapping((tmp_path / "mapping.json").as_uri()) == mapping
    with pytest.raises(DermisError, match="or a file, by its path or URL"):
        load_policy((tmp_path / "none.json").as_uri())
