"""What a data set calls itself: `dataset.json` beside its tables, or else what the tables are."""

import hashlib
from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from dermis.data.scin.columns import CASES_FILE
from dermis.data.scin.tables import ScinTables
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ports import BlobStore

DATASET_FILE = "dataset.json"
DRAWINGS = "generated drawings"
SCIN = "SCIN"
GENERATED_CELL = "GENERATED"
"""What the column `source` of generated cases says, where SCIN's own says SCIN."""
_Line = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200, pattern=r"^[^\n\r]*$")]


class DataSource(BaseModel):
    """A data set's name, version, licence and the digest of its tables (`digest_of_tables`); "" where it has none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[_Line, StringConstraints(min_length=1)]
    version: _Line = ""
    licence: _Line = ""
    digest: str = ""

    def __str__(self) -> str:
        about = "; ".join(filter(None, (self.licence, self.digest and f"tables sha256:{self.digest[:16]}")))
        return " ".join(filter(None, (self.name, self.version, about and f"({about})")))


def digest_of_tables(tables: Mapping[str, str]) -> str:
    """Return the SHA-256 of lines `DIGEST  FILE`, sorted by file, of a data set's tables: file -> SHA-256."""
    lines = "".join(f"{tables[file]}  {file}\n" for file in sorted(tables))
    return hashlib.sha256(lines.encode()).hexdigest()


def read_data_source(store: BlobStore, tables: Mapping[str, str]) -> DataSource | None:
    """Return what `dataset.json` says, None without one; INVALID if it can't be read or is of other tables."""
    try:
        text = store.get(DATASET_FILE)
    except DermisError as error:
        if error.kind in (Kind.NOT_FOUND, Kind.PERMISSION):  # a bucket whose keys can't be listed answers so
            return None
        raise
    try:
        source = DataSource.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = "/".join(map(str, first["loc"])) or "the file"
        detail = f"{DATASET_FILE}: {place}: {first['msg']}; it holds name, version, licence and digest, as text"
        raise DermisError(Kind.INVALID, "DATASET_FILE", detail) from error
    if source.digest and source.digest != (own := digest_of_tables(tables)):
        detail = f"{DATASET_FILE}: digest {source.digest!r} is of other tables: these have {own}, or leave it out"
        raise DermisError(Kind.INVALID, "DATASET_FILE", detail)
    return source


def scin_source(store: BlobStore, tables: ScinTables) -> DataSource:
    """Return what tables in SCIN's form call themselves: SCIN only where their column `source` says so."""
    if (source := read_data_source(store, tables.digests)) is not None:
        return source
    cells = set(tables.original["source"])
    name = SCIN if cells == {SCIN} else DRAWINGS if cells == {GENERATED_CELL} else CASES_FILE
    return DataSource(name=name, digest=digest_of_tables(tables.digests))


def write_data_source(store: BlobStore, name: str, tables: Mapping[str, bytes]) -> None:
    """Put `dataset.json` beside the tables: file -> content; `BlobConflict` if another is there."""
    digests = {file: hashlib.sha256(data).hexdigest() for file, data in tables.items()}
    source = DataSource(name=name, digest=digest_of_tables(digests))
    store.put_once(DATASET_FILE, source.model_dump_json(exclude_defaults=True, indent=1).encode() + b"\n")
