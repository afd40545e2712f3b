"""The rows of a batch, from the names of images or from a CSV file; and its results as CSV."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, get_args, get_origin
from urllib.parse import urlsplit

from dermis.shared.case import MAX_IMAGES
from dermis.shared.errors import DermisError, Kind
from dermis.shared.tables import TableError, check_ids, read_table
from dermis.shared.vocabulary import SelfReport

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".hif", ".avif")
SEPARATOR = ";"
NAME, IMAGES = "name", "images"
_SHOWN = 3
Cells = Mapping[str, str]


def is_image(key: str) -> bool:
    return key.lower().endswith(SUFFIXES)


def may_read(url: str, allowed: Iterable[str]) -> bool:
    """Return whether a store's URL is one of `allowed` or below one; nothing that steps up or hides itself is."""
    path = urlsplit(url).path
    if "%" in url or "\\" in url or any(part in ("..", ".") for part in path.split("/")):
        return False
    plain = url.partition("?")[0].rstrip("/")
    return any(
        plain == base or plain.startswith(f"{base}/") for base in (each.strip().rstrip("/") for each in allowed) if base
    )


def read_csv(data: bytes, *, most: int, foreign: bool = False) -> list[tuple[int, Cells]]:
    """Return line and cells of the rows of a CSV file (RFC 4180) with a header.

    Its columns: `images`, perhaps `name`, and answers by their field.

    INVALID for what `read_table` or `check_ids` refuses, a header that names an unknown or repeated column or no
    `images`, too many rows, or none. Of a `foreign` file, which the caller need not have seen, no cell is told.
    """
    try:
        table = read_table(data)
    except TableError as error:
        raise _invalid(str(error)) from None
    header = [cell.strip() for cell in table.header]
    columns = (NAME, IMAGES, *SelfReport.model_fields)
    if strange := [cell for cell in header if cell not in columns]:
        places = ", ".join(str(header.index(cell) + 1) for cell in strange[:3])
        raise _invalid(f"column {places} of the header is not known; use {', '.join(columns)}")
    if IMAGES not in header or len(set(header)) != len(header):
        raise _invalid(f"the header needs '{IMAGES}', and each column once; it has {len(header)} columns")
    if len(table.rows) > most:
        raise _invalid(f"there are more than {most:,} rows; send them as several batches")
    if not table.rows:
        raise _invalid("there is no row below the header; add one for each case")
    rows: list[tuple[int, Cells]] = [(row.line, dict(zip(header, row.cells, strict=True))) for row in table.rows]
    for column in {NAME, IMAGES} & set(header):
        try:
            check_ids(column, [cells[column] for _, cells in rows], [line for line, _ in rows])
        except TableError as error:
            remedy = "take the original table, and import the column as text"
            hidden = f"line {error.line}, column '{column}': a spreadsheet has taken it for a number; {remedy}"
            raise _invalid(hidden if foreign else str(error)) from None
    return rows


def images_of(cells: Cells) -> tuple[str, ...]:
    """Return the keys of a row's images; INVALID if there are none or too many."""
    keys = tuple(key.strip() for key in cells[IMAGES].split(SEPARATOR) if key.strip())
    if not 1 <= len(keys) <= MAX_IMAGES:
        raise _invalid(f"images: there are {len(keys)}; give 1 to {MAX_IMAGES} keys, separated by '{SEPARATOR}'")
    return keys


def answers_of(cells: Cells) -> dict[str, Any]:
    """Return a row's answers as a self-report takes them; an empty cell is an answer that was not given."""
    filled = {name: cells[name].strip() for name in SelfReport.model_fields if cells.get(name, "").strip()}
    return {
        name: [part.strip() for part in text.split(SEPARATOR) if part.strip()] if _several(name) else text
        for name, text in filled.items()
    }


def _several(field: str) -> bool:
    return any(get_origin(arm) is tuple for arm in get_args(SelfReport.model_fields[field].annotation))


COLUMNS = (
    *("row", "name", "fault", "kind", "reason", "urgent", "prediction_set"),
    *(f"{what}_{n}" for n in range(1, _SHOWN + 1) for what in ("condition", "probability")),
    *(f"image_{n}" for n in range(1, MAX_IMAGES + 1)),
    "model",
)


def as_csv(results: Iterable[Mapping[str, Any]], *, header: bool) -> str:
    """Return results (`BatchResult` as JSON has it) as CSV.

    Columns: the first conditions, the set, red flags and each image's verdict.
    """
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\r\n")
    if header:
        writer.writeheader()
    writer.writerows(dict(_cells(result)) for result in results)
    return out.getvalue()


def _cells(result: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    outcome = result.get("outcome") or {}
    ranked: Sequence[Mapping[str, Any]] = outcome.get("differential", ())
    yield "row", result.get("row", 0)
    yield NAME, _inert(str(result["name"]))
    yield "fault", (result.get("fault") or {}).get("reason", "")
    yield "kind", outcome.get("kind", "")
    yield "reason", outcome.get("reason") or ""
    yield "urgent", SEPARATOR.join(flag["flag"] for flag in outcome.get("red_flags", ()))
    yield "prediction_set", SEPARATOR.join(entry["condition"] for entry in ranked if entry["in_prediction_set"])
    for n, entry in enumerate(ranked[:_SHOWN], start=1):
        yield f"condition_{n}", entry["condition"]
        yield f"probability_{n}", round(entry["probability"], 6)
    for image in result.get("images", ()):
        yield f"image_{image['n']}", image["quality"]["verdict"]
    if model := outcome.get("model"):
        yield "model", f"{model['name']} {model['version']}"


def _inert(text: str) -> str:
    """Return text that no spreadsheet takes for a formula (OWASP, CSV injection)."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _invalid(detail: str) -> DermisError:
    return DermisError(Kind.INVALID, "BATCH_CSV", detail, pointer="/csv")
