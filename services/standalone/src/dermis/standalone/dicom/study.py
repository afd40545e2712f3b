"""Reads a case from the store and makes its study."""

from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.dataset import Dataset

from dermis.shared.case import Outcome, Received, fact_key, heatmap_key, image_key
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ports import BlobNotFound, BlobStore
from dermis.standalone.dicom.header import Study
from dermis.standalone.dicom.images import heatmap, photo
from dermis.standalone.dicom.report import report


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFiles:
    """A case's instances by the name of their file, and the photos that could not be read."""

    instances: dict[str, Dataset]
    unreadable: tuple[int, ...]


def read_study(store: BlobStore, *, owner: str, case_id: str) -> Study:
    """Read what a study is made of; CONFLICT while the case has no outcome."""
    received = Received.model_validate_json(store.get(fact_key(owner, case_id, "received")))
    outcome = _blob(store, fact_key(owner, case_id, "outcome"))
    if outcome is None:
        detail = f"case {case_id} has no outcome yet, and so no report; `dermis cases show` says how it stands"
        raise DermisError(Kind.CONFLICT, "CASE_OPEN", detail)
    return Study(received=received, outcome=Outcome.model_validate_json(outcome))


def study_files(store: BlobStore, study: Study) -> StudyFiles:
    """Return the photos, heatmaps and report of a case."""
    received = study.received
    photos, unreadable = {}, []
    for image in received.images:
        keys = [image_key(received.owner, received.case_id, image.n, form) for form in ("original", "prepared")]
        original, prepared = (_blob(store, key) for key in keys)
        dataset = photo(study, image, original=original, prepared=prepared)
        if dataset is None:
            unreadable.append(image.n)
        else:
            photos[image.n] = dataset
    heatmaps = list(_heatmaps(store, study, photos))
    document = report(study, photos=list(photos.values()), heatmaps=heatmaps)
    named = {f"photo-{n}": each for n, each in photos.items()}
    named |= {f"heatmap-{k}": each for k, (_, each) in enumerate(heatmaps, 1)}
    return StudyFiles(instances=named | {"report": document}, unreadable=tuple(unreadable))


def _heatmaps(store: BlobStore, study: Study, photos: dict[int, Dataset]) -> Iterator[tuple[str, Dataset]]:
    received, model = study.received, study.outcome.model
    for number, drawn in enumerate(study.outcome.heatmaps, 1):
        if model is None or drawn.n not in photos:
            continue
        overlay = _blob(store, heatmap_key(received.owner, received.case_id, drawn, model))
        prepared = _blob(store, image_key(received.owner, received.case_id, drawn.n, "prepared"))
        if overlay is not None and prepared is not None:
            of_photo = photos[drawn.n]
            laid_over = heatmap(study, drawn, number=number, overlay=overlay, prepared=prepared, photo=of_photo)
            yield drawn.condition, laid_over


def _blob(store: BlobStore, key: str) -> bytes | None:
    try:
        return store.get(key)
    except BlobNotFound:
        return None
