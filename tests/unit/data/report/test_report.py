"""One page that needs nothing from elsewhere, beside CSV and JSON with the same numbers."""

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from dermis.data.profile.profile import profile
from dermis.data.report.report import Report, as_html, write_report
from dermis.data.report.table import ReportTable
from dermis.data.report.words import words
from dermis.data.scin.label_policy import apply_policy
from dermis.data.scin.source import load_policy
from tests.unit.data.scin_rows import case, labelled, tables


@pytest.fixture(scope="module")
def report() -> Report:
    rows = [labelled(n, {"Eczema <b>": 1.0}, monk_skin_tone_label_us=str(n % 10 + 1)) for n in range(1, 30)]
    read = tables([*rows, case(99, images=())])
    return Report(
        name="profile",
        title="A & B",
        facts={"Source": "<here>"},
        tables=profile(read, apply_policy(load_policy("scin-all"), read.cases)),
    )


@pytest.fixture(scope="module")
def page(report: Report) -> str:
    return as_html(report)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.images: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag not in ("meta", "path", "use", "rect"):
            self.open.append(tag)
        self.ids += [given["id"]] if tag in ("section", "article") else []
        self.links += [given["href"]] if tag == "a" else []
        if tag == "svg":
            assert given["role"] == "img"
            self.images.append(given["aria-label"])

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            while self.open.pop() != tag:
                pass


def test_the_page_asks_nobody_for_anything(page: str) -> None:
    assert not re.findall(r"(?:src|srcset|action|data)=|@import|url\((?!#)|<script|<link|<iframe", page)
    assert "default-src 'none'" in page
    for address in re.findall(r'href="([^"]*)"', page):
        assert address.startswith("#")


def test_every_chart_has_an_alternative_text_with_its_numbers(page: str, report: Report) -> None:
    read = _Page()
    read.feed(page)
    assert len(read.images) > 20
    assert all(len(text) > 20 for text in read.images)
    assert any(text.startswith("Monk skin tone, graders in the US. Bars: 1 6.7% of 30;") for text in read.images)
    assert {link.removeprefix("#") for link in read.links} <= set(read.ids)
    assert {table.name for table in report.tables} <= set(read.ids)
    assert len(read.ids) == len(set(read.ids))
    assert read.open == []


def test_what_the_data_say_is_escaped(page: str) -> None:
    assert "Eczema &lt;b&gt;" in page
    assert "Eczema <b>" not in page
    assert "<h1>A &amp; B</h1>" in page


def test_colours_are_the_pages_own(page: str) -> None:
    assert "currentColor" in page
    assert "var(--accent)" in page
    assert not re.search(r"#0102\d\d", page)
    assert "prefers-color-scheme: dark" in page
    assert "width=device-width" in page


def test_the_same_input_gives_the_same_bytes_and_numbers_everywhere(report: Report, page: str, tmp_path: Path) -> None:
    write_report(report, tmp_path)
    assert (tmp_path / "profile.html").read_text() == page
    with (tmp_path / "profile" / "monk_us.csv").open(newline="") as file:
        from_csv = {row["value"]: int(row["n"]) for row in csv.DictReader(file)}
    document = json.loads((tmp_path / "profile.json").read_text())
    table = next(table for table in document["tables"] if table["name"] == "monk_us")
    assert from_csv == {row[0]: row[1] for row in table["rows"]}
    assert from_csv["1"] == 2


def test_a_share_of_nothing_is_empty_not_a_number() -> None:
    frame = pd.DataFrame(
        {"value": ["a"], "n": [0], "of": [0], "share": [float("nan")], "low": [float("nan")], "high": [float("nan")]}
    )
    table = ReportTable(name="t", section="S", title="T", frame=frame, chart="bars")
    page = as_html(Report(name="r", title="R", facts={}, tables=[table]))
    assert "nan" not in page
    assert "<svg" not in page


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("AGE_18_TO_29", "Age 18 to 29"),
        ("MST_7_10", "MST 7\N{EN DASH}10"),
        ("FST3", "FST3"),
        ("ARM", "Arm"),
        ("BLACK_OR_AFRICAN_AMERICAN,WHITE", "Black or African American, White"),
        ("SCC/SCCIS", "SCC/SCCIS"),
        ("1,516", "1,516"),
        (3, "3"),
        ("US", "US"),
    ],
)
def test_values_are_said_in_words(value: object, said: str) -> None:
    assert words(value) == said
