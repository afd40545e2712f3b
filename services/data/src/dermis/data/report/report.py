"""Tables as CSV files, one JSON file and one self-contained HTML page."""

import json
import math
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from string import Template
from typing import Any

import pandas as pd

from dermis.data.report.plots import draw
from dermis.data.report.table import ReportTable
from dermis.data.report.words import words

NOTICE = (
    "Intervals are 95 %: Wilson score intervals for shares, others as the table says. An answer that was not given is "
    "a row of its own. Monk and Fitzpatrick scales are never converted into each other."
)
_SHORT = 14
_SHARES = {f"{name}{side}" for name in ("share", "low", "high", "difference") for side in ("", "_a", "_b")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a report says: where from (`facts`, shown on top), how to read it (`notice`) and its tables.

    `name` is the stem of its files.
    """

    name: str
    title: str
    facts: Mapping[str, str]
    tables: Sequence[ReportTable]
    notice: str = NOTICE


def write_report(report: Report, folder: Path) -> list[Path]:
    """Write `<name>.html`, `<name>.json` and `<name>/<table>.csv` into `folder`; return the paths.

    Equal input gives equal bytes.
    """
    texts = {folder / f"{report.name}.html": as_html(report), folder / f"{report.name}.json": as_json(report)}
    for table in report.tables:
        texts[folder / report.name / f"{table.name}.csv"] = table.frame.to_csv(
            index=False, float_format="%.6f", lineterminator="\n"
        )
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(texts)


def as_json(report: Report) -> str:
    tables = [
        {
            "name": table.name,
            "section": table.section,
            "title": table.title,
            "note": table.note,
            "columns": [str(column) for column in table.frame.columns],
            "rows": [[_plain(value) for value in row] for row in table.frame.itertuples(index=False)],
        }
        for table in report.tables
    ]
    document = {"format": "dermis.data-report/1", "title": report.title, "facts": dict(report.facts), "tables": tables}
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return None
    value = value.item() if hasattr(value, "item") else value
    return round(value, 6) if isinstance(value, float) else value


def as_html(report: Report) -> str:
    page = Template(files(__package__).joinpath("report.html").read_text(encoding="utf-8"))
    sections = [(name, list(tables)) for name, tables in groupby(report.tables, key=lambda table: table.section)]
    facts = {**report.facts, "Read it so": report.notice}
    return page.substitute(
        title=escape(report.title),
        facts="".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts.items()),
        links="".join(f'<a href="#{_anchor(name)}">{escape(name)}</a>' for name, _ in sections),
        sections="\n".join(
            f'<section id="{_anchor(name)}"><h2>{escape(name)}</h2><div '
            f'class="grid">{"".join(map(_article, tables))}</div></section>'
            for name, tables in sections
        ),
    )


def _anchor(name: str) -> str:
    return f"section-{name.lower().replace(' ', '-')}"


def _article(table: ReportTable) -> str:
    chart = draw(table)
    numbers = f'<div class="scroll" tabindex="0">{_html_table(table.frame, table.n_min)}</div>'
    if table.chart == "scatter":
        numbers = ""
    elif chart or len(table.frame) > 2 * _SHORT:
        numbers = f"<details><summary>{len(table.frame)} rows</summary>{numbers}</details>"
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    wide = ' class="wide"' if table.pictures or (not chart and len(table.frame.columns) >= 5) else ""
    return (
        "<article "
        f'id="{table.name}"{wide}><h3>{escape(table.title)}</h3>{note}{_sheet(table)}{chart}{numbers}</article>\n'
    )


def _sheet(table: ReportTable) -> str:
    figures = "".join(
        f'<figure><img alt="{escape(picture.caption)}" src="data:image/jpeg;base64,{b64encode(picture.jpeg).decode()}">'
        f"<figcaption>{escape(picture.caption)}</figcaption></figure>"
        for picture in table.pictures
    )
    return f'<div class="sheet">{figures}</div>' if figures else ""


def _html_table(frame: pd.DataFrame, n_min: int) -> str:
    percent = set() if "estimate" in frame else _SHARES
    cells = pd.DataFrame(
        {str(name): [_text(value, percent=str(name) in percent) for value in frame[name]] for name in frame.columns}
    )
    if {"low", "high"} <= set(cells.columns):
        interval = [
            f"{low} \N{EN DASH} {high}" if low else "" for low, high in zip(cells["low"], cells["high"], strict=True)
        ]
        cells = cells.drop(columns="high").assign(low=interval).rename(columns={"low": "95 % interval"})
    numeric = {name for name in cells.columns if name not in frame or pd.api.types.is_numeric_dtype(frame[name])}
    head = "".join(
        f'<th scope="col"{_class(name, numeric)}>{escape(name.replace("_", " "))}</th>' for name in cells.columns
    )
    few = frame["n"] < n_min if n_min else [False] * len(frame)
    body = "".join(
        ('<tr class="few">' if grey else "<tr>")
        + "".join(
            f"<td{_class(name, numeric)}>{escape(cell)}</td>" for name, cell in zip(cells.columns, row, strict=True)
        )
        + "</tr>"
        for grey, row in zip(few, cells.itertuples(index=False), strict=True)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _class(name: str, numeric: set[str]) -> str:
    return ' class="number"' if name in numeric else ""


def _text(value: Any, *, percent: bool) -> str:
    plain = _plain(value)
    if plain is None:
        return ""
    if isinstance(plain, float):
        return f"{plain:.1%}" if percent else f"{plain:.3f}"
    return f"{plain:,}" if isinstance(plain, int) else words(plain)
