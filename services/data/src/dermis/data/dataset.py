"""Data sets of any source: samples and where their images are, opened, split, mixed."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import cv2

from dermis.data.data_source import DRAWINGS, DataSource, digest_of_tables, read_data_source, scin_source
from dermis.data.defaults import FRACTIONS, POLICY
from dermis.data.generated import cases as generated
from dermis.data.mapping import DataMapping, choose_mapping, read_mapped_table, read_rows
from dermis.data.samples import Sample
from dermis.data.scin.label_policy import LabelPolicy
from dermis.data.scin.source import open_scin
from dermis.data.sources import digest_of_samples, generated_sample, mapped_samples, scin_samples
from dermis.data.split.split import Part, Split, audit_split, digest_of, make_split
from dermis.shared.errors import DermisError, Kind
from dermis.shared.manifest import Condition
from dermis.shared.ports import BlobNotFound
from dermis.shared.stores import is_store_url, open_store

GENERATED = re.compile(r"generated:(\d+):(\d+)(?::(\d+))?")


class ImageSource(Protocol):
    def get(self, key: str) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Samples and where their images are.

    `digest` names the whole data set, also where only some of its samples are held. `tables`, `policy`, `duplicates`:
    what a fold file of `dermis data split` says it was made from. `url`: what it was opened by. `source`: what it calls
    itself, for people; `name`: for ids and records.
    """

    name: str
    digest: str
    samples: tuple[Sample, ...]
    store: ImageSource
    tables: Mapping[str, str] = field(default_factory=dict)
    policy: str = "none"
    duplicates: str | None = None
    url: str = ""
    source: str = ""

    def __len__(self) -> int:
        return len(self.samples)

    def read(self, key: str) -> bytes | None:
        """Return an image's bytes, None if it is not in the store."""
        try:
            return self.store.get(key)
        except BlobNotFound:
            return None

    def check_images(self) -> None:
        """Raise NOT_FOUND where the cases have images and not one of them is in the store."""
        keys = [key for sample in self.samples for key in sample.images]
        if keys and all(self.read(key) is None for key in keys):
            where = self.url or self.name
            detail = (
                f"not one of {len(keys):,} images is in {where}, the first {keys[0]!r}: put them there, or name "
                "the folder that holds them"
            )
            raise DermisError(Kind.NOT_FOUND, "IMAGES", detail)

    def take(self, ids: Iterable[str]) -> "Dataset":
        """Return the samples of these ids, in the data set's order."""
        wanted = set(ids)
        return replace(self, samples=tuple(sample for sample in self.samples if sample.id in wanted))

    def labelled(self, conditions: Sequence[str] | None = None) -> "Dataset":
        """Return the samples whose reference differential names one of `conditions`, or any."""
        named = None if conditions is None else set(conditions)
        return replace(
            self, samples=tuple(s for s in self.samples if s.target and (named is None or named & s.target.keys()))
        )

    def unlabelled(self) -> "Dataset":
        return replace(self, samples=tuple(sample for sample in self.samples if not sample.target))

    def split(self, *, seed: int, fractions: Mapping[Part, float] = FRACTIONS, folds: int = 5) -> Split:  # type: ignore[assignment]
        """Return parts and folds in which no group and no image is torn apart."""
        return make_split(
            self.samples,
            tables=self.tables,
            policy=self.policy,
            duplicates=self.duplicates,
            seed=seed,
            fractions=fractions,
            folds=folds,
        )

    def audit(self, split: Split) -> None:
        """Raise INVALID unless the split is of this data and leaks nothing."""
        audit_split(split, self.samples, tables=self.tables, policy=self.policy, duplicates=self.duplicates)

    def part(self, split: Split, part: Part) -> "Dataset":
        """Return a part of a split, which is audited first; INVALID if it leaks or is of other data."""
        self.audit(split)
        return self.take(case.case_id for case in split.cases if case.part == part)

    def fold(self, split: Split, fold: int) -> tuple["Dataset", "Dataset"]:
        """Return (training, held out) of a fold, audited likewise."""
        self.audit(split)
        test_ids = {case.case_id for case in split.cases if case.fold == fold}
        return self.take(s.id for s in self.samples if s.id not in test_ids), self.take(test_ids)


def open_dataset(
    url: str,
    *,
    mapping: str | DataMapping | None = None,
    policy: str | LabelPolicy = POLICY,
    duplicates: Mapping[str, str] | None = None,
) -> Dataset:
    """Open a data set: a store URL or a folder, or `generated:SEED:COUNT[:LONGEST]`.

    With a mapping, or where SCIN's tables are not there and a mapping that ships fits the table, it is read by that;
    else as SCIN under the label policy. `duplicates`: image -> near-duplicate group
    (`data.core.groups.read_duplicates`); their cases stay together.
    """
    if match := GENERATED.fullmatch(url):
        return _generated(int(match[1]), int(match[2]), int(match[3] or 112))
    if not is_store_url(url) and Path(url).is_dir():
        url = Path(url).resolve().as_uri()
    store = open_store(url)
    about: dict[str, Any] = {"duplicates": None if duplicates is None else digest_of(duplicates), "url": url}
    chosen = choose_mapping(store, mapping)
    if chosen is None:
        scin = open_scin(url)
        labels = scin.labels(policy)
        samples = scin_samples(scin.tables, labels, duplicates=duplicates)
        source = scin_source(store, scin.tables)
        about |= {"tables": scin.tables.digests, "policy": labels.policy.reference, "source": str(source)}
        return _dataset(source.name.replace("/", "_"), samples, scin.store, **about)
    data = read_mapped_table(chosen, store, url)
    samples = mapped_samples(chosen, read_rows(chosen, data), duplicates=duplicates)
    rules = json.dumps(chosen.model_dump(mode="json"), sort_keys=True)
    tables = {chosen.table: hashlib.sha256(data).hexdigest()}
    source = read_data_source(store, tables) or DataSource(name=chosen.table, digest=digest_of_tables(tables))
    policy_name = f"mapping {chosen.name} sha256:{hashlib.sha256(rules.encode()).hexdigest()}"
    return _dataset(chosen.name, samples, store, tables=tables, policy=policy_name, source=str(source), **about)


def _dataset(
    name: str,
    samples: Sequence[Sample],
    store: ImageSource,
    *,
    tables: Mapping[str, str],
    policy: str,
    duplicates: str | None = None,
    url: str = "",
    source: str = "",
) -> Dataset:
    return Dataset(
        name=name,
        digest=digest_of_samples(samples),
        samples=tuple(samples),
        store=store,
        tables=dict(tables),
        policy=policy,
        duplicates=duplicates,
        url=url,
        source=source,
    )


class _Painted:
    """Images of generated cases, painted when asked for; keys are CASE/IMAGE."""

    def __init__(self, seed: int, longest: int) -> None:
        self._case = lru_cache(maxsize=8)(lambda index: generated.case(seed, index, longest=longest))

    def get(self, key: str) -> bytes:
        index, n = map(int, key.split("/"))
        pixels = self._case(index).images[n]
        _, data = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1])
        return bytes(data)


def _generated(seed: int, count: int, longest: int) -> Dataset:
    samples = [
        generated_sample(case, [f"{case.index}/{n}" for n in range(len(case.shot_types))])
        for case in generated.cases(seed, count, longest=longest, painted=False)
    ]
    tables = {"generated": f"seed {seed}, {count} cases, {longest} px"}
    return _dataset(
        "generated",
        samples,
        _Painted(seed, longest),
        tables=tables,
        policy="generated",
        source=f"{DRAWINGS}, {tables['generated']}",
    )


class _Several:
    """Images of several data sets; a key's first segment is the data set's name."""

    def __init__(self, stores: Mapping[str, ImageSource]) -> None:
        self._stores = stores

    def get(self, key: str) -> bytes:
        name, _, rest = key.partition("/")
        return self._stores[name].get(rest)


def mix(*sources: Dataset) -> Dataset:
    """Return data sets as one, ids, groups and images named after theirs: NAME/ID."""
    names = [source.name for source in sources]
    if len(set(names)) < len(names):
        raise DermisError(
            Kind.INVALID, "DATA_SETS", f"two data sets are called {max(names, key=names.count)!r}: open each once"
        )
    samples = [
        replace(
            s, id=f"{d.name}/{s.id}", group=f"{d.name}/{s.group}", images=tuple(f"{d.name}/{key}" for key in s.images)
        )
        for d in sources
        for s in d.samples
    ]
    store = _Several({source.name: source.store for source in sources})
    tables = {f"{d.name}/{table}": digest for d in sources for table, digest in d.tables.items()}
    groups = (
        " + ".join(source.duplicates or "none" for source in sources)
        if any(source.duplicates for source in sources)
        else None
    )
    about = {name: " + ".join(getattr(source, name) for source in sources) for name in ("policy", "url", "source")}
    return _dataset("+".join(names), samples, store, tables=tables, duplicates=groups, **about)


def conditions_of(samples: Iterable[Sample]) -> tuple[Condition, ...]:
    """Return every condition that a reference differential names, by name; INVALID if two names make one id."""
    by_id: dict[str, Condition] = {}
    for name in sorted({name for sample in samples for name in sample.target}):
        condition = Condition(id=re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_"), name=name)
        if condition.id in by_id:
            raise DermisError(
                Kind.INVALID,
                "CONDITIONS",
                f"{name!r} and {by_id[condition.id].name!r} are both {condition.id}: merge them by a policy",
            )
        by_id[condition.id] = condition
    return tuple(by_id.values())
