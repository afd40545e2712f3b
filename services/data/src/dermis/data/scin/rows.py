"""Rows of tables in SCIN's form: the cells that are not empty, by column, and the file that they make."""

import csv
import io
from collections.abc import Mapping, Sequence

from dermis.data.scin.columns import ANY_OF, ONE_OF, flag_column
from dermis.shared.vocabulary import SelfReport, ShotType

Row = Mapping[str, str]


def answer_cells(report: SelfReport) -> dict[str, str]:
    """Return the answers that SCIN has columns for; a tone and what is asked beside SCIN's questions have none."""
    cells = {question: str(answer) for question in ONE_OF if (answer := getattr(report, question)) is not None}
    for question in ANY_OF:
        cells |= {flag_column(question, value): "YES" for value in getattr(report, question) or ()}
    return cells


def image_cells(images: Sequence[tuple[str, ShotType | None]]) -> dict[str, str]:
    """Return the cells of (number, shot type) of each image, slot by slot."""
    cells = {}
    for slot, (number, shot_type) in enumerate(images, start=1):
        cells[f"image_{slot}_path"] = f"dataset/images/{number}.png"
        if shot_type is not None:
            cells[f"image_{slot}_shot_type"] = str(shot_type)
    return cells


def as_csv(rows: Sequence[Row], columns: Sequence[str]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
