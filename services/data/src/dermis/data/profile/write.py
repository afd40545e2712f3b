"""Write the profile of a data set, or two data sets side by side, as a report."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from dermis.data.images.colors import FOLLOWED, color_facts, color_tables, shortcuts
from dermis.data.images.tables import read_images, with_cases
from dermis.data.mapping import CONDITION, DataSide, open_side
from dermis.data.missing import AbsenceSign, absence_signs
from dermis.data.profile.compare import compare
from dermis.data.profile.profile import mapped_profile, profile
from dermis.data.profile.publish import NOTICE, publishable
from dermis.data.report.report import Report, as_json, write_report
from dermis.shared.errors import DermisError, Kind
from dermis.shared.stores import open_store

ABSENCE = "Absence that predicts the label"
DIGEST_LENGTH = 16
"""Characters of a digest that stand in a key, as for evaluations."""


def write_profile(
    source: str,
    mapping: str | None,
    policy: str,
    out: Path,
    *,
    images: Path | None = None,
    publish_to: str | None = None,
) -> str:
    """Write the report of the data set at a store URL; `images`: the table that `dermis data images` wrote of it."""
    side = open_side(source, mapping, per="case")
    facts = {"Source": source, "Tables": ", ".join(f"{file} sha256:{digest}" for file, digest in side.tables.items())}
    if side.scin:
        labels = side.scin.labels(policy)
        facts["Label policy"] = labels.policy.reference
        tables = profile(side.scin.tables, labels)
    else:
        tables = mapped_profile(side)
    signs = _absence(side)
    warnings = [f"warning: {sign}" for sign in signs]
    if signs:
        facts[ABSENCE] = "; ".join(map(str, signs))
    if images:
        of_cases = with_cases(read_images(images, ("image", "color_space")), side, by_name=True)
        if not any(place >= 0 for place in of_cases.owners):
            detail = (
                f"not one image of {images.name} is of a case in {source}: give the table that `dermis data "
                "images` wrote of it"
            )
            raise DermisError(Kind.INVALID, "IMAGE_TABLE", detail)
        tables += color_tables(of_cases)
        followed = shortcuts(of_cases)
        warnings += [f"warning: {each}" for each in followed]
        facts |= color_facts(followed)
    report = Report(name="profile", title=f"{side.name}: data profile", facts=facts, tables=tables)
    lines = [*warnings, _written(write_report(report, out))]
    return "\n".join([*lines, *([f"published as {_publish(report, publish_to)}"] if publish_to else [])])


def _absence(side: DataSide) -> tuple[AbsenceSign, ...]:
    """Return whose absence predicts the condition, of all that the data set tells of a case."""
    if CONDITION not in side.answers:
        return ()
    present = {
        name: np.array([bool(answer) for answer in answers])
        for name, answers in side.answers.items()
        if name != CONDITION
    }
    return absence_signs(present, [answer[0] if answer else None for answer in side.answers[CONDITION]])


def _publish(report: Report, store_url: str) -> str:
    """Put what may be shown of a report into a store, under its own digest; return the key.

    Where the data came from stays here, and so does a warning, whose shares may be of a few images.
    """
    facts = {name: text for name, text in report.facts.items() if name not in ("Source", FOLLOWED, ABSENCE)} | {
        "Withheld": NOTICE
    }
    document = as_json(replace(report, facts=facts, tables=publishable(report.tables))).encode()
    key = f"reports/{hashlib.sha256(document).hexdigest()[:DIGEST_LENGTH]}/report.json"
    open_store(store_url).put_once(key, document)
    return key


def write_compare(a: tuple[str, str | None], b: tuple[str, str | None], policy: str, out: Path) -> str:
    left, right = (open_side(url, mapping, policy) for url, mapping in (a, b))
    facts = {"A": f"{left.name}, {a[0]}", "B": f"{right.name}, {b[0]}"}
    return _written(
        write_report(
            Report(name="compare", title=f"{left.name} and {right.name}", facts=facts, tables=compare(left, right)), out
        )
    )


def _written(paths: list[Path]) -> str:
    return f"written {paths[0]}, {paths[1]} and {len(paths) - 2} CSV files in {paths[1].with_suffix('')}/"
