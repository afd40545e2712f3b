"""What all instances of a case's study share: the same identifiers each time, and nothing that names a person."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from dermis.shared.case import NOT_A_MEDICAL_DEVICE, Outcome, Received

MANUFACTURER = "dermis"
_NAMESPACE = uuid.UUID("5e3c6f0e-6b0c-5d5e-9f0b-8b8f4b6c1d2a")
DEMO = "DEMO, NO CLINICAL MEANING"
TEST = "TEST CASE"
LOSSY = "01"


def uid(*names: str) -> str:
    """Return the identifier that these names always get, as DICOM makes it of a UUID (PS3.5, B.2)."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, '/'.join(names)).int}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A case and its outcome, from which every instance takes what it shares with the others."""

    received: Received
    outcome: Outcome

    @property
    def marks(self) -> str:
        """What must stand on every instance: that a demo answered, that the case is a test; empty else."""
        is_demo = self.outcome.model is not None and self.outcome.model.purpose == "demo"
        return "; ".join(([DEMO] if is_demo else []) + ([] if self.received.livemode else [TEST]))

    @property
    def comments(self) -> str:
        return ". ".join(filter(None, (self.marks, NOT_A_MEDICAL_DEVICE)))

    def uid(self, *names: str) -> str:
        return uid(self.received.case_id, *names)

    @property
    def description(self) -> str:
        return "; ".join(filter(None, (self.marks, "skin assessment")))


def instance(
    study: Study, *, sop_class: UID, name: str, digest: str, number: int, at: datetime, **more: Any
) -> Dataset:
    """Return the modules of patient, study, series, equipment and SOP of an instance in the series `name`.

    Its identifier follows from `digest`, that of its content, so that no two contents share one. `more`: attributes by
    their keyword.
    """
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = study.uid(name, digest)
    dataset.InstanceNumber = number
    dataset.TimezoneOffsetFromUTC = "+0000"
    _identify(dataset, study)
    dataset.SeriesInstanceUID = study.uid(name)
    dataset.SeriesDescription = "; ".join(filter(None, (study.marks, name)))
    dataset.Manufacturer = ""
    dataset.ContentDate, dataset.ContentTime = date_and_time(at)
    for keyword, value in more.items():
        setattr(dataset, keyword, value)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta = meta
    return dataset


def _identify(dataset: Dataset, study: Study) -> None:
    """Name the patient by the client's reference alone; what DICOM asks for beside it stays empty."""
    dataset.PatientID = study.received.client_reference or ""
    dataset.PatientName = ""
    dataset.PatientBirthDate = ""
    dataset.PatientSex = ""
    dataset.StudyInstanceUID = study.uid()
    dataset.StudyDate, dataset.StudyTime = date_and_time(study.received.received_at)
    dataset.StudyDescription = study.description
    dataset.StudyID = ""
    dataset.AccessionNumber = ""
    dataset.ReferringPhysicianName = ""


def date_and_time(at: datetime) -> tuple[str, str]:
    """Return an instant as DICOM's DA and TM, in UTC."""
    utc = at.astimezone(UTC)
    return f"{utc:%Y%m%d}", f"{utc:%H%M%S.%f}"
