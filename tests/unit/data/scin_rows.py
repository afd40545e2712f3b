"""SCIN tables made by hand: a case is a dict of the cells that are not empty."""

import csv
import io
from collections.abc import Mapping, Sequence

from dermis.data.scin.columns import CASE_COLUMNS, LABEL_COLUMNS, YES
from dermis.data.scin.tables import ScinTables, read_tables

Row = Mapping[str, str]


def case(case_id: int | str, *, images: Sequence[int] = (1,), **cells: str) -> Row:
    """Return a row; `images` are numbers of image objects."""
    row = {"case_id": str(case_id), "source": "SCIN", "release": "1.0.0", "year": "2023", "age_group": "AGE_UNKNOWN"}
    for slot, image in enumerate(images, start=1):
        row |= {f"image_{slot}_path": f"dataset/images/{image}.png", f"image_{slot}_shot_type": "CLOSE_UP"}
    return {**row, "dermatologist_gradable_for_skin_condition_1": YES, **cells}


def labelled(
    case_id: int | str, weights: Mapping[str, float], *, confidences: Sequence[int] = (), **cells: object
) -> Row:
    """Return a row with a differential; confidences default to all 3."""
    lists = {
        "dermatologist_skin_condition_on_label_name": repr(list(weights)),
        "dermatologist_skin_condition_confidence": repr(list(confidences) or [3] * len(weights)),
        "weighted_skin_condition_label": repr(dict(weights)),
    }
    return case(case_id, **(lists | cells))  # type: ignore[arg-type]


def files(rows: Sequence[Row]) -> tuple[bytes, bytes]:
    return as_csv(rows, list(CASE_COLUMNS)), as_csv(rows, list(LABEL_COLUMNS))


def as_csv(rows: Sequence[Row], columns: Sequence[str]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def tables(rows: Sequence[Row]) -> ScinTables:
    return read_tables(*files(rows))
