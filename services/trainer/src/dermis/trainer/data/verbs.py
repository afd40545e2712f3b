"""What the commands of `dermis data` do; each returns what to say."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from dermis.shared.errors import DermisError, Kind
from dermis.shared.ports import BlobNotFound
from dermis.shared.stores import open_store
from dermis.trainer.data.core.attributes import monk_bin
from dermis.trainer.data.core.compare import compare
from dermis.trainer.data.core.groups import read_duplicates
from dermis.trainer.data.core.mapping import DataMapping, DataSide, read_mapped, scin_side
from dermis.trainer.data.core.policy import Labels
from dermis.trainer.data.core.profile import profile
from dermis.trainer.data.core.publish import NOTICE, publishable
from dermis.trainer.data.core.select import fields, parse_where, select
from dermis.trainer.data.core.split import PARTS, Part, Split, as_text, audit_split, from_text, make_split, random_image_leak
from dermis.trainer.data.fetch import Fetched, fetch, images_of
from dermis.trainer.data.report import Report, as_json, write_report
from dermis.trainer.data.scin import Scin, open_scin
from dermis.trainer.data.shipped import load

DIGEST_LENGTH = 16
"""Characters of a digest that stand in a key, as for evaluations."""


def write_profile(source: str, policy: str, out: Path, publish_to: str | None = None) -> str:
    scin = open_scin(source)
    labels = scin.labels(policy)
    tables = ", ".join(f"{file} sha256:{digest}" for file, digest in scin.tables.digests.items())
    facts = {"Source": source, "Tables": tables, "Label policy": labels.policy.reference}
    report = Report(name="profile", title="SCIN: data profile", facts=facts, tables=profile(scin.tables, labels))
    said = _written(write_report(report, out))
    return f"{said}\npublished as {_publish(report, publish_to)}" if publish_to else said


def _publish(report: Report, store_url: str) -> str:
    """Put what may be shown of a report into a store, under its own digest; return the key. Where the data came from stays here."""
    facts = {name: text for name, text in report.facts.items() if name != "Source"} | {"Withheld": NOTICE}
    document = as_json(replace(report, facts=facts, tables=publishable(report.tables))).encode()
    key = f"reports/{hashlib.sha256(document).hexdigest()[:DIGEST_LENGTH]}/report.json"
    open_store(store_url).put_once(key, document)
    return key


def write_compare(a: tuple[str, str | None], b: tuple[str, str | None], policy: str, out: Path) -> str:
    left, right = (_side(url, mapping, policy) for url, mapping in (a, b))
    facts = {"A": f"{left.name}, {a[0]}", "B": f"{right.name}, {b[0]}"}
    return _written(
        write_report(Report(name="compare", title=f"{left.name} and {right.name}", facts=facts, tables=compare(left, right)), out)
    )


def _written(paths: list[Path]) -> str:
    return f"written {paths[0]}, {paths[1]} and {len(paths) - 2} CSV files in {paths[1].with_suffix('')}/"


def _side(url: str, mapping: str | None, policy: str) -> DataSide:
    if mapping is None:
        scin = open_scin(url)
        return scin_side(scin.tables, scin.labels(policy))
    known = load_mapping(mapping)
    try:
        return read_mapped(known, open_store(url).get(known.table))
    except BlobNotFound as error:
        raise DermisError(Kind.NOT_FOUND, "DATA_TABLE", f"no {known.table} in {url}: name the folder that holds it") from error


def side(tables: str | None, mapping: str | None, policy: str) -> DataSide | None:
    """Return the data set whose tables stand at a store URL, None if none is named."""
    if tables is None and mapping is not None:
        raise DermisError(Kind.INVALID, "DATA_TABLE", f"mapping {mapping!r} maps no table: name the store that holds it with --tables")
    return None if tables is None else _side(tables, mapping, policy)


def load_mapping(name: str) -> DataMapping:
    """Return the mapping that comes with dermis under `name`, or the one in the file of that name."""
    return load(name, DataMapping, folder="mappings", word="data mapping")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Selected cases and the keys of their images."""

    scin: Scin
    case_ids: list[str]
    keys: list[str]

    def bring_to(self, folder: Path, *, step: Callable[[], None]) -> Fetched:
        return fetch(self.scin, self.case_ids, open_store(folder.resolve().as_uri()), step=step)


def choose(source: str, policy: str, where: Sequence[str]) -> Chosen:
    conditions = [parse_where(text) for text in where]
    scin = open_scin(source)
    mask = select(conditions, fields(scin.tables, scin.labels(policy)), len(scin.cases))
    case_ids = list(scin.cases.loc[mask, "case_id"])
    return Chosen(scin=scin, case_ids=case_ids, keys=images_of(scin, case_ids))


def write_split(source: str, policy: str, duplicates: Path | None, *, seed: int, folds: int, fractions: str, out: Path) -> str:
    shares = _fractions(fractions)
    scin = open_scin(source)
    labels = scin.labels(policy)
    known = read_duplicates(duplicates.read_bytes()) if duplicates else None
    made = make_split(scin.tables, labels, seed=seed, fractions=shares, folds=folds, duplicates=known)
    audit_split(made, scin.tables, labels, duplicates=known)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(as_text(made), encoding="utf-8")
    groups = pd.Series([case.group for case in made.cases]).value_counts()
    leaked, tested = random_image_leak(scin.tables, test=shares["test"], seed=seed)
    return "\n".join(
        [
            _summary(made, scin, labels).to_string(),
            f"groups: {len(groups):,}, {int((groups > 1).sum()):,} of several cases, the largest of {groups.max()}",
            f"cases that train in every fold, being all that a label has: {sum(case.fold is None for case in made.cases):,}",
            f"split by image at random, {leaked:,} of {tested:,} test images ({leaked / max(tested, 1):.0%}) would have a sibling in train",
            f"digest {made.digest}",
            f"written {out}",
        ]
    )


def audit(source: str, policy: str, duplicates: Path | None, split: Path) -> str:
    made = from_text(split.read_bytes())
    scin = open_scin(source)
    audit_split(made, scin.tables, scin.labels(policy), duplicates=read_duplicates(duplicates.read_bytes()) if duplicates else None)
    return f"no leak in {len(made.cases):,} cases; digest {made.digest}"


def _fractions(text: str) -> dict[Part, float]:
    try:
        return dict(zip(PARTS, [float(share) for share in text.split(":")], strict=True))
    except ValueError as error:
        raise DermisError(
            Kind.INVALID, "SPLIT", f"fractions {text!r}: write four numbers as 0.6:0.1:0.1:0.2 ({':'.join(PARTS)})"
        ) from error


def _summary(split: Split, scin: Scin, labels: Labels) -> pd.DataFrame:
    part = scin.cases["case_id"].map(split.part_of())
    frame = pd.DataFrame({"part": part, "tone": monk_bin(scin.cases), "labelled": labels.has_label, "top": labels.frame["top"]})
    by_part = frame.groupby("part")
    tones = pd.crosstab(frame["part"][frame["labelled"]], frame["tone"][frame["labelled"]]).add_prefix("labelled ")
    counts = pd.DataFrame({"cases": by_part.size(), "labelled": by_part["labelled"].sum(), "top conditions": by_part["top"].nunique()})
    return counts.join(tones).reindex(PARTS).fillna(0).astype(int)
