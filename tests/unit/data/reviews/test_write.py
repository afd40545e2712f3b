"""From reviews to a data set in SCIN's form: who is in it, who is not, and what nobody may read there."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner

from dermis.data.cli import data
from dermis.data.dataset import open_dataset
from dermis.data.reviews.cases import reviewed_cases
from dermis.data.reviews.write import MANIFEST_FILE, ReviewsManifest, write_from_reviews
from dermis.data.scin.columns import (
    CASE_COLUMNS,
    CASES_FILE,
    LABEL_COLUMNS,
    LABELS_FILE,
    OPTIONAL_COLUMNS,
    PERSONS_FILE,
)
from dermis.data.scin.source import open_scin
from dermis.shared.audit import records_of
from dermis.shared.case import Consent, fact_key, image_key
from dermis.shared.erasing import erase
from dermis.shared.errors import DermisError
from dermis.shared.stores.disk import DiskStore
from dermis.shared.stores.memory import MemoryStore
from dermis.shared.vocabulary import FitzpatrickSkinType, Gradable, MonkSkinTone, SelfReport
from tests.support.reviewed import AT, OWNER, READERS, photo, put_adjudication, put_case, put_review

ECZEMA, PSORIASIS = [("Eczema", 4), ("Psoriasis", 2)], [("Psoriasis", 5)]


def text_of(store: MemoryStore | DiskStore) -> str:
    return "\n".join(key + store.get(key).decode("latin-1") for key in store.list(""))


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def build(store: MemoryStore, folder: Path) -> ReviewsManifest:
    return write_from_reviews(reviewed_cases(store), store, DiskStore(folder))


def test_readings_become_scins_rows(store: MemoryStore, tmp_path: Path) -> None:
    report = SelfReport(fitzpatrick_skin_type="FST5", textures=("FLAT",), race_ethnicity=("ASIAN", "WHITE"))
    case_id = put_case(store, images=[photo(90), photo(120)], report=report, client_reference="person-1")
    tone = {"fitzpatrick_skin_type": FitzpatrickSkinType.FST6, "monk_skin_tone": MonkSkinTone.MST9}
    put_review(store, case_id, READERS[0], ECZEMA, **tone)
    put_review(store, case_id, READERS[1], PSORIASIS, monk_skin_tone=MonkSkinTone.MST7)
    manifest = build(store, tmp_path)
    scin = open_scin(tmp_path.as_uri())
    (row,) = scin.cases.to_dict("records")
    # 1 and 1/2 of the first reader, 1 of the second: of 2.5.
    assert row["weights"] == {"Eczema": 0.4, "Psoriasis": 0.6}
    assert row["gradable"] == (Gradable.DEFAULT_YES_IMAGE_QUALITY_SUFFICIENT,) * 2
    assert (row["fitzpatrick_skin_type"], row["textures"], row["monk_us"]) == ("FST5", ("FLAT",), 7)
    assert sorted(filter(None, row["efst"])) == ["FST6"]
    assert row["race_ethnicity"] == ("TWO_OR_MORE_AFTER_MITIGATION",)
    assert [scin.read_image(key)[0, 0, 0] for key, _ in row["images"]] == [90, 120]
    columns = {file: (tmp_path / file).read_text().splitlines()[0].split(",") for file in (CASES_FILE, LABELS_FILE)}
    assert columns == {CASES_FILE: list(CASE_COLUMNS), LABELS_FILE: list(LABEL_COLUMNS)}
    assert (len(set(CASE_COLUMNS) - OPTIONAL_COLUMNS), len(LABEL_COLUMNS)) == (57, 17)
    assert (manifest.cases, manifest.images, manifest.readings, manifest.complete) == (1, 2, 2, True)
    (sample,) = open_dataset(tmp_path.as_uri(), policy="scin-all").samples
    assert sample.top == "Psoriasis"
    assert len(sample.graders) == 2


def test_an_adjudication_alone_counts(store: MemoryStore, tmp_path: Path) -> None:
    case_id = put_case(store, images=[photo(90)])
    put_review(store, case_id, READERS[0], ECZEMA, monk_skin_tone=MonkSkinTone.MST2)
    put_review(store, case_id, READERS[1], PSORIASIS)
    put_adjudication(store, case_id, READERS[2], [("Tinea", 3)])
    manifest = build(store, tmp_path)
    (row,) = open_scin(tmp_path.as_uri()).cases.to_dict("records")
    assert (row["weights"], len(row["gradable"]), row["monk_us"]) == ({"Tinea": 1.0}, 1, 2)
    assert (manifest.readings, manifest.adjudicated) == (1, 1)


def test_more_readers_than_scin_has_columns_for_all_weigh(store: MemoryStore, tmp_path: Path) -> None:
    case_id = put_case(store, images=[photo(90)])
    for reader, name in zip(READERS, ("Eczema", "Eczema", "Eczema", "Acne"), strict=True):
        put_review(store, case_id, reader, [(name, 3)])
    build(store, tmp_path)
    (row,) = open_scin(tmp_path.as_uri()).cases.to_dict("records")
    assert (row["weights"], len(row["gradable"])) == ({"Eczema": 0.75, "Acne": 0.25}, 3)


def test_only_who_agreed_is_learned_from(store: MemoryStore, tmp_path: Path) -> None:
    refused = {
        "NO_CONSENT": ({"consent": Consent.ASSESS_ONLY}, {"second_read": False}),
        "TEST_CASE": ({"livemode": False},),
        "UNDER_18": ({"report": SelfReport(under_18=True)},),
    }
    for shade, fields in enumerate((each for several in refused.values() for each in several), start=50):
        put_review(store, put_case(store, images=[photo(shade)], **fields), READERS[0], ECZEMA)
    put_case(store, images=[photo(3)])  # nobody read it
    put_review(store, put_case(store, images=[photo(9)]), READERS[0], ECZEMA)
    manifest = build(store, tmp_path)
    assert (manifest.cases, manifest.images) == (1, 1)
    assert manifest.left_out == {reason: len(fields) for reason, fields in refused.items()}


def test_nothing_in_the_set_names_a_case_an_owner_or_a_reader(store: MemoryStore, tmp_path: Path) -> None:
    case_id = put_case(store, images=[photo(90)], client_reference="patient-4711")
    put_review(store, case_id, READERS[0], ECZEMA)
    put_adjudication(store, case_id, READERS[2], PSORIASIS)
    build(store, tmp_path)
    text = text_of(DiskStore(tmp_path))
    secrets = (case_id, case_id.removeprefix("case_"), OWNER, "patient-4711", *READERS, AT.isoformat()[:10])
    assert not [secret for secret in secrets if secret in text]
    elsewhere = tmp_path / "elsewhere"
    other = MemoryStore()
    for key in store.list("cases/"):
        other.put_once(key, store.get(key))
    build(other, elsewhere)  # under another store's key nothing can be matched
    ids = [set(open_scin(folder.as_uri()).cases["case_id"]) for folder in (tmp_path, elsewhere)]
    assert not ids[0] & ids[1]


def test_an_erased_case_is_in_no_later_build(store: MemoryStore, tmp_path: Path) -> None:
    kept, erased = (put_case(store, images=[photo(shade)]) for shade in (80, 81))
    for case_id in (kept, erased):
        put_review(store, case_id, READERS[0], ECZEMA)
    first = build(store, tmp_path)
    before = {file: (tmp_path / file).read_text() for file in (CASES_FILE, LABELS_FILE)}
    erase(store, owner=OWNER, case_id=erased, at=AT)
    second = build(store, tmp_path)
    assert (first.cases, second.cases) == (2, 1)
    assert len(list((tmp_path / "images").glob("*.png"))) == 1
    for file, text in before.items():
        assert set((tmp_path / file).read_text().splitlines()) < set(text.splitlines())  # ids of the others stay
    erase(store, owner=OWNER, case_id=kept, at=AT)
    assert build(store, tmp_path).cases == 0
    assert not [key for key in DiskStore(tmp_path).list("") if key != MANIFEST_FILE]


def test_a_case_erased_while_the_set_is_built_is_left_out(store: MemoryStore, tmp_path: Path) -> None:
    case_ids = [put_case(store, images=[photo(shade)]) for shade in (80, 81)]
    for case_id in case_ids:
        put_review(store, case_id, READERS[0], ECZEMA)
    steps: list[None] = []

    def erase_first() -> None:
        steps.append(None)
        if len(steps) == 2:
            erase(store, owner=OWNER, case_id=case_ids[0], at=AT)

    manifest = write_from_reviews(reviewed_cases(store), store, DiskStore(tmp_path), step=erase_first)
    assert (manifest.cases, manifest.images, manifest.left_out) == (1, 1, {"ERASED": 1})
    assert len(list((tmp_path / "images").glob("*.png"))) == 1


def test_a_stopped_build_goes_on_and_decodes_nothing_twice(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for shade in (80, 81, 82):
        put_review(store, put_case(store, images=[photo(shade)]), READERS[0], ECZEMA)

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_from_reviews(reviewed_cases(store), store, DiskStore(tmp_path), step=stop)
    assert not json.loads((tmp_path / MANIFEST_FILE).read_text())["complete"]
    decoded = []
    monkeypatch.setattr(cv2, "imencode", lambda *image, real=cv2.imencode: decoded.append(1) or real(*image))
    assert build(store, tmp_path).cases == 3
    assert len(decoded) == 2
    files = {file: (tmp_path / file).read_bytes() for file in (CASES_FILE, LABELS_FILE, MANIFEST_FILE)}
    assert build(store, tmp_path).complete
    assert {file: (tmp_path / file).read_bytes() for file in files} == files


def test_cases_of_one_person_or_one_photo_share_a_group(store: MemoryStore, tmp_path: Path) -> None:
    same, other = photo(70), {"client_reference": "one", "owner": "another-owner"}
    cases: list[tuple[npt.NDArray[np.uint8], dict[str, Any]]] = [
        *((photo(80 + n), {"client_reference": "one"}) for n in range(2)),  # without a photo in common
        *((same, {}) for _ in range(2)),
        *((photo(90 + n), {}) for n in range(2)),
        (photo(100), other),
    ]
    for pixels, fields in cases:
        owner = fields.get("owner", OWNER)
        put_review(store, put_case(store, images=[pixels], **fields), READERS[0], ECZEMA, owner=owner)
    manifest = build(store, tmp_path)
    samples = open_dataset(tmp_path.as_uri(), policy="scin-all").samples
    sizes = sorted(sum(s.group == group for s in samples) for group in {s.group for s in samples})
    assert sizes == [1, 1, 1, 2, 2]
    assert (manifest.persons, (tmp_path / PERSONS_FILE).read_text().count("\n")) == (2, 4)


def test_a_case_that_cannot_be_read_hurts_itself_alone(store: MemoryStore, tmp_path: Path) -> None:
    broken, no_photo, whole = (put_case(store, images=[photo(shade)]) for shade in (60, 61, 62))
    for case_id in (broken, no_photo, whole):
        put_review(store, case_id, READERS[0], ECZEMA)
    store.delete(fact_key(OWNER, broken, "received"))
    store.put_once(fact_key(OWNER, broken, "received"), b"{")
    store.delete(image_key(OWNER, no_photo, 1, "original"))
    manifest = build(store, tmp_path)
    assert (manifest.cases, manifest.images, manifest.images_lost) == (2, 1, 1)
    assert manifest.left_out == {"UNREADABLE": 1}


def test_the_audit_says_which_cases_left_the_store(store: MemoryStore, tmp_path: Path) -> None:
    case_id = put_case(store, images=[photo(60)])
    put_review(store, case_id, READERS[0], ECZEMA)
    put_review(store, put_case(store, livemode=False), READERS[0], ECZEMA)
    build(store, tmp_path)
    (key,) = store.list("audit/")
    (record,) = records_of(store.get(key))
    assert (record["act"], record["case_id"]) == ("EXPORT", case_id)


def test_another_data_set_is_not_touched(store: MemoryStore, tmp_path: Path) -> None:
    put_review(store, put_case(store, images=[photo(60)]), READERS[0], ECZEMA)
    (tmp_path / "images").mkdir()
    (tmp_path / "images/1.png").write_bytes(b"a photo of others")
    with pytest.raises(DermisError, match="name an empty one"):
        build(store, tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")] == ["images/1.png"]


def test_the_command_tells_what_it_took_and_left(tmp_path: Path) -> None:
    store = DiskStore(tmp_path / "store")
    put_review(store, put_case(store, images=[photo(60)]), READERS[0], ECZEMA)
    put_review(store, put_case(store, images=[photo(61)], livemode=False), READERS[0], ECZEMA)
    command = ["from-reviews", "--store", (tmp_path / "store").as_uri(), "--out", str(tmp_path / "set")]
    output = CliRunner().invoke(data, command, catch_exceptions=False).output
    assert "1 cases of 0 known persons, 1 images, 1 readings that count, 0 adjudicated" in output
    assert "left out: 1 TEST_CASE" in output
    inside = [*command[:-1], str(tmp_path / "store/set")]
    assert isinstance(CliRunner().invoke(data, inside).exception, DermisError)
