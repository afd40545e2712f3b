"""dermis trace"""

import json
from collections.abc import Iterator
from pathlib import Path

import click

from dermis.shared.errors import DermisError, Kind
from dermis.standalone.core.waterfall import Span, draw, span_of, trace_of


@click.command("trace", short_help="Draw one case's way through all parts.")
@click.argument("case_id", required=False)
@click.option(
    "--traces",
    "folder",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder that DERMIS_TRACES_URL names.",
)
@click.option(
    "--out", required=True, type=click.Path(dir_okay=False, writable=True, path_type=Path), help="SVG to write."
)
def command(case_id: str | None, folder: Path, out: Path) -> None:
    """Draw one case's way through all parts, from the spans that DERMIS_TRACES_URL=file:///folder collected.

    Without CASE_ID the last one is drawn.

    \b
    Examples:
      dermis trace --traces /tmp/traces --out case.svg
      dermis trace case_01k9x4q7e8f3rtw5m2c6b0dvza --traces /tmp/traces --out case.svg
    """
    rows = trace_of(list(_read(folder)), case_id)
    if not rows:
        detail = (
            f"no span in {folder} is about {f'case {case_id[:64]!r}' if case_id else 'a case'}; were all parts "
            f"started with DERMIS_TRACES_URL=file://{folder}?"
        )
        raise DermisError(Kind.NOT_FOUND, "TRACE", detail)
    total = max(span.ended for _, span in rows) - min(span.begun for _, span in rows)
    out.write_text(draw(rows, title=f"One case: {len(rows)} spans, {total:.0f} ms"), encoding="utf-8")
    parts = ", ".join(dict.fromkeys(span.part for _, span in rows))
    click.echo(f"{out}: {len(rows)} spans of {parts}")


def _read(folder: Path) -> Iterator[Span]:
    for path in sorted(folder.glob("*.ndjson")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                yield span_of(json.loads(line))
            except (ValueError, LookupError, TypeError) as fault:
                raise DermisError(
                    Kind.INVALID, "SPANS", f"{path}, line {number} is no span ({type(fault).__name__}); remove it"
                ) from None
