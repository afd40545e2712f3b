"""Write the profile of a data set, or two data sets side by side, as a report."""

import hashlib
from dataclasses import replace
from pathlib import Path

from dermis.data.mapping import open_side
from dermis.data.profile.compare import compare
from dermis.data.profile.profile import profile
from dermis.data.profile.publish import NOTICE, publishable
from dermis.data.report.report import Report, as_json, write_report
from dermis.data.scin.source import open_scin
from dermis.shared.stores import open_store

DIGEST_LENGTH = 16
"""Characters of a digest that stand in a key, as for evaluations."""


def write_profile(source: str, policy: str, out: Path, publish_to: str | None = None) -> str:
    scin = open_scin(source)
    labels = scin.labels(policy)
    tables = ", ".join(f"{file} sha256:{digest}" for file, digest in scin.tables.digests.items())
    facts = {"Source": source, "Tables": tables, "Label policy": labels.policy.reference}
    report = Report(name="profile", title="SCIN: data profile", facts=facts, tables=profile(scin.tables, labels))
    summary = _written(write_report(report, out))
    return f"{summary}\npublished as {_publish(report, publish_to)}" if publish_to else summary


def _publish(report: Report, store_url: str) -> str:
    """Put what may be shown of a report into a store, under its own digest; return the key. Where the data came from stays here."""
    facts = {name: text for name, text in report.facts.items() if name != "Source"} | {"Withheld": NOTICE}
    document = as_json(replace(report, facts=facts, tables=publishable(report.tables))).encode()
    key = f"reports/{hashlib.sha256(document).hexdigest()[:DIGEST_LENGTH]}/report.json"
    open_store(store_url).put_once(key, document)
    return key


def write_compare(a: tuple[str, str | None], b: tuple[str, str | None], policy: str, out: Path) -> str:
    left, right = (open_side(url, mapping, policy) for url, mapping in (a, b))
    facts = {"A": f"{left.name}, {a[0]}", "B": f"{right.name}, {b[0]}"}
    return _written(
        write_report(Report(name="compare", title=f"{left.name} and {right.name}", facts=facts, tables=compare(left, right)), out)
    )


def _written(paths: list[Path]) -> str:
    return f"written {paths[0]}, {paths[1]} and {len(paths) - 2} CSV files in {paths[1].with_suffix('')}/"
