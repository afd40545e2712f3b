"""Data sets of any source: samples and where their images are, opened, split, mixed."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import cv2

from dermis.data.data_source import DRAWINGS, DataSource, digest_of_tables, read_data_source, scin_source
from dermis.data.defaults import FRACTIONS, POLICY
from dermis.data.generated import cases as generated
from dermis.data.mapping import DataMapping, choose_mapping, read_mapped_table, read_rows
from dermis.data.samples import SOURCE, Sample
from dermis.data.scin.label_policy import LabelPolicy, Labels, apply_to_all
from dermis.data.scin.source import Scin, load_policy, open_scin
from dermis.data.sources import digest_of_samples, generated_sample, mapped_samples, scin_samples
from dermis.data.split.groups import connected
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
    (`data.split.groups.read_duplicates`); their cases stay together.
    """
    return open_datasets((url,), mapping=mapping, policy=policy, duplicates=duplicates)


def open_datasets(
    urls: Sequence[str],
    *,
    mapping: str | DataMapping | None = None,
    policy: str | LabelPolicy = POLICY,
    duplicates: Mapping[str, str] | None = None,
) -> Dataset:
    """Open several data sets as one (`mix`).

    Those in SCIN's form have one space of labels: the label policy counts the cases of all of them.
    """
    opened = [_open(url, mapping=mapping, duplicates=duplicates) for url in urls]
    tables = [each.tables.cases for each in opened if isinstance(each, Scin)]
    chosen = policy if isinstance(policy, LabelPolicy) else load_policy(policy) if tables else None
    labels = iter(apply_to_all(chosen, tables) if chosen and tables else ())
    datasets = [
        _of_scin(each, next(labels), duplicates=duplicates) if isinstance(each, Scin) else each for each in opened
    ]
    return datasets[0] if len(datasets) == 1 else mix(*datasets, duplicates=duplicates)


def _open(url: str, *, mapping: str | DataMapping | None, duplicates: Mapping[str, str] | None) -> Dataset | Scin:
    """Return a data set, or SCIN's tables, which have no label yet."""
    if match := GENERATED.fullmatch(url):
        return _generated(int(match[1]), int(match[2]), int(match[3] or 112))
    if not is_store_url(url) and Path(url).is_dir():
        url = Path(url).resolve().as_uri()
    store = open_store(url)
    chosen = choose_mapping(store, mapping)
    if chosen is None:
        return open_scin(url)
    data = read_mapped_table(chosen, store, url)
    samples = mapped_samples(chosen, read_rows(chosen, data), duplicates=duplicates)
    rules = json.dumps(chosen.model_dump(mode="json"), sort_keys=True)
    tables = {chosen.table: hashlib.sha256(data).hexdigest()}
    source = read_data_source(store, tables) or DataSource(name=chosen.table, digest=digest_of_tables(tables))
    policy_name = f"mapping {chosen.name} sha256:{hashlib.sha256(rules.encode()).hexdigest()}"
    return _dataset(
        *(chosen.name, samples, store),
        tables=tables,
        policy=policy_name,
        duplicates=_digest(duplicates),
        url=url,
        source=str(source),
    )


def _of_scin(scin: Scin, labels: Labels, *, duplicates: Mapping[str, str] | None) -> Dataset:
    source = scin_source(scin.store, scin.tables)
    return _dataset(
        source.name.replace("/", "_"),
        scin_samples(scin.tables, labels, duplicates=duplicates),
        scin.store,
        tables=scin.tables.digests,
        policy=labels.policy.reference,
        duplicates=_digest(duplicates),
        url=scin.source,
        source=str(source),
    )


def _digest(duplicates: Mapping[str, str] | None) -> str | None:
    return None if duplicates is None else digest_of(duplicates)


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


def mix(*sources: Dataset, duplicates: Mapping[str, str] | None = None) -> Dataset:
    """Return data sets as one, ids, groups and images named after theirs: NAME/ID.

    The slice `source` says whose each case is. `duplicates`: image, as its own data set calls it, -> near-duplicate
    group; cases that hold one stay together across data sets too.
    """
    names = [source.name for source in sources]
    if len(set(names)) < len(names):
        raise DermisError(
            Kind.INVALID, "DATA_SETS", f"two data sets are called {max(names, key=names.count)!r}: open each once"
        )
    samples = [
        replace(
            s,
            id=f"{d.name}/{s.id}",
            group=f"{d.name}/{s.group}",
            images=tuple(f"{d.name}/{key}" for key in s.images),
            slices={**s.slices, SOURCE: d.name},
        )
        for d in sources
        for s in d.samples
    ]
    if duplicates:
        samples = _grouped_across(samples, duplicates)
    store = _Several({source.name: source.store for source in sources})
    tables = {f"{d.name}/{table}": digest for d in sources for table, digest in d.tables.items()}
    groups = (
        " + ".join(source.duplicates or "none" for source in sources)
        if any(source.duplicates for source in sources)
        else None
    )
    about = {name: " + ".join(getattr(source, name) for source in sources) for name in ("policy", "url", "source")}
    return _dataset("+".join(names), samples, store, tables=tables, duplicates=groups, **about)


def _grouped_across(samples: Sequence[Sample], duplicates: Mapping[str, str]) -> list[Sample]:
    """Return the samples in groups that near-duplicates of different data sets connect."""
    links = [(sample.id, f"group {sample.group}") for sample in samples]
    for sample in samples:
        keys = (key.partition("/")[2] for key in sample.images)
        links += [(sample.id, f"near-duplicate group {duplicates[key]}") for key in keys if key in duplicates]
    group_of = connected([sample.id for sample in samples], links)
    return [replace(sample, group=group_of[sample.id]) for sample in samples]


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
