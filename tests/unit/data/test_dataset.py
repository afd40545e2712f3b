"""Several data sets as one: one space of labels, whose each case is, and groups that no split tears apart."""

from pathlib import Path

from dermis.data.data_source import write_data_source
from dermis.data.dataset import Dataset, open_datasets
from dermis.data.samples import SOURCE
from dermis.data.scin.columns import CASES_FILE, LABELS_FILE, PERSONS_FILE
from dermis.data.scin.label_policy import LabelPolicy
from dermis.data.split.split import PARTS
from dermis.shared.stores.disk import DiskStore
from tests.unit.data.scin_rows import Row, files, labelled

POLICY = LabelPolicy(name="four", version=1, min_support=4, other="Other")


def put(folder: Path, rows: list[Row], *, name: str, persons: str = "") -> str:
    store, tables = DiskStore(folder), dict(zip((CASES_FILE, LABELS_FILE), files(rows), strict=True))
    if persons:
        tables[PERSONS_FILE] = persons.encode()
    for file, content in tables.items():
        store.put_once(file, content)
    write_data_source(store, name, tables)
    return folder.as_uri()


def both(tmp_path: Path, duplicates: dict[str, str] | None = None) -> Dataset:
    rows = [labelled(n, {"Eczema" if n % 2 else "eczema": 1.0}, images=(n,)) for n in range(1, 13)]
    rows += [labelled(n, {"Tinea": 1.0}, images=(n,)) for n in (13, 14)]
    more = [labelled(n, {"Eczema": 1.0}, images=(n,)) for n in range(101, 112)]
    more += [labelled(n, {"Tinea": 1.0}, images=(n,)) for n in (113, 114)] + [
        labelled(115, {"Acne": 1.0}, images=(115,))
    ]
    persons = "case_id,person\n101,7\n102,7\n103,7\n104,8\n"
    urls = put(tmp_path / "a", rows, name="SCIN"), put(tmp_path / "b", more, name="reviews", persons=persons)
    return open_datasets(urls, policy=POLICY, duplicates=duplicates)


def test_a_condition_that_is_rare_in_each_has_one_label_in_both(tmp_path: Path) -> None:
    dataset = both(tmp_path)
    labels = {source: {s.top for s in dataset.samples if s.slices[SOURCE] == source} for source in ("SCIN", "reviews")}
    assert labels == {"SCIN": {"Eczema", "Tinea"}, "reviews": {"Eczema", "Tinea", "Other"}}
    assert {s.id.partition("/")[0] for s in dataset.samples} == set(labels)


def test_no_split_tears_a_person_or_a_near_duplicate_apart(tmp_path: Path) -> None:
    dataset = both(tmp_path, {"images/1.png": "same", "images/110.png": "same", "images/111.png": "same"})
    for seed in range(8):
        split = dataset.split(seed=seed, fractions=dict.fromkeys(PARTS, 0.25))
        place = {case.case_id: (case.part, case.fold) for case in split.cases}
        assert len({place[f"reviews/{n}"] for n in (101, 102, 103)}) == 1
        assert len({place[name] for name in ("SCIN/1", "reviews/110", "reviews/111")}) == 1
        dataset.audit(split)


def test_one_data_set_is_named_as_before(tmp_path: Path) -> None:
    url = put(tmp_path / "a", [labelled(n, {"Eczema": 1.0}, images=(n,)) for n in range(1, 6)], name="SCIN")
    (dataset,) = [open_datasets([url], policy=POLICY)]
    assert (dataset.name, [sample.id for sample in dataset.samples]) == ("SCIN", ["1", "2", "3", "4", "5"])
    assert all(SOURCE not in sample.slices for sample in dataset.samples)
