"""`dermis data from-reviews`: what clinicians read becomes a data set in SCIN's form, anew at every build."""

import hashlib
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import cv2
from pydantic import BaseModel, ConfigDict

from dermis.data.data_source import DATASET_FILE, write_data_source
from dermis.data.reviews.as_scin import Pseudonyms, person_of, row
from dermis.data.reviews.cases import LeftOut, ReviewedCase, ReviewedCases
from dermis.data.scin.columns import CASE_COLUMNS, CASES_FILE, LABEL_COLUMNS, LABELS_FILE, PERSONS_FILE
from dermis.data.scin.rows import Row, as_csv
from dermis.shared.audit import Act, Audit
from dermis.shared.case import ReceivedImage, fact_key, image_key
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ports import BlobConflict, BlobStore, has
from dermis.worker.core.decode import decode

MANIFEST_FILE = "reviews.json"
PSEUDONYM_KEY = "datasets/pseudonym-key"
"""In the store of the cases: who may read it may read them anyway, and the data set is nothing without it."""
IMAGES = "images/"
_RECORDS_AT_ONCE = 5_000
_FILES = (CASES_FILE, LABELS_FILE, PERSONS_FILE)


class ReviewsManifest(BaseModel):
    """`reviews.json`: what a build took and left out; `complete` is false while it writes.

    `cases`, `images`, `persons` (of the cases whose person is known), `readings` (that count), `adjudicated`:
    numbers. `left_out`: cases that were read and are not here, by reason. `images_lost`: photos that are gone or can't
    be decoded. `tables`: SHA-256 by file. `images_digest`: of the lines `SHA-256  key`, sorted.
    """

    model_config = ConfigDict(frozen=True)

    format: str = "dermis.reviews-data-set/1"
    name: str
    complete: bool = False
    cases: int = 0
    images: int = 0
    persons: int = 0
    readings: int = 0
    adjudicated: int = 0
    left_out: Mapping[str, int] = {}
    images_lost: int = 0
    tables: Mapping[str, str] = {}
    images_digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """A case and its photos that stand in the data set, by their keys there."""

    case: ReviewedCase
    images: Mapping[str, ReceivedImage]


def write_from_reviews(
    reviewed: ReviewedCases,
    store: BlobStore,
    out: BlobStore,
    *,
    name: str = "reviews",
    step: Callable[[], None] = lambda: None,
) -> ReviewsManifest:
    """Write the data set of the reviewed cases of `store` into `out`, and return its manifest.

    Images that stand there are not decoded again, so a build that was stopped goes on. What is not in this build goes:
    a case that was erased, or whose consent ended, is in no table and its images are deleted. `step` is called once per
    case. INVALID, and nothing is changed, where `out` holds a data set of another kind.
    """
    _claim(out, name)
    pseudonyms = Pseudonyms(_pseudonym_key(store))
    left_out = Counter(reviewed.left_out)
    standing, lost, entries = set(out.list(IMAGES)), 0, []
    for case in reviewed.cases:
        images = _images(store, out, case, pseudonyms, standing)
        lost += len(case.received.images) - len(images)
        entries.append(_Entry(case=case, images=images))
        step()
    entries = list(_not_erased(store, entries, left_out))
    _note_exports(store, entries)
    return _publish(out, name, entries, pseudonyms, left_out=left_out, lost=lost)


def _claim(out: BlobStore, name: str) -> None:
    """Mark the place as this command's before anything is written or deleted there."""
    if has(out, MANIFEST_FILE):
        return
    if any(has(out, file) for file in (*_FILES, DATASET_FILE)) or next(iter(out.list(IMAGES)), None):
        detail = f"out: the place holds a data set without {MANIFEST_FILE}, which others made; name an empty one"
        raise DermisError(Kind.INVALID, "DATA_SET", detail)
    _put(out, MANIFEST_FILE, ReviewsManifest(name=name).model_dump_json(indent=1).encode())


def _pseudonym_key(store: BlobStore) -> bytes:
    with suppress(BlobConflict):
        if not has(store, PSEUDONYM_KEY):
            store.put_once(PSEUDONYM_KEY, secrets.token_bytes(32))
    return store.get(PSEUDONYM_KEY)


def _images(
    store: BlobStore, out: BlobStore, case: ReviewedCase, pseudonyms: Pseudonyms, standing: set[str]
) -> dict[str, ReceivedImage]:
    """Put a case's photos, upright, in sRGB and without metadata; leave out one that is gone or can't be decoded."""
    images: dict[str, ReceivedImage] = {}
    for image in case.received.images:
        key = f"{IMAGES}{pseudonyms.image(image)}.png"
        if key not in standing:
            png = _png(store, case, image)
            if png is None:
                continue
            out.put_once(key, png)
            standing.add(key)
        images.setdefault(key, image)
    return images


def _png(store: BlobStore, case: ReviewedCase, image: ReceivedImage) -> bytes | None:
    received = case.received
    try:
        if image.keep_original:
            data = store.get(image_key(received.owner, received.case_id, image.n, "original"))
            pixels = decode(data, orientation=image.orientation, color=image.color).image
        else:  # the original is gone once it was prepared
            pixels = decode(store.get(image_key(received.owner, received.case_id, image.n, "prepared"))).image
    except DermisError as error:
        if error.retryable:
            raise
        return None
    return cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes()


def _not_erased(store: BlobStore, entries: Iterable[_Entry], left_out: Counter[LeftOut]) -> Iterable[_Entry]:
    """Yield what is still there now that all images were read, which takes the longest."""
    for entry in entries:
        received = entry.case.received
        gone = has(store, fact_key(received.owner, received.case_id, "erased"))
        if gone or not has(store, fact_key(received.owner, received.case_id, "received")):
            left_out[LeftOut.ERASED] += 1
        else:
            yield entry


def _note_exports(store: BlobStore, entries: Sequence[_Entry]) -> None:
    """Write into the audit which cases leave the store, before the tables name them."""
    audit = Audit(store, "from-reviews")
    for place, entry in enumerate(entries, start=1):
        audit.note(Act.EXPORT, by="operator", case_id=entry.case.received.case_id)
        if place % _RECORDS_AT_ONCE == 0:
            audit.flush()
    audit.flush()


def _publish(
    out: BlobStore,
    name: str,
    entries: Sequence[_Entry],
    pseudonyms: Pseudonyms,
    *,
    left_out: Counter[LeftOut],
    lost: int,
) -> ReviewsManifest:
    """Replace the tables, then delete the images that no case has; stopped in between, the next build mends it."""
    rows = sorted((row(each.case, pseudonyms, list(each.images.values())) for each in entries), key=_by_id)
    tables = _tables(rows, entries, pseudonyms)
    _put(out, MANIFEST_FILE, ReviewsManifest(name=name).model_dump_json(indent=1).encode())
    out.delete(DATASET_FILE)
    for file in _FILES:
        if file in tables:
            _put(out, file, tables[file])
        else:
            out.delete(file)
    images = {key for each in entries for key in each.images}
    for key in list(out.list(IMAGES)):
        if key not in images:
            out.delete(key)
    if tables:
        write_data_source(out, name, tables)
    lines = "".join(f"{hashlib.sha256(out.get(key)).hexdigest()}  {key}\n" for key in sorted(images))
    manifest = ReviewsManifest(
        name=name,
        complete=True,
        cases=len(entries),
        images=len(images),
        persons=len({person for each in entries if (person := person_of(each.case, pseudonyms))}),
        readings=sum(1 if each.case.adjudication else len(each.case.reviews) for each in entries),
        adjudicated=sum(each.case.adjudication is not None for each in entries),
        left_out={str(reason): left_out[reason] for reason in sorted(left_out)},
        images_lost=lost,
        tables={file: hashlib.sha256(data).hexdigest() for file, data in tables.items()},
        images_digest=hashlib.sha256(lines.encode()).hexdigest(),
    )
    _put(out, MANIFEST_FILE, manifest.model_dump_json(indent=1).encode())
    return manifest


def _by_id(cells: Row) -> int:
    return int(cells["case_id"])


def _tables(rows: Sequence[Row], entries: Sequence[_Entry], pseudonyms: Pseudonyms) -> dict[str, bytes]:
    """Return the files of the data set, none without a case: SCIN's tables have at least one row."""
    if not rows:
        return {}
    persons = [
        {"case_id": pseudonyms.case(each.case.received.case_id), "person": person}
        for each in entries
        if (person := person_of(each.case, pseudonyms))
    ]
    return {
        CASES_FILE: as_csv(rows, list(CASE_COLUMNS)),
        LABELS_FILE: as_csv(rows, list(LABEL_COLUMNS)),
        PERSONS_FILE: as_csv(sorted(persons, key=_by_id), ["case_id", "person"]),
    }


def _put(out: BlobStore, key: str, data: bytes) -> None:
    existing = out.get_versioned(key)
    if existing.data != data or not existing.generation:
        out.replace(key, data, generation=existing.generation)
