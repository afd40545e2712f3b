"""Predicts the cases of a data set by a bundle.

Images are decoded, judged and fitted, answers encoded and the graph run as in serving.
"""

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import openvino
from scipy.special import softmax

from dermis.data.dataset import Dataset, ImageSource
from dermis.data.images.gate import load_gate
from dermis.data.samples import NOT_GIVEN, Sample
from dermis.metadata.core.encode import encode_batch
from dermis.shared.case import MAX_IMAGES
from dermis.shared.errors import DermisError, Kind
from dermis.shared.manifest import (
    FEATURE_SCHEMA_FILE,
    MANIFEST_FILE,
    Condition,
    FeatureSchema,
    ImageFit,
    Manifest,
    VersionRef,
)
from dermis.shared.openvino import core
from dermis.shared.ports import BlobNotFound, BlobStore
from dermis.shared.report import QualityReport, Verdict
from dermis.shared.vocabulary import SelfReport
from dermis.trainer.config import Config
from dermis.trainer.evaluation.predictions import ImageFate, Modality, Predictions
from dermis.trainer.model.inputs import arrays, targets, without_answers, without_images
from dermis.trainer.records.layout import read_version
from dermis.worker.core import quality, texture
from dermis.worker.core.decode import decode
from dermis.worker.core.outliers import Outliers, from_bytes
from dermis.worker.core.prepare import Image, fit
from dermis.worker.core.texture import Textures

BATCH = 4
"""Cases at once: each has three places for images, whose activations are most of the memory that is held."""
_READERS = 2
_VERDICTS = (Verdict.UNUSABLE, Verdict.MARGINAL, Verdict.USABLE)
MEASURES = ("sharpness", "brightness_mean", "brightness_std", "underexp", "overexp", "contrast", "shadow")
"""The quality measures that slices are made of; `blur` is `sharpness` by another name."""
Lost = Literal["missing", "undecodable"]
_TOLD = 5
Floats = npt.NDArray[np.float32]
Change = Callable[[Image], Image]
"""Something done to each working image, uint8[H,W,3], before it is judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A bundle made ready to run by OpenVINO at f32 (by default it may choose bf16, which is 2 % off)."""

    manifest: Manifest
    schema: FeatureSchema
    outliers: Outliers | None
    textures: Textures | None = None
    model: openvino.CompiledModel

    def run(
        self, images: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_], features: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Return probabilities [B,K], uncalibrated, embedding [B,E] and answers_logits [B,K]."""
        results = self.model({"images": images, "image_mask": mask, "features": features})
        outputs = ("probabilities", "embedding", "answers_logits")
        return tuple(np.array(results[self.model.output(name)]) for name in outputs)  # type: ignore[return-value]


def open_bundle(folder: Path) -> Bundle:
    """Open a bundle's folder; INVALID if its feature schema or a file is not what the manifest says."""
    manifest = Manifest.model_validate_json((folder / MANIFEST_FILE).read_bytes())
    schema = FeatureSchema.model_validate_json((folder / FEATURE_SCHEMA_FILE).read_bytes())
    if schema.id != manifest.feature_schema:
        raise DermisError(
            Kind.INVALID,
            "BUNDLE_INVALID",
            f"{folder.name}: {FEATURE_SCHEMA_FILE} is {schema.id}, not {manifest.feature_schema}",
        )
    for path, digest in manifest.files.items():
        if not (folder / path).is_file() or hashlib.sha256((folder / path).read_bytes()).hexdigest() != digest:
            raise DermisError(
                Kind.INVALID,
                "BUNDLE_INVALID",
                f"{folder.name}: {path} is not as the manifest says: fetch the bundle again",
            )
    outliers = from_bytes((folder / manifest.outliers.file).read_bytes()) if manifest.outliers else None
    textures = texture.from_bytes((folder / manifest.textures.file).read_bytes()) if manifest.textures else None
    compiled = core().compile_model(str(folder), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return Bundle(manifest=manifest, schema=schema, outliers=outliers, textures=textures, model=compiled)


def fetch_bundle(store: BlobStore, ref: VersionRef, folder: Path) -> Path:
    """Bring a version's files from the store into `folder`; NOT_FOUND if it is not published."""
    manifest = read_version(store, ref)
    for path in (*manifest.files, MANIFEST_FILE):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(store.get(f"{manifest.key}/{path}"))
    return folder


def predict(
    bundle: Bundle,
    dataset: Dataset,
    *,
    name: str | None = None,
    quality_filter: bool = True,
    change: Change | None = None,
    hidden: Sequence[str] = (),
    modalities: Sequence[Modality] = ("images and answers", "images alone", "answers alone"),
    step: Callable[[int], None] = lambda _cases: None,
    say: Callable[[str], None] = lambda _line: None,
) -> Predictions:
    """Return a bundle's predictions for every case of a data set.

    `step` hears how many cases were done, `say` which images could not be read.

    NOT_FOUND where every image is missing: what was measured would be the answers alone.

    As in serving, an unusable image is not shown to the model; a case that has no other is one that serving rejects: it
    is answered with what it has, and its slice `quality_verdict` says UNUSABLE. The graph runs once a case: logits are
    images + answers, so what each says alone follows from what both say and from `answers_logits`. `change`: done to
    every working image. `hidden`: answers that are taken out of every self-report. `name`: what the predictions call
    the model.
    """
    dataset.check_images()
    policy = quality.Policy.model_validate_json(
        resources.files("dermis.worker").joinpath("quality_policy.json").read_bytes()
    )
    size = bundle.manifest.image_size
    nothing = np.zeros((1, MAX_IMAGES, size, size, 3), np.uint8), np.zeros((1, MAX_IMAGES), bool)
    silent = bundle.run(*nothing, encode_batch(bundle.schema, [SelfReport()]))[2]
    batches: dict[Modality, list[Floats]] = {what: [] for what in modalities}
    embeddings: list[Floats] = []
    scores: list[float] = []
    reports: list[tuple[QualityReport, ...]] = []
    fates: list[tuple[ImageFate, ...]] = []
    lost: dict[Lost, list[str]] = {"missing": [], "undecodable": []}
    with ThreadPoolExecutor(_READERS) as pool:
        for samples in _batches(dataset.samples):
            keys = [(sample.id, key) for sample in samples for key in sample.images[:MAX_IMAGES]]
            looked = list(pool.map(lambda key: _look(dataset.store, key[1], policy, change), keys))
            for (case, _), one in zip(keys, looked, strict=True):
                if one.lost:
                    lost[one.lost].append(case)
            of_cases = _of_cases(samples, looked)
            images, mask, seen = _slots(
                of_cases, size=size, how=bundle.manifest.image_fit, quality_filter=quality_filter
            )
            reports += [tuple(one.report for one in case) for case in of_cases]
            fates += seen
            features = encode_batch(bundle.schema, [without(sample.report, hidden) for sample in samples])
            probabilities, embedding, answers = bundle.run(images, mask, features)
            embeddings.append(embedding)
            if bundle.textures:
                scores += _texture_scores(bundle.textures, images, mask)
            raw_probabilities: dict[Modality, Floats] = {
                "images and answers": probabilities,
                "images alone": softmax(np.log(np.maximum(probabilities, 1e-37)) - answers + silent, axis=1),
                "answers alone": softmax(answers, axis=1),
            }
            for what in modalities:
                batches[what].append(raw_probabilities[what])
            step(len(samples))
    for why, cases in lost.items():
        if cases:
            first = ", ".join(list(dict.fromkeys(cases))[:_TOLD])
            say(
                f"{len(cases):,} of {sum(map(len, reports)):,} images are {why} and were not shown to the "
                f"model; the first cases: {first}"
            )
    whole = predictions(
        dataset,
        bundle.manifest.conditions,
        {what: np.concatenate(tables) for what, tables in batches.items()},
        embedding=np.concatenate(embeddings),
        model=name or f"{bundle.manifest.name}/{bundle.manifest.version}",
    )
    return replace(
        whole,
        slices={**whole.slices, **quality_slices(reports)},
        texture_score=np.array(scores) if bundle.textures else None,
        images=tuple(fates),
    )


def _texture_scores(textures: Textures, images: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_]) -> list[float]:
    """Return the score of each case [N] by its images uint8[N,3,S,S,3], NaN where it has none."""
    return [
        textures.case_score(case[there]) if there.any() else float("nan")
        for case, there in zip(images, mask, strict=True)
    ]


def predict_uncalibrated(model: Any, config: Config, dataset: Dataset, conditions: Sequence[Condition]) -> Predictions:
    """Return what a trained Keras model predicts before it is calibrated.

    One pass is enough, as images and answers add up to the logits.

    The model gets every image that can be read; serving leaves UNUSABLE images out.
    """
    outputs = keras_outputs(model, config, dataset, names=("probabilities", "logits", "answers_logits", "embedding"))
    first = arrays(replace(dataset, samples=dataset.samples[:1]), config.schema, config.image_size, config.image_fit)
    nothing = without_images(without_answers(first, config.schema))
    no_answers = model.predict(nothing, verbose=0)["answers_logits"]
    raw: dict[Modality, Floats] = {
        "images and answers": outputs["probabilities"],
        "images alone": softmax(outputs["logits"] - outputs["answers_logits"] + no_answers, axis=1),
        "answers alone": softmax(outputs["answers_logits"], axis=1),
    }
    whole = predictions(dataset, conditions, raw, embedding=outputs["embedding"], model=config.name)
    return replace(whole, images=tuple(map(_read_or_not, dataset.samples, outputs["image_mask"])))


def _read_or_not(sample: Sample, mask: npt.NDArray[np.bool_]) -> tuple[ImageFate, ...]:
    return tuple("SHOWN" if read else "UNREADABLE" for read in mask[: len(sample.images)])


def keras_outputs(model: Any, config: Config, dataset: Dataset, *, names: Sequence[str]) -> dict[str, Floats]:
    """Return some outputs [N,...] of a trained Keras model, and `image_mask`: which images could be read, [N,3].

    No more than a batch of images is in memory at once.
    """
    rows: dict[str, list[Any]] = {name: [] for name in (*names, "image_mask")}
    for samples in _batches(dataset.samples):
        batch = arrays(replace(dataset, samples=tuple(samples)), config.schema, config.image_size, config.image_fit)
        outputs = model.predict_on_batch(batch)
        for name in names:
            rows[name].append(outputs[name])
        rows["image_mask"].append(batch["image_mask"])
    return {name: np.concatenate(batches) for name, batches in rows.items()}


def without(report: SelfReport, hidden: Sequence[str]) -> SelfReport:
    """Return a self-report in which some answers were not given."""
    return report.model_copy(update=dict.fromkeys(hidden))


def quality_slices(reports: Sequence[Sequence[QualityReport]]) -> dict[str, tuple[str, ...]]:
    """Return slices by the quality of each case's images.

    By its best verdict, and by each measure's third of the cases, by its mean.
    """
    best = tuple(
        max((report.verdict for report in case), key=_VERDICTS.index).value if case else NOT_GIVEN for case in reports
    )
    slices = {"quality_verdict": best}
    for name in MEASURES:
        values = np.array(
            [_mean(getattr(report.measures, name) for report in case if report.measures) for case in reports]
        )
        finite = values[~np.isnan(values)]
        if not len(finite):
            continue
        low, high = np.quantile(finite, [1 / 3, 2 / 3])
        names = (f"1: to {low:.3g}", f"2: {low:.3g} to {high:.3g}", f"3: above {high:.3g}")
        slices[f"quality_{name}"] = tuple(
            NOT_GIVEN if np.isnan(value) else names[int(value > low) + int(value > high)] for value in values
        )
    return slices


def _mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return float(np.mean(numbers)) if numbers else float("nan")


def _batches(samples: Sequence[Sample]) -> Iterator[list[Sample]]:
    rest = iter(samples)
    while batch := list(itertools.islice(rest, BATCH)):
        yield batch


@dataclass(frozen=True, slots=True)
class _Looked:
    """An image's quality report and its working image, or why there is none."""

    report: QualityReport
    image: Image | None
    lost: Lost | None = None


def _look(store: ImageSource, key: str, policy: quality.Policy, change: Change | None) -> _Looked:
    try:
        working = decode(store.get(key)).image
    except DermisError as error:
        if error.retryable:
            raise
        return _Looked(
            quality.unreadable(policy), None, "missing" if isinstance(error, BlobNotFound) else "undecodable"
        )
    working = change(working) if change else working
    report, gate = quality.assess(working, policy), load_gate()
    return _Looked(gate.judge(report, gate.score(working)), working)


def _of_cases(samples: Sequence[Sample], looked: Iterable[_Looked]) -> list[list[_Looked]]:
    rest = iter(looked)
    return [[next(rest) for _ in sample.images[:MAX_IMAGES]] for sample in samples]


def _slots(
    of_cases: Sequence[Sequence[_Looked]], *, size: int, how: ImageFit, quality_filter: bool
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_], list[tuple[ImageFate, ...]]]:
    """Return what the model is shown of each case, uint8[N,3,S,S,3] and bool[N,3], and what became of its images."""
    images = np.zeros((len(of_cases), MAX_IMAGES, size, size, 3), np.uint8)
    mask = np.zeros((len(of_cases), MAX_IMAGES), bool)
    fates = []
    for row, looked in enumerate(of_cases):
        read = [one for one in looked if one.image is not None]
        usable = [one for one in read if one.report.verdict is not Verdict.UNUSABLE]
        chosen = usable if usable and quality_filter else read
        for slot, working in enumerate(one.image for one in chosen if one.image is not None):
            images[row, slot], mask[row, slot] = fit(working, size, how), True
        fates.append(tuple(_fate(one, any(one is other for other in chosen)) for one in looked))
    return images, mask, fates


def _fate(looked: _Looked, chosen: bool) -> ImageFate:
    if looked.lost:
        return "MISSING" if looked.lost == "missing" else "UNDECODABLE"
    return "SHOWN" if chosen else "UNUSABLE"


def predictions(
    dataset: Dataset,
    conditions: Sequence[Condition],
    raw: Mapping[Modality, npt.NDArray[np.float32]],
    *,
    embedding: npt.NDArray[np.float32],
    model: str,
    fold: npt.NDArray[np.int64] | None = None,
) -> Predictions:
    """Return a model's predictions for a data set's samples, in their order."""
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
        slices={
            name: tuple(sample.slices[name] for sample in samples) for name in (samples[0].slices if samples else ())
        },
        fold=np.zeros(len(samples), np.int64) if fold is None else fold,
    )
