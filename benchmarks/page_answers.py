"""What a person reads: pictures, real photos, a drawing and answers alone, sent through the page on a phone.

    make page-answers [ARGS="--pictures FOLDER --bundle lesions"]

Starts a system of its own with each bundle that ships, drives Chromium through the form, and notes what the result
says. Needs REAL_DATA, and scikit-image's pictures in `--pictures` as for `benchmarks.skin_gate`. A run that was stopped
goes on where it was: what was read is kept in `--progress` until the page is written. Exit code 1 if an aim is missed.
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.machine import commit, measured_at
from benchmarks.page_cases import PageCase, all_cases
from dermis.data.report.markdown import markdown_table, with_measured
from dermis.standalone.temporary_run import temporary_run
from tests.e2e import pages

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/reference/page-answers.md"
PROGRESS = ROOT / "build/page-answers.ndjson"
BUNDLES = {"demo": "The drawings' bundle, a demo", "lesions": "The bundle of six growths"}
KEYLESS = {"DERMIS_GATEWAY_KEYLESS_RATE_PER_MINUTE": "0"}
"""One address stands for many people."""
LONG = 70
"""Letters from which a text stands below the table."""
_READ = """() => {
  const text = (each) => each.innerText.replace(/\\s+/g, " ").trim();
  const texts = (where) => [...document.querySelectorAll(where)].map(text);
  return {
    heading: texts("#status")[0],
    says: texts("#answer .declined > p:not(.no-print), #answer .card.demo > p:not(:has(a))"),
    urgency: texts("#answer > .card.urgency .when").concat([""])[0],
    reasons: texts("#answer > .card.urgency ul:not(.others) li"),
    conditions: texts("#answer > .card .ranking .name").length,
    warnings: texts("#answer > .card .limits li, #answer > .card.notices li"),
  };
}"""
_BY_MODEL = re.compile(r"^It may be .* \(.*\)\.$")
URGENT = ("In the next few days", "Today", "Now: this is an emergency")
_Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class PageReading:
    """What a person reads of a case: on the form, and on the result."""

    kind: str
    alarm: str
    verdict: str
    heading: str
    says: tuple[str, ...]
    urgency: str
    reasons: tuple[str, ...]
    conditions: int
    warnings: tuple[str, ...]

    @property
    def alike(self) -> tuple[object, ...]:
        """What two cases have in common whose people read the same, but for names and chances."""
        return (self.alarm, self.verdict, self.heading, self.says, self.urgency, self.why, bool(self.conditions))

    @property
    def why(self) -> tuple[str, ...]:
        """The reasons, a condition's name and chance left out."""
        named = (
            re.sub(r"^It may be .* \(.*\)\.$", "It may be (a condition, with its chance).", text)
            for text in self.reasons
        )
        return tuple(dict.fromkeys(named))


def read(browser: Browser, url: str, case: PageCase) -> PageReading:
    """Send a case as a person does and return what they read; a fault of the page is an error."""
    with pages.opened(browser, url, size="phone", scheme="light") as page:
        answers = dict(case.answers)
        if sign := answers.pop("warning_signs", ""):
            page.locator(f"[name=warning_signs][value={sign}]").check()
        if age := answers.pop("age_group", ""):
            pages.answer(page, age_group=age)
        alarm = _text(page, "#alarm-title")
        verdict = _photos(page, case)
        pages.answer(page, **answers)
        pages.send(page)
        _insist(page)
        pages.wait_for_result(page)
        return PageReading(kind=case.kind, alarm=alarm, verdict=verdict, **_tuples(page.evaluate(_READ)))


def _photos(page: Page, case: PageCase) -> str:
    if not case.photos:
        return ""
    pages.step(page, "photo")
    page.locator("#slot-CLOSE_UP .from-files").set_input_files(case.files())
    slots = page.locator(".slot .mark")
    page.wait_for_function(f"() => document.querySelectorAll('.slot .mark').length === {len(case.photos)}")
    reasons = page.locator(".slot .verdict strong").all_inner_texts()
    return ", ".join(dict.fromkeys([*slots.all_inner_texts(), *reasons]))


def _insist(page: Page) -> None:
    """Send once more what the page has warned of: that no photo can be used."""
    page.wait_for_function(
        "() => document.getElementById('send').dataset.warned || !document.getElementById('result').hidden"
    )
    if page.locator("#send").get_attribute("data-warned"):
        page.locator("#send").click()


def _text(page: Page, where: str) -> str:
    place = page.locator(where)
    return place.inner_text() if place.is_visible() else ""


def _tuples(values: _Values) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


class KeptReadings:
    """What was read before a run was stopped, by bundle, kind and place; of this commit alone."""

    def __init__(self, path: Path) -> None:
        self.path, self.commit = path, commit()
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        kept = [each for each in map(json.loads, lines) if each["commit"] == self.commit]
        self.readings = {each["case"]: PageReading(**_tuples(each["reading"])) for each in kept}

    def add(self, name: str, reading: PageReading) -> None:
        self.readings[name] = reading
        line = json.dumps({"commit": self.commit, "case": name, "reading": asdict(reading)})
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


def read_all(bundle: str, cases: Sequence[PageCase], progress: KeptReadings) -> list[PageReading]:
    """Return what is read of each case with a bundle; those that are done already are not sent again."""
    names = [f"{bundle}/{case.kind}/{case.n}" for case in cases]
    if any(name not in progress.readings for name in names):
        with temporary_run(bundle, timeout_s=180) as url, sync_playwright() as playwright:
            browser = pages.launch(playwright, pages.CHROMIUM)
            for done, (name, case) in enumerate(zip(names, cases, strict=True), start=1):
                if name not in progress.readings:
                    progress.add(name, read(browser, url, case))
                print(f"{done} of {len(cases)} {bundle}: {case.kind}", file=sys.stderr)
            browser.close()
    return [progress.readings[name] for name in names]


def tables(bundle: str, readings: Sequence[PageReading]) -> str:
    """Return a bundle's table, a row for each kind and what its people read, and the long texts below it."""
    notes: dict[str, int] = {}

    def cell(texts: Iterable[str]) -> str:
        return "; ".join(text if len(text) < LONG else f"[{notes.setdefault(text, len(notes) + 1)}]" for text in texts)

    rows = []
    for kind in dict.fromkeys(each.kind for each in readings):
        here = [each for each in readings if each.kind == kind]
        for alike in dict.fromkeys(each.alike for each in here):
            same = [each for each in here if each.alike == alike]
            first, sizes = same[0], sorted(each.conditions for each in same)
            rows.append(
                (
                    kind,
                    f"{len(same)} of {len(here)}",
                    cell(filter(None, [first.alarm, first.verdict or "no photo"])),
                    cell([first.heading, *first.says]),
                    cell(filter(None, [first.urgency, *first.why])) or "nothing",
                    _sizes(sizes),
                    cell(dict.fromkeys(text for each in same for text in each.warnings)) or "none",
                )
            )
    head = ("sent", "n", "on the form", "heading and text", "how soon, and why", "list", "warnings")
    legend = "\n".join(f"{number}. {text}" for text, number in notes.items())
    return "\n\n".join(
        (f"## {BUNDLES[bundle]}", markdown_table(head, rows), "The longer texts:", legend, *aims(bundle, readings))
    )


def _sizes(sizes: Sequence[int]) -> str:
    least, most = sizes[0], sizes[-1]
    return (f"{least} to {most} conditions" if least < most else f"{most} conditions") if most else "none"


def aims(bundle: str, readings: Sequence[PageReading]) -> list[str]:
    """Return what may not be, with counts; what is all the same says MISSED."""
    malignant = [each for each in readings if each.kind == "a malignant growth, reported as a growth"]
    skin = [each for each in readings if "growth" in each.kind or each.kind.startswith("a rash")]
    strangers = readings if bundle == "demo" else [each for each in readings if each not in skin]
    whom = "for any case" if bundle == "demo" else "where there is no photo of anyone's skin"
    late = sum(each.urgency not in URGENT for each in malignant)
    baseless = sum(bool(each.urgency) and not each.reasons for each in readings)
    listed = sum(bool(each.conditions) for each in strangers)
    counts = (
        (f'malignant growths, reported as growths, below "{URGENT[0]}"', late, malignant),
        ("an urgency without a reason", baseless, readings),
        (f"conditions listed {whom}", listed, strangers),
    )
    lines = (f"- {text}: {n} of {len(of)}{', MISSED' if n else ''}" for text, n, of in counts)
    return ["What may not be:", "\n".join(lines)]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page_answers", description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("REAL_DATA"), help="the real data [REAL_DATA]")
    parser.add_argument("--pictures", type=Path, required=True, help="unpacked packages of everyday pictures")
    parser.add_argument("--bundle", choices=sorted(BUNDLES), action="append", help="one of the bundles [default: all]")
    parser.add_argument("--progress", type=Path, default=PROGRESS, help="where what was read is kept meanwhile")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    options = parser.parse_args()
    if options.data is None:
        parser.error("give --data, or set REAL_DATA to the folder that holds photos/")
    os.environ.update(KEYLESS)
    cases = all_cases(Path(options.data, "photos"), options.pictures)
    progress, missed = KeptReadings(options.progress), False
    for bundle in options.bundle or BUNDLES:
        text = f"{tables(bundle, read_all(bundle, cases, progress))}\n\n{measured_at()}."
        print(text)
        missed = missed or "MISSED" in text
        if options.write:
            page = with_measured(PAGE.read_text(encoding="utf-8"), f"page answers of {bundle}", text)
            PAGE.write_text(page, encoding="utf-8")
    options.progress.unlink(missing_ok=True)
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
