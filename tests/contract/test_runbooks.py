"""Each alert has its page, each page its alert, and what both ask of Prometheus exists."""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.runbooks import PAGES, RUN_BY_THE_FAULTS, read_runbook

ROOT = Path(__file__).parents[2]
CHART_FILES = ROOT / "helm" / "dermis" / "files"
RULES = [
    rule
    for group in yaml.safe_load((CHART_FILES / "alerts.yaml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
PANELS = json.loads((CHART_FILES / "dashboard.json").read_text(encoding="utf-8"))["panels"]
SECTIONS = ["What it means", "What to look at", "What to do", "When it is over"]
OTHERS = {"probe_ssl_earliest_cert_expiry"}
"""Metrics of other exporters, which the pages name."""


@cache
def exported() -> frozenset[str]:
    """Return the names of all metrics that the parts make, as Prometheus has them, from the calls that make them."""
    names = set()
    for path in [*ROOT.glob("services/*/src/**/metrics.py"), ROOT / "shared/src/dermis/shared/metrics.py"]:
        text = path.read_text(encoding="utf-8")
        for kind, name in re.findall(r"\b(Counter|Gauge|Histogram)\(\s*f?\"(dermis_[\w{}]+)\"", text):
            for each in (name.replace("{name}", what) for what in ("bytes", "inodes")):
                names |= {
                    "Counter": {f"{each}_total"},
                    "Gauge": {each},
                    "Histogram": {f"{each}_{end}" for end in ("bucket", "count", "sum")},
                }[kind]
    return frozenset(names)


def asked_for(text: str) -> set[str]:
    return set(re.findall(r"\bdermis_\w+|\bdermis:\w+:\w+|\bprobe_\w+", re.sub(r'"[^"]*"', "", text)))


def expressions() -> Iterator[tuple[str, str]]:
    yield from ((rule.get("alert", rule.get("record")), rule["expr"]) for rule in RULES)
    yield from ((f"{panel['title']}", target["expr"]) for panel in PANELS for target in panel.get("targets", []))
    yield from ((name, query) for name in PAGES for query in read_runbook(name).queries)
    slo = (ROOT / "docs/reference/slo.md").read_text(encoding="utf-8")
    yield from (("slo.md", block) for block in re.findall(r"```promql\n(.*?)```", slo, re.DOTALL))


def test_each_alert_has_one_page_and_each_page_an_alert() -> None:
    assert sorted(PAGES) == sorted(ALERTS)


@pytest.mark.parametrize("alert", ALERTS.values(), ids=ALERTS.keys())
def test_an_alert_says_what_it_is_and_leads_to_its_page(alert: Any) -> None:
    assert alert["labels"]["severity"] in ("page", "ticket")
    annotations = alert["annotations"]
    assert annotations.keys() == {"summary", "description", "runbook_url"}
    assert annotations["runbook_url"] == f"docs/runbooks/{alert['alert']}.md"
    assert (ROOT / annotations["runbook_url"]).is_file()
    assert annotations["description"].endswith(".")
    assert len(annotations["description"].split()) >= 8


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole(name: str) -> None:
    page = read_runbook(name)
    assert page.title == name
    assert page.severity == ALERTS[name]["labels"]["severity"]
    assert list(page.sections) == SECTIONS
    assert all(page.sections.values())
    assert page.queries
    assert page.looks


@pytest.mark.parametrize("name", PAGES)
def test_each_command_is_run_on_a_real_fault_or_says_why_not(name: str) -> None:
    page = read_runbook(name)
    unrun = [line for line in page.lines if line.startswith("kubectl") and "# not run here: " not in line]
    assert unrun == []


def test_every_alert_is_fired_by_a_real_fault() -> None:
    assert set(ALERTS) == RUN_BY_THE_FAULTS


def test_every_metric_that_is_asked_for_exists() -> None:
    missing = {
        (where, name) for where, text in expressions() for name in asked_for(text) - exported() - RECORDED - OTHERS
    }
    assert missing == set()


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_says_what_it_shows_and_where_to_go_on(panel: Any) -> None:
    assert len(panel["description"].split()) >= 6
    for link in panel.get("links", []):
        assert (ROOT / link["url"]).is_file()


def test_the_index_names_each_page() -> None:
    text = (ROOT / "docs/runbooks/README.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"\]\((Dermis\w+)\.md\)", text)) == sorted(ALERTS)
