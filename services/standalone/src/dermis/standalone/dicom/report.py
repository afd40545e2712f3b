"""The outcome as a Comprehensive SR, by the template of measurement reports (PS3.16, TID 1500)."""

import hashlib
import io
from collections.abc import Iterator, Sequence
from datetime import datetime

import pydicom
from highdicom import sr
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import UID, VLPhotographicImageStorage

from dermis.shared.case import ModelRef, RankedCondition
from dermis.shared.codes import ICD_10, ICD_11, codes_of
from dermis.standalone.dicom.header import DEMO, MANUFACTURER, Study, date_and_time, instance, uid

REPORT = "report"
PRIVATE = "99DERMIS"
_SCHEMES = {ICD_11: "I11", ICD_10: "I10"}
_IDENTIFICATIONS = (
    CodingSchemeIdentificationItem(PRIVATE, name="dermis", responsible_organization="The dermis maintainers"),
    CodingSchemeIdentificationItem("I11", name="ICD-11 MMS", registry="HL7", uid="2.16.840.1.113883.6.347"),
    CodingSchemeIdentificationItem("I10", name="ICD-10", registry="HL7", uid="2.16.840.1.113883.6.3"),
)
_MEANING_LENGTH = 64


def report(study: Study, *, photos: Sequence[Dataset], heatmaps: Sequence[tuple[str, Dataset]]) -> Dataset:
    """Return the report of an outcome on its photos; `heatmaps` are a condition's id and its instance."""
    evidence = [*photos, *(each for _, each in heatmaps)]
    content = sr.MeasurementReport(
        observation_context=_observer(study),
        procedure_reported=codes.SCT.PhotographyOfPatient,
        imaging_measurements=[_ending(study), *_groups(study, photos, heatmaps)],
        referenced_images=list(photos) or None,
    )
    content[0].ContentSequence.extend(_texts(study))
    document = sr.ComprehensiveSR(
        evidence=evidence or [_nothing(study)],
        content=content,
        series_instance_uid=study.uid(REPORT),
        series_number=3,
        series_description="; ".join(filter(None, (study.marks, REPORT))),
        sop_instance_uid=study.uid(REPORT),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=_model_name(study.outcome.model),
        device_serial_number=_version(study.outcome.model),
        software_versions=_version(study.outcome.model),
        specific_character_set="ISO_IR 192",
        is_complete=True,
        coding_schemes=_IDENTIFICATIONS,
        record_evidence=bool(evidence),
    )
    return _dated(document, study.outcome.finished_at, study)


def condition_code(ranked: RankedCondition) -> sr.CodedConcept:
    """Return a condition's confirmed code, ICD-11 before ICD-10, its others as equivalents; else its own id."""
    confirmed = [
        sr.CodedConcept(each.code, _SCHEMES[each.system], (each.display or ranked.name)[:_MEANING_LENGTH])
        for each in ranked.codes or codes_of(ranked.name)
        if each.system in _SCHEMES
    ]
    own = sr.CodedConcept(ranked.condition[:_MEANING_LENGTH], PRIVATE, ranked.name[:_MEANING_LENGTH])
    first, *others = [*confirmed, own]
    if others:
        first.EquivalentCodeSequence = others
    return first


def _private(value: str, meaning: str) -> Code:
    return Code(value, PRIVATE, meaning)


def _observer(study: Study) -> sr.ObservationContext:
    model = study.outcome.model
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=uid("device", _model_name(model), _version(model)),
        name=_model_name(model),
        manufacturer_name=MANUFACTURER,
        model_name=_model_name(model),
        serial_number=_version(model),
    )
    return sr.ObservationContext(observer_device_context=sr.ObserverContext(codes.DCM.Device, device))


def _ending(study: Study) -> sr.MeasurementsAndQualitativeEvaluations:
    """Return how the case ended, as a group of its own: the template asks for one where nothing was measured."""
    kind, reason = study.outcome.kind.value, study.outcome.reason
    evaluations = [sr.QualitativeEvaluation(_private("outcome", "Outcome"), _private(kind, kind.capitalize()))]
    if reason:
        words = reason.replace("_", " ").capitalize()
        evaluations.append(sr.QualitativeEvaluation(_private("reason", "Reason"), _private(reason, words)))
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(study.uid(REPORT, ""), "outcome"),
        qualitative_evaluations=evaluations,
    )


def _groups(
    study: Study, photos: Sequence[Dataset], heatmaps: Sequence[tuple[str, Dataset]]
) -> Iterator[sr.MeasurementsAndQualitativeEvaluations]:
    """Yield a group for each condition, the most probable first."""
    model, used = study.outcome.model, set(study.outcome.images_used)
    sources = [
        sr.SourceImageForMeasurementGroup(each.SOPClassUID, each.SOPInstanceUID)
        for each in photos
        if each.InstanceNumber in used
    ]
    for ranked in study.outcome.differential:
        group = sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=sr.TrackingIdentifier(study.uid(REPORT, ranked.condition), ranked.condition),
            finding_type=condition_code(ranked),
            algorithm_id=sr.AlgorithmIdentification(_model_name(model), _version(model)),
            measurements=[sr.Measurement(codes.DCM.Probability, ranked.probability, codes.UCUM.NoUnits)],
            qualitative_evaluations=list(_evaluations(study, ranked)),
            source_images=sources or None,
        )
        group[0].ContentSequence.extend(
            sr.ImageContentItem(
                _private("heatmap", "Heatmap"),
                each.SOPClassUID,
                each.SOPInstanceUID,
                relationship_type=sr.RelationshipTypeValues.CONTAINS,
            )
            for condition, each in heatmaps
            if condition == ranked.condition
        )
        yield group


def _evaluations(study: Study, ranked: RankedCondition) -> Iterator[sr.QualitativeEvaluation]:
    in_set = codes.SCT.Yes if ranked.in_prediction_set else codes.SCT.No
    yield sr.QualitativeEvaluation(_private("in-prediction-set", "In the prediction set"), in_set)
    if DEMO in study.marks:
        yield sr.QualitativeEvaluation(_private("meaning", "Meaning"), _private("demo", DEMO))


def _texts(study: Study) -> Iterator[sr.TextContentItem]:
    """Yield what no measurement says: warnings from the answers, advice, and what this is not."""
    outcome = study.outcome
    texts = [("marks", "Mark", study.marks)]
    texts += [("red-flag", "Red flag", f"{flag.text} ({flag.urgency or 'no urgency'})") for flag in outcome.red_flags]
    texts += [("notice", "Notice", notice.text) for notice in outcome.notices]
    texts += [("advice", "Advice", advice) for advice in outcome.advice]
    texts += [("limits", "Limits", outcome.notice)]
    for value, meaning, text in texts:
        if text:
            yield sr.TextContentItem(_private(value, meaning), text, sr.RelationshipTypeValues.CONTAINS)


def _model_name(model: ModelRef | None) -> str:
    return model.name if model else MANUFACTURER


def _version(model: ModelRef | None) -> str:
    return str(model.version) if model else "no model"


def _nothing(study: Study) -> Dataset:
    """Return an instance that names patient and study of a case without photos, and is never written."""
    return instance(
        study,
        sop_class=VLPhotographicImageStorage,
        name="none",
        digest="",
        number=1,
        at=study.received.received_at,
    )


def _dated(document: Dataset, at: datetime, study: Study) -> Dataset:
    """Put the outcome's time in place of the present, and an identifier that follows from the content."""
    date, time = date_and_time(at)
    del document.InstanceCreationDate, document.InstanceCreationTime
    document.ContentDate, document.ContentTime = date, time
    document.StudyDescription = study.description
    document.TimezoneOffsetFromUTC = "+0000"
    document.walk(_without_time)
    for each in document.ContributingEquipmentSequence:
        each.ContributionDateTime = f"{date}{time}"
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, document, enforce_file_format=True)
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    document.SOPInstanceUID = document.file_meta.MediaStorageSOPInstanceUID = UID(study.uid(REPORT, digest))
    return document


def _without_time(dataset: Dataset, element: DataElement) -> None:
    """Take the present out, which highdicom puts into content items."""
    if element.keyword == "ObservationDateTime":
        del dataset[element.tag]
