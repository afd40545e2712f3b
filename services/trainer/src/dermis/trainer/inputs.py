"""Data sets as a model takes them: samples of any source, their images read through the store, prepared as serving prepares them."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from dermis.metadata.core.encode import encode_batch
from dermis.shared.case import MAX_IMAGES
from dermis.shared.errors import DermisError, Kind
from dermis.shared.manifest import Condition, FeatureSchema, FitzpatrickGroup
from dermis.shared.ports import BlobNotFound
from dermis.shared.stores import is_store_url, open_store
from dermis.shared.vocabulary import SelfReport
from dermis.trainer.core.predictions import Predictions, Shown
from dermis.trainer.core.samples import Sample
from dermis.trainer.core.sources import (
    audit_samples,
    digest_of_samples,
    generated_sample,
    mapped_samples,
    scin_samples,
    split_samples,
)
from dermis.trainer.data import generated, shipped
from dermis.trainer.data.core.mapping import DataMapping, read_rows
from dermis.trainer.data.core.policy import LabelPolicy
from dermis.trainer.data.core.schema import CASES_FILE
from dermis.trainer.data.core.split import Part, Split, digest_of
from dermis.trainer.data.defaults import FRACTIONS, POLICY
from dermis.trainer.data.scin import open_scin
from dermis.trainer.data.verbs import load_mapping
from dermis.worker.core.decode import decode
from dermis.worker.core.differential import FITZPATRICK_GROUPS
from dermis.worker.core.prepare import Image, fit

GENERATED = re.compile(r"generated:(\d+):(\d+)(?::(\d+))?")
_READERS = 4
Inputs = dict[str, npt.NDArray[np.generic]]
"""`images` uint8[N,3,S,S,3], `image_mask` bool[N,3], `features` float32[N,F]: the model's signature."""


class Images(Protocol):
    def get(self, key: str) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Samples and where their images are.

    `digest` names the whole data set, also where only some of its samples are held. `tables`, `policy`, `duplicates`: what a
    fold file of `dermis data split` says it was made from. `url`: what it was opened by.
    """

    name: str
    digest: str
    samples: tuple[Sample, ...]
    store: Images
    tables: Mapping[str, str] = field(default_factory=dict)
    policy: str = "none"
    duplicates: str | None = None
    url: str = ""

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
                f"not one of {len(keys):,} images is in {where}, the first {keys[0]!r}: put them there, or name the folder that holds them"
            )
            raise DermisError(Kind.NOT_FOUND, "IMAGES", detail)

    def take(self, ids: Iterable[str]) -> "Dataset":
        """Return the samples of these ids, in the data set's order."""
        wanted = set(ids)
        return replace(self, samples=tuple(sample for sample in self.samples if sample.id in wanted))

    def labelled(self, conditions: Sequence[str] | None = None) -> "Dataset":
        """Return the samples whose reference differential names one of `conditions`, or any."""
        known = None if conditions is None else set(conditions)
        return replace(self, samples=tuple(s for s in self.samples if s.target and (known is None or known & s.target.keys())))

    def unlabelled(self) -> "Dataset":
        return replace(self, samples=tuple(sample for sample in self.samples if not sample.target))

    def split(self, *, seed: int, fractions: Mapping[Part, float] = FRACTIONS, folds: int = 5) -> Split:  # type: ignore[assignment]
        """Return parts and folds in which no group and no image is torn apart."""
        return split_samples(
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
        audit_samples(split, self.samples, tables=self.tables, policy=self.policy, duplicates=self.duplicates)

    def part(self, split: Split, part: Part) -> "Dataset":
        """Return a part of a split, which is audited first; INVALID if it leaks or is of other data."""
        self.audit(split)
        return self.take(case.case_id for case in split.cases if case.part == part)

    def fold(self, split: Split, fold: int) -> tuple["Dataset", "Dataset"]:
        """Return (training, held out) of a fold, audited likewise."""
        self.audit(split)
        held = {case.case_id for case in split.cases if case.fold == fold}
        return self.take(s.id for s in self.samples if s.id not in held), self.take(held)


def open_dataset(
    url: str,
    *,
    mapping: str | DataMapping | None = None,
    policy: str | LabelPolicy = POLICY,
    duplicates: Mapping[str, str] | None = None,
) -> Dataset:
    """Open a data set: a store URL or a folder, or `generated:SEED:COUNT[:LONGEST]`.

    With a mapping, or where SCIN's tables are not there and a mapping that ships fits the table, it is read by that; else as SCIN under
    the label policy. `duplicates`: image -> near-duplicate group (`data.core.groups.read_duplicates`); their cases stay together.
    """
    if match := GENERATED.fullmatch(url):
        return _generated(int(match[1]), int(match[2]), int(match[3] or 112))
    if not is_store_url(url) and Path(url).is_dir():
        url = Path(url).resolve().as_uri()
    store = open_store(url)
    about: dict[str, Any] = {"duplicates": None if duplicates is None else digest_of(duplicates), "url": url}
    chosen = load_mapping(mapping) if isinstance(mapping, str) else mapping or _fitting(store)
    if chosen is None:
        scin = open_scin(url)
        labels = scin.labels(policy)
        samples = scin_samples(scin.tables, labels, duplicates=duplicates)
        return _dataset("SCIN", samples, scin.store, tables=scin.tables.digests, policy=labels.policy.reference, **about)
    try:
        data = store.get(chosen.table)
    except BlobNotFound as error:
        raise DermisError(Kind.NOT_FOUND, "DATA_TABLE", f"no {chosen.table} in {url}: name the folder that holds it") from error
    samples = mapped_samples(chosen, read_rows(chosen, data), duplicates=duplicates)
    rules = json.dumps(chosen.model_dump(mode="json"), sort_keys=True)
    tables = {chosen.table: hashlib.sha256(data).hexdigest()}
    policy_name = f"mapping {chosen.name} sha256:{hashlib.sha256(rules.encode()).hexdigest()}"
    return _dataset(chosen.name, samples, store, tables=tables, policy=policy_name, **about)


def _fitting(store: Images) -> DataMapping | None:
    """Return the shipped mapping whose table is there and has all its columns, where SCIN's is not."""
    try:
        store.get(CASES_FILE)
    except BlobNotFound:
        for mapping in map(load_mapping, shipped.names("mappings")):
            try:
                header = store.get(mapping.table).split(b"\n", 1)[0].decode("utf-8-sig", "replace").strip().split(",")
            except BlobNotFound:
                continue
            if mapping.columns() <= set(header):
                return mapping
    return None


def _dataset(
    name: str,
    samples: Sequence[Sample],
    store: Images,
    *,
    tables: Mapping[str, str],
    policy: str,
    duplicates: str | None = None,
    url: str = "",
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
    return _dataset("generated", samples, _Painted(seed, longest), tables=tables, policy="generated")


class _Several:
    """Images of several data sets; a key's first segment is the data set's name."""

    def __init__(self, stores: Mapping[str, Images]) -> None:
        self._stores = stores

    def get(self, key: str) -> bytes:
        name, _, rest = key.partition("/")
        return self._stores[name].get(rest)


def mix(*sources: Dataset) -> Dataset:
    """Return data sets as one, ids, groups and images named after theirs: NAME/ID."""
    names = [source.name for source in sources]
    if len(set(names)) < len(names):
        raise DermisError(Kind.INVALID, "DATA_SETS", f"two data sets are called {max(names, key=names.count)!r}: open each once")
    samples = [
        replace(s, id=f"{d.name}/{s.id}", group=f"{d.name}/{s.group}", images=tuple(f"{d.name}/{key}" for key in s.images))
        for d in sources
        for s in d.samples
    ]
    store = _Several({source.name: source.store for source in sources})
    tables = {f"{d.name}/{table}": digest for d in sources for table, digest in d.tables.items()}
    groups = " + ".join(source.duplicates or "none" for source in sources) if any(source.duplicates for source in sources) else None
    policy, url = (" + ".join(getattr(source, name) for source in sources) for name in ("policy", "url"))
    return _dataset("+".join(names), samples, store, tables=tables, policy=policy, duplicates=groups, url=url)


def conditions_of(samples: Iterable[Sample]) -> tuple[Condition, ...]:
    """Return every condition that a reference differential names, by name; INVALID if two names make one id."""
    found: dict[str, Condition] = {}
    for name in sorted({name for sample in samples for name in sample.target}):
        made = Condition(id=re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_"), name=name)
        if made.id in found:
            raise DermisError(
                Kind.INVALID, "CONDITIONS", f"{name!r} and {found[made.id].name!r} are both {made.id}: merge them by a policy"
            )
        found[made.id] = made
    return tuple(found.values())


def targets(samples: Sequence[Sample], conditions: Sequence[Condition]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return reference differentials float64[N,K], rows adding up to 1 (all zero where none of the conditions is named), and labels int64[N].

    The label is the sample's top condition, or, where the model does not know that, the heaviest one that it knows; -1 without any.
    """
    column = {condition.name: k for k, condition in enumerate(conditions)}
    table = np.zeros((len(samples), len(column)))
    for row, sample in enumerate(samples):
        for name, weight in sample.target.items():
            if name in column:
                table[row, column[name]] = weight
    whole = table.sum(1, keepdims=True)
    np.divide(table, whole, out=table, where=whole > 0)
    labels = np.where(whole[:, 0] > 0, table.argmax(1), -1)
    for row, sample in enumerate(samples):
        if sample.top in column:
            labels[row] = column[sample.top]
    return table, labels.astype(np.int64)


def features(samples: Sequence[Sample], schema: FeatureSchema) -> npt.NDArray[np.float32]:
    return encode_batch(schema, [sample.report for sample in samples])


def prepare(data: bytes, size: int) -> Image | None:
    """Return an image as the worker prepares it, uint8[size,size,3]; None if it can't be decoded."""
    try:
        return fit(decode(data).image, size)
    except DermisError as error:
        if error.retryable:
            raise
        return None


def read_image(store: Images, key: str, size: int) -> Image | None:
    """Return a prepared image; None if it is missing or can't be decoded."""
    try:
        return prepare(store.get(key), size)
    except BlobNotFound:
        return None


def read_images(store: Images, keys: Sequence[str], size: int) -> list[Image | None]:
    """Read images in the order of their keys, by a few threads."""
    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(lambda key: read_image(store, key, size), keys))


def arrays(dataset: Dataset, schema: FeatureSchema, image_size: int) -> Inputs:
    """Return all inputs of a data set; an image that is missing or can't be decoded is masked, as if it had not been sent."""
    keys = [key for sample in dataset.samples for key in sample.images]
    read = iter(read_images(dataset.store, keys, image_size))
    images = np.zeros((len(dataset), MAX_IMAGES, image_size, image_size, 3), np.uint8)
    mask = np.zeros((len(dataset), MAX_IMAGES), bool)
    for row, sample in enumerate(dataset.samples):
        for slot in range(len(sample.images)):
            if (image := next(read)) is not None:
                images[row, slot], mask[row, slot] = image, True
    return {"images": images, "image_mask": mask, "features": features(dataset.samples, schema)}


def without_images(inputs: Inputs) -> Inputs:
    return {**inputs, "image_mask": np.zeros_like(inputs["image_mask"])}


def without_answers(inputs: Inputs, schema: FeatureSchema) -> Inputs:
    return {**inputs, "features": encode_batch(schema, [SelfReport()] * len(inputs["features"]))}


def fitzpatrick_groups(samples: Iterable[Sample]) -> tuple[FitzpatrickGroup | None, ...]:
    """Return the self-reported Fitzpatrick group of each case, None where not given."""
    return tuple(FITZPATRICK_GROUPS.get(sample.report.fitzpatrick_skin_type) for sample in samples)


def predictions(
    dataset: Dataset,
    conditions: Sequence[Condition],
    raw: Mapping[Shown, npt.NDArray[np.float32]],
    *,
    embedding: npt.NDArray[np.float32],
    model: str,
    fold: npt.NDArray[np.int64] | None = None,
) -> Predictions:
    """Return what a model said of a data set's samples, in their order."""
    samples = dataset.samples
    target, labels = targets(samples, conditions)
    return Predictions(
        model=model,
        data=dataset.digest,
        ids=tuple(sample.id for sample in samples),
        groups=tuple(sample.group for sample in samples),
        conditions=tuple(conditions),
        target=target,
        labels=labels,
        raw=raw,
        embedding=embedding,
        slices={name: tuple(sample.slices[name] for sample in samples) for name in (samples[0].slices if samples else ())},
        fold=np.zeros(len(samples), np.int64) if fold is None else fold,
    )
