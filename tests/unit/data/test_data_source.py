"""What a data set calls itself, and that nothing but SCIN is called SCIN."""

import hashlib
import json
from pathlib import Path

import pytest

from dermis.data.data_source import DATASET_FILE, digest_of_tables
from dermis.data.dataset import mix, open_dataset
from dermis.data.generated.as_scin import write_as_scin
from dermis.data.generated.painted import paint_images
from dermis.data.mapping import DataMapping, open_side
from dermis.data.scin.columns import CASES_FILE, LABELS_FILE
from dermis.data.scin.source import open_scin
from dermis.shared.errors import DermisError
from dermis.shared.stores.disk import DiskStore

MAPPING = DataMapping.model_validate(
    {
        "name": "ours",
        "licence": "internal",
        "table": "visits.csv",
        "image": "photo",
        "unit": "person",
        "attributes": {"condition": {"column": "diagnosis"}},
    }
)


@pytest.fixture
def drawings(tmp_path: Path) -> Path:
    write_as_scin(DiskStore(tmp_path / "drawings"), seed=1, count=4, longest=16)
    return tmp_path / "drawings"


def digests(folder: Path) -> dict[str, str]:
    return {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in (CASES_FILE, LABELS_FILE)}


def test_drawings_are_called_drawings_with_and_without_their_file(drawings: Path) -> None:
    for _ in range(2):
        dataset = open_dataset(str(drawings))
        assert dataset.name == "generated drawings"
        assert dataset.source == f"generated drawings (tables sha256:{digest_of_tables(digests(drawings))[:16]})"
        assert open_side(drawings.as_uri(), None).name == "generated drawings"
        (drawings / DATASET_FILE).unlink(missing_ok=True)
    assert open_dataset("generated:3:4:16").source == "generated drawings, seed 3, 4 cases, 16 px"


@pytest.mark.parametrize(("cell", "name"), [("SCIN", "SCIN"), ("CLINIC", CASES_FILE)])
def test_tables_in_scins_form_are_scin_only_if_they_say_so(drawings: Path, cell: str, name: str) -> None:
    (drawings / DATASET_FILE).unlink()
    cases = drawings / CASES_FILE
    cases.write_text(cases.read_text().replace("GENERATED", cell))
    assert open_dataset(str(drawings)).name == name


def test_a_clinics_own_file_names_its_tables(drawings: Path) -> None:
    about = {"name": "Ward 3", "version": "2.1", "licence": "internal"}
    (drawings / DATASET_FILE).write_text(json.dumps(about))
    dataset = open_dataset(str(drawings))
    assert (dataset.name, dataset.source) == ("Ward 3", "Ward 3 2.1 (internal)")
    both = mix(dataset, open_dataset("generated:1:2:16"))
    assert both.source == "Ward 3 2.1 (internal) + generated drawings, seed 1, 2 cases, 16 px"


def test_a_mapped_table_is_called_by_its_file_unless_it_names_itself(tmp_path: Path) -> None:
    (tmp_path / "visits.csv").write_text("photo,person,diagnosis\na.jpg,p1,Eczema\nb.jpg,p2,Tinea\n")
    assert open_dataset(str(tmp_path), mapping=MAPPING).source.startswith("visits.csv (tables sha256:")
    (tmp_path / DATASET_FILE).write_text('{"name": "Ward 3"}')
    assert open_dataset(str(tmp_path), mapping=MAPPING).source == "Ward 3"


def test_scins_tables_with_drawn_photos_are_not_called_scin(drawings: Path, tmp_path: Path) -> None:
    (drawings / DATASET_FILE).unlink()
    cases = drawings / CASES_FILE
    cases.write_text(cases.read_text().replace("GENERATED", "SCIN"))
    paint_images(open_scin(drawings.as_uri()), DiskStore(tmp_path / "painted"), seed=2, longest=16)
    assert open_dataset(str(tmp_path / "painted")).name == "SCIN's tables with generated drawings"


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        ("{", "the file"),
        ('{"version": "1"}', "name"),
        ('{"name": "Ward 3", "digest": "00"}', "is of other tables: these have"),
        ('{"name": "Ward 3", "seed": "1"}', "seed"),
    ],
)
def test_a_file_that_cant_be_read_or_is_of_other_tables_is_refused(drawings: Path, about: str, reason: str) -> None:
    (drawings / DATASET_FILE).write_text(about)
    with pytest.raises(DermisError, match=reason) as refusal:
        open_dataset(str(drawings))
    assert refusal.value.reason == "DATASET_FILE"
    assert DATASET_FILE in refusal.value.detail
