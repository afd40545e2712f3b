"""dermis answers"""

import csv
from collections.abc import Iterator
from pathlib import Path

import click

from dermis.shared.errors import DermisError, Kind
from dermis.standalone.core.answers import self_report
from dermis.standalone.core.scin import answers_of, case_id_fault


@click.command("answers", short_help="Print the answers of a row of SCIN's tables as JSON.")
@click.option(
    "--scin-row",
    "table",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="SCIN's scin_cases.csv.",
)
@click.option("--case-id", required=True, help="case_id of the row.")
def command(table: Path, case_id: str) -> None:
    """Print the answers of one row of SCIN's scin_cases.csv as JSON for `dermis assess --answers`.

    Race and ethnicity are printed too: dermis takes them for audit only, and no model reads them.

    \b
    Examples:
      dermis answers --scin-row scin_cases.csv --case-id=-1003358831658393077
      dermis answers --scin-row scin_cases.csv --case-id 3700423038606474119 | dermis assess a.png --answers -
    """
    if fault := case_id_fault(case_id):
        raise DermisError(Kind.INVALID, "CASE_ID", f"--case-id: {fault}")
    line, row = _find(table, case_id)
    answers, faults = answers_of(row)
    if faults:
        raise DermisError(Kind.INVALID, "ANSWERS", f"{table}, row {line}: " + "; ".join(faults))
    report = self_report(answers, source=f"{table}, row {line}")
    click.echo(report.model_dump_json(exclude_none=True, indent=2))


def _find(table: Path, case_id: str) -> tuple[int, dict[str, str]]:
    """Return the row of a case and the line that it ends on; a damaged case_id anywhere before refuses the table."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            for line, row in _rows(table, csv.DictReader(file)):
                if fault := case_id_fault(row["case_id"] or ""):
                    raise DermisError(Kind.INVALID, "CASE_ID", f"{table}, row {line}, column 'case_id': {fault}")
                if row["case_id"] == case_id:
                    return line, row
    except (UnicodeDecodeError, csv.Error) as fault:
        raise DermisError(
            Kind.INVALID, "TABLE", f"{table} is no CSV in UTF-8 ({fault}); take the original table"
        ) from None
    raise DermisError(
        Kind.NOT_FOUND, "CASE_ID", f"{table} has no row with case_id {case_id!r}; copy it from the table as text"
    )


def _rows(table: Path, reader: "csv.DictReader[str]") -> Iterator[tuple[int, dict[str, str]]]:
    if "case_id" not in (reader.fieldnames or ()):
        raise DermisError(
            Kind.INVALID,
            "TABLE",
            f"{table} has no column 'case_id'; take SCIN's scin_cases.csv, commas between the columns",
        )
    for row in reader:
        yield reader.line_num, row
