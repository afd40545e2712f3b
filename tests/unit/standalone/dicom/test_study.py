"""A case as a DICOM study: whose it is, what it holds and what not, and the same each time."""

import io
from pathlib import Path
from typing import Any

import pydicom
import pytest
from click.testing import CliRunner
from pydicom.dataset import Dataset
from pydicom.uid import JPEGBaseline8Bit

from dermis.shared.case import OutcomeKind, fact_key, image_key
from dermis.shared.errors import DermisError
from dermis.shared.stores.disk import DiskStore
from dermis.shared.vocabulary import SelfReport
from dermis.standalone.commands.dicom import command
from dermis.standalone.dicom.study import read_study, study_files
from tests.support.dicom_cases import DEMO, OWNER, REFERENCE, Photo, photos, put_case

PERSONAL = {
    *("PatientName", "PatientBirthDate", "PatientSex", "PatientAge", "PatientAddress", "OtherPatientIDs"),
    *("EthnicGroup", "PatientComments", "ReferringPhysicianName", "InstitutionName", "OperatorsName"),
    *("StationName", "AccessionNumber", "StudyID", "PatientTelephoneNumbers", "Occupation"),
}
PHOTOS = photos()


@pytest.fixture
def store(tmp_path: Path) -> DiskStore:
    return DiskStore(tmp_path / "store")


def instances(store: DiskStore, *images: Photo, **case: Any) -> dict[str, Dataset]:
    case_id = put_case(store, *images, **case)
    return dict(study_files(store, read_study(store, owner=OWNER, case_id=case_id)).instances)


def as_bytes(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def test_the_patient_is_the_clients_reference_and_nothing_else_is_personal(store: DiskStore) -> None:
    report = SelfReport.model_validate(
        {"age_group": "AGE_30_TO_39", "sex_at_birth": "FEMALE", "race_ethnicity": ["WHITE"]}
    )
    every = instances(store, PHOTOS["420"], PHOTOS["turned"], report=report)
    assert set(every) == {"photo-1", "photo-2", "heatmap-1", "report"}
    for dataset in every.values():
        assert dataset.PatientID == REFERENCE
        assert {each.keyword for each in dataset.iterall() if each.keyword in PERSONAL and str(each.value)} == set()
        written = as_bytes(dataset)
        assert [word for word in (b"AGE_30", b"FEMALE", b"WHITE", b"public") if word in written] == []


def test_a_second_time_the_same_bytes_come_out(store: DiskStore) -> None:
    case_id = put_case(store, PHOTOS["420"])
    twice = [study_files(store, read_study(store, owner=OWNER, case_id=case_id)).instances for _ in range(2)]
    assert [as_bytes(each) for each in twice[0].values()] == [as_bytes(each) for each in twice[1].values()]
    others = instances(store, PHOTOS["420"])
    uids = [{each.SOPInstanceUID for each in files.values()} for files in (twice[0], others)]
    assert uids[0] & uids[1] == set(), "another case's instances are others"


@pytest.mark.parametrize(
    ("name", "form"),
    [
        *(("420", "original"), ("444", "original"), ("422", "original"), ("grey", "original")),
        *(("progressive", "prepared"), ("turned", "prepared"), ("png", "prepared"), ("heic", "prepared")),
    ],
)
def test_a_photo_is_the_stored_image_byte_for_byte(store: DiskStore, name: str, form: Any) -> None:
    case_id = put_case(store, PHOTOS[name])
    photo = study_files(store, read_study(store, owner=OWNER, case_id=case_id)).instances["photo-1"]
    frame = next(pydicom.encaps.generate_frames(photo.PixelData, number_of_frames=1))
    assert frame.rstrip(b"\0") == store.get(image_key(OWNER, case_id, 1, form)).rstrip(b"\0")
    assert photo.file_meta.TransferSyntaxUID == JPEGBaseline8Bit
    assert photo.ImageType[0] == ("ORIGINAL" if form == "original" else "DERIVED")


def test_a_demo_and_a_test_case_are_marked_on_every_instance(store: DiskStore) -> None:
    for name, dataset in instances(store, PHOTOS["420"], model=DEMO, livemode=False).items():
        assert dataset.StudyDescription.startswith("DEMO, NO CLINICAL MEANING; TEST CASE"), name
        assert dataset.SeriesDescription.startswith("DEMO"), name
    for dataset in instances(store, PHOTOS["420"]).values():
        assert "DEMO" not in dataset.StudyDescription


def test_codes_that_a_list_confirmed_stand_in_the_report_before_our_own(store: DiskStore) -> None:
    report = instances(store, PHOTOS["420"])["report"]
    schemes = [each.value for each in report.iterall() if each.keyword == "CodingSchemeDesignator"]
    assert {"I11", "I10", "99DERMIS"} <= set(schemes)
    assert "is not a medical device" in "".join(
        str(each.value) for each in report.iterall() if each.keyword == "TextValue"
    )


@pytest.mark.parametrize("kind", [OutcomeKind.ABSTENTION, OutcomeKind.REJECTION])
def test_a_case_without_an_answer_has_a_report_too(store: DiskStore, kind: OutcomeKind) -> None:
    assert set(instances(store, model=None, kind=kind)) == {"report"}


def test_a_case_without_an_outcome_says_so(store: DiskStore) -> None:
    case_id = put_case(store, PHOTOS["420"])
    store.delete(fact_key(OWNER, case_id, "outcome"))
    with pytest.raises(DermisError, match="no outcome yet"):
        read_study(store, owner=OWNER, case_id=case_id)


class TestCommand:
    def run(self, tmp_path: Path, *arguments: str) -> Any:
        return CliRunner().invoke(
            command, [*arguments, "--store", (tmp_path / "store").as_uri(), "--state", str(tmp_path / "state")]
        )

    def test_a_folder_is_made_once_for_its_owner_alone(self, store: DiskStore, tmp_path: Path) -> None:
        case_id, out = put_case(store, PHOTOS["420"]), tmp_path / "study"
        assert self.run(tmp_path, "export", "--case", case_id, "--out", str(out)).exit_code == 0
        assert out.stat().st_mode & 0o077 == 0
        assert {each.name for each in out.iterdir()} == {"photo-1.dcm", "heatmap-1.dcm", "report.dcm"}
        again = self.run(tmp_path, "export", "--case", case_id, "--out", str(out))
        assert "can't be made" in str(again.exception)

    @pytest.mark.parametrize(
        ("url", "why"),
        [
            ("archive.example", "is no address"),
            ("http://archive.example/dicom-web", "plain HTTP"),
            ("https://me:pass@archive.example", "netrc"),  # pragma: allowlist secret
        ],
    )
    def test_an_address_that_would_give_photos_away_is_refused(
        self, store: DiskStore, tmp_path: Path, url: str, why: str
    ) -> None:
        case_id = put_case(store, PHOTOS["420"])
        assert why in str(self.run(tmp_path, "send", "--case", case_id, "--to", url).exception)

    def test_a_case_without_a_reference_is_not_sent(self, store: DiskStore, tmp_path: Path) -> None:
        case_id = put_case(store, PHOTOS["420"], reference=None)
        sent = self.run(tmp_path, "send", "--case", case_id, "--to", "http://127.0.0.1:9/dicom-web")
        assert "client_reference" in str(sent.exception)
