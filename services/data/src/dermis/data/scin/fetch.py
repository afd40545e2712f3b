"""Copies some cases of a SCIN source: their rows and images, as a folder that is a SCIN source itself."""

import csv
import io
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from dermis.data.scin.columns import CASES_FILE, LABELS_FILE, PERSONS_FILE
from dermis.data.scin.source import Scin, read_persons
from dermis.shared.ports import BlobNotFound, BlobStore

_READERS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """Keys by what became of them."""

    fetched: tuple[str, ...]
    there: tuple[str, ...]
    missing: tuple[str, ...]


def images_of(scin: Scin, case_ids: Iterable[str]) -> list[str]:
    """Return the distinct image keys of the cases, in table order."""
    wanted = set(case_ids)
    rows = scin.cases[scin.cases["case_id"].isin(wanted)]
    return list(dict.fromkeys(key for images in rows["images"] for key, _ in images))


def fetch(
    scin: Scin, case_ids: Iterable[str], target: BlobStore, *, step: Callable[[], None] = lambda: None
) -> Fetched:
    """Copy the cases' rows, verbatim, and their images into `target`; what is there already is not read again.

    `step` is called once per image. An image that the source does not have is returned as missing.
    """
    wanted = set(case_ids)
    keys = images_of(scin, wanted)
    there = set(target.list("images/"))
    files = {file: scin.store.get(file) for file in (CASES_FILE, LABELS_FILE)}
    if (persons := read_persons(scin.store)) is not None:
        files[PERSONS_FILE] = persons
    for file, table in files.items():
        existing = target.get_versioned(file)
        target.replace(file, rows_of(table, wanted), generation=existing.generation)

    def copy(key: str) -> bool:
        try:
            if key not in there:
                target.put_once(key, scin.store.get(key))
        except BlobNotFound:
            return False
        finally:
            step()
        return True

    with ThreadPoolExecutor(_READERS) as pool:
        result_of = dict(zip(keys, pool.map(copy, keys), strict=True))
    return Fetched(
        fetched=tuple(key for key in keys if result_of[key] and key not in there),
        there=tuple(key for key in keys if key in there),
        missing=tuple(key for key in keys if not result_of[key]),
    )


def rows_of(table: bytes, wanted: set[str]) -> bytes:
    """Return a table's header and the rows of the wanted case_ids, cells as they were."""
    header, *rows = csv.reader(io.StringIO(table.decode("utf-8-sig"), newline=""))
    place = header.index("case_id")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([header, *(row for row in rows if row[place] in wanted)])
    return text.getvalue().encode()
