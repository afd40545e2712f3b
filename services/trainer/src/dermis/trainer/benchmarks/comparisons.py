"""Comparisons of the trainer: a linear probe on the same folds, one modality alone, a split that leaks.

Each fold is kept in the work folder: run it again to go on where it was stopped. Choices are made by inner folds of the training cases alone.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path

import keras
import numpy as np

from dermis.data.dataset import Dataset, conditions_of, open_dataset
from dermis.data.report.markdown import markdown_table
from dermis.data.samples import Sample
from dermis.shared.errors import DermisError, Kind
from dermis.trainer import metrics as measures
from dermis.trainer.benchmarks.contenders import probe
from dermis.trainer.benchmarks.cross_validation import (
    EVERYTHING,
    FOLDS_OUTER,
    SEED,
    Contender,
    Modality,
    cross_validate,
)
from dermis.trainer.benchmarks.tables import cell, comparison_tables, top_cell
from dermis.trainer.benchmarks.unrelated_images import UNRELATED, unrelated_images
from dermis.trainer.calibration.outliers import fit_outliers
from dermis.trainer.config import Config, Stage, changed
from dermis.trainer.configs import cnn, fitzpatrick17k, pad_ufes_20
from dermis.trainer.evaluation.report import with_interval
from dermis.trainer.metrics import Floats
from dermis.trainer.model.backbones import make_backbone
from dermis.trainer.model.backbones.graph import fold_batch_norm
from dermis.trainer.model.export import serving_model
from dermis.trainer.model.inputs import Inputs, arrays, features, without_answers, without_images
from dermis.trainer.training.feature_cache import embed
from dermis.trainer.training.options import Workspace
from dermis.trainer.training.parts import Parts
from dermis.trainer.training.sources import CachedViews
from dermis.trainer.training.train import fit_stages, new_backbone

DEPTHS = ({"image_size": "288", "taps": "block_7+block_10+block_14"}, {"image_size": "224", "taps": ""})
OURS = tuple({**depth, "head.l2": l2} for depth in DEPTHS for l2 in ("0.03", "0.1", "0.3"))
UNFROZEN = replace(
    fitzpatrick17k.CONFIG,
    image_size=224,
    taps=(),
    batch=32,
    patience=3,
    stages=(*fitzpatrick17k.CONFIG.stages, Stage(after="block_10", epochs=10, learning_rate=3e-4, images="augmented")),
)
"""Chosen once, before any result of it was seen."""
UNRELATED_COUNT = 200


def labelled(data: str, *, mapping: str | None = None) -> Dataset:
    """Return the cases that name a condition: no model learns from the others or is measured on them."""
    return open_dataset(data, mapping=mapping).labelled()


def ours(
    name: str,
    dataset: Dataset,
    config: Config,
    choices: Sequence[Mapping[str, str]],
    work: Path,
    *,
    sees: tuple[Modality, ...] = EVERYTHING,
    stops_early: bool = False,
) -> Contender:
    """Return a config as a contender that predicts through the model that would be exported; `sees`: what of the tested cases it is given.

    `stops_early`: a fifth of the training cases, by group, is not learned from but says which epoch of each stage was the best.
    """
    conditions = conditions_of(dataset.samples)
    place = {sample.id: n for n, sample in enumerate(dataset.samples)}

    @lru_cache(maxsize=1)
    def inputs_at(size: int) -> Inputs:
        inputs = arrays(dataset, config.schema, size, config.image_fit)
        inputs = inputs if "images" in sees else without_images(inputs)
        return inputs if "answers" in sees else without_answers(inputs, config.schema)

    @cache
    def frozen(size: int, taps: tuple[str, ...]) -> keras.Model:
        return new_backbone(replace(config, image_size=size, taps=taps))

    def trained(chosen: Config, parts: Parts) -> tuple[keras.Model, keras.Model, dict[str, float]]:
        keras.utils.set_random_seed(chosen.seed)
        stays = all(stage.after is None for stage in chosen.stages)
        backbone = frozen(chosen.image_size, chosen.taps) if stays else new_backbone(chosen)
        return backbone, *fit_stages(
            chosen, parts, conditions, backbone, Workspace(cache=work / "embeddings", quiet=True)
        )

    def fit(choice: Mapping[str, str], training: Dataset, tested: Dataset) -> Floats:
        parts = Parts(train=training, calibration=tested, test=tested)
        if stops_early:
            fitting, checked = training.fold(training.split(seed=SEED + 1, folds=5), 0)
            parts = replace(parts, train=fitting, validation=checked)
        chosen = changed(config, choice)
        model = serving_model(*trained(chosen, parts)[:2], settings=chosen.head, mirror=chosen.mirrored)
        rows = [place[sample.id] for sample in tested.samples]
        return np.asarray(
            model.predict(
                {key: values[rows] for key, values in inputs_at(chosen.image_size).items()}, batch_size=16, verbose=0
            )["probabilities"],
            float,
        )

    def loss(choice: Mapping[str, str], training: Dataset, checked: Dataset) -> float:
        parts = Parts(train=training, calibration=checked, test=checked, validation=checked)
        return trained(changed(config, choice), parts)[2]["validation_loss"]

    settings = f"{config} {stops_early}"
    return Contender(name=name, choices=tuple(choices), fit=fit, loss=loss, sees=sees, settings=settings)


def run_fitzpatrick17k(data: str, *, work: Path) -> str:
    dataset = labelled(data, mapping="fitzpatrick17k")
    lite0 = fold_batch_norm(make_backbone("efficientnet-lite0", 224))
    held_out = cross_validate(
        dataset,
        [probe(dataset, lite0, work), ours("dermis", dataset, fitzpatrick17k.CONFIG, OURS, work)],
        work / "folds",
    )
    return comparison_tables(held_out, best="dermis", others=["linear probe"])


def run_unfreezing(data: str, *, work: Path) -> str:
    """Return what a second stage gives that trains the last blocks on augmented images; nothing is chosen but the epoch to stop at."""
    dataset = labelled(data, mapping="fitzpatrick17k")
    frozen = replace(UNFROZEN, stages=UNFROZEN.stages[:1])
    contenders = [
        ours("frozen", dataset, frozen, ({},), work, stops_early=True),
        ours("frozen, learning from all", dataset, replace(frozen, patience=None), ({},), work),
        ours("unfrozen", dataset, UNFROZEN, ({},), work, stops_early=True),
    ]
    held_out = cross_validate(dataset, contenders, work / "unfreezing")
    return comparison_tables(held_out, best="unfrozen", others=["frozen", "frozen, learning from all"])


def run_pad_ufes_20(data: str, *, work: Path) -> str:
    """Return what each modality gives, each by a model of its own that was trained on it alone; the config as it stands: nothing is chosen."""
    dataset, config = labelled(data, mapping="pad_ufes_20"), pad_ufes_20.CONFIG
    blind, silent = (
        replace(config, images_dropout=1.0, answers_dropout=0.0),
        replace(config, images_dropout=0.0, answers_dropout=1.0),
    )
    contenders = [
        ours("both", dataset, config, ({},), work),
        ours("images alone", dataset, silent, ({},), work, sees=("images",)),
        ours("answers alone", dataset, blind, ({},), work, sees=("answers",)),
    ]
    held_out = cross_validate(dataset, contenders, work / "folds")
    return comparison_tables(held_out, best="both", others=["images alone", "answers alone"])


def run_unseen(data: str, *others: str, work: Path) -> str:
    """Return how the outlier rule tells held-out photos from other images: 5 folds, in each a head and a rule that know nothing of the fold.

    As in a bundle made by `--on-all`, the rule is fitted on every other group of the training photos and calibrated on the rest.
    """
    dataset, config = labelled(data, mapping="fitzpatrick17k"), fitzpatrick17k.CONFIG
    conditions, backbone = conditions_of(dataset.samples), new_backbone(config)
    other_sets = [*map(open_dataset, others), *(unrelated_images(name, UNRELATED_COUNT) for name in UNRELATED)]
    split = dataset.split(seed=SEED, folds=FOLDS_OUTER)
    held_out = dataset.take(case.case_id for case in split.cases if case.fold is not None)
    sets = {
        "held-out photos of the same source": held_out,
        **{f"{other.name}, all cases": other for other in other_sets},
    }
    scores = {name: np.full(len(one), np.nan) for name, one in sets.items()}
    calibrated_on, wanted = 0, config.false_alarms or 0.02
    for fold in range(FOLDS_OUTER):
        training, tested = dataset.fold(split, fold)
        keras.utils.set_random_seed(config.seed)
        parts = Parts(train=training, calibration=tested, test=tested)
        head, _ = fit_stages(config, parts, conditions, backbone, Workspace(cache=work / "embeddings", quiet=True))

        def seen(one: Dataset, head: keras.Model = head) -> Floats:
            views = ("plain", "mirror")
            cache, places = embed(
                one, backbone, work / "embeddings", views=views, pooled=True, how=config.image_fit, quiet=True
            )
            maps, mask = CachedViews(cache, places, views, mean=True).load(np.arange(len(one)), None)
            inputs = {"maps": maps, "image_mask": mask, "features": features(one.samples, config.schema)}
            return np.asarray(head.predict(inputs, batch_size=64, verbose=0)["embedding"], float)

        in_distribution = seen(training)
        _, place = np.unique([sample.group for sample in training.samples], return_inverse=True)
        fitted = fit_outliers(in_distribution[place % 2 == 0], in_distribution[place % 2 == 1], false_alarms=wanted)
        if fitted is None:
            detail = f"{len(training)} training cases of {dataset.name} state no {wanted:.1%} threshold: use a larger data set"
            raise DermisError(Kind.INVALID, "TOO_FEW_CASES", detail)
        outliers, rule = fitted
        calibrated_on += rule.calibrated_on
        for name, one in sets.items():  # every image by one fold's rule, as a share of its threshold
            places = np.flatnonzero(
                np.isin([s.id for s in one.samples], [s.id for s in tested.samples])
                if one is held_out
                else np.arange(len(one)) % FOLDS_OUTER == fold
            )
            scores[name][places] = (
                outliers.score(seen(replace(one, samples=tuple(one.samples[n] for n in places)))) / rule.threshold
            )
    about = f"Rules calibrated on {calibrated_on / FOLDS_OUTER:.0f} photos each, {wanted:.0%} of false alarms wanted."
    return "\n\n".join([about, *_alarm_tables(scores, sets)])


def _alarm_tables(scores: Mapping[str, Floats], sets: Mapping[str, Dataset]) -> list[str]:
    """Return two tables of scores in shares of the threshold, the held-out photos first: by data set, and these by tone."""
    rng = np.random.default_rng(0)
    groups = {name: [sample.group for sample in one.samples] for name, one in sets.items()}
    weights = {name: measures.draw_weights(groups[name], rng) for name in sets}
    (same, base), *_ = scores.items()
    rows = []
    for name, own in scores.items():
        flagged = cell(with_interval(measures.mean(own > 1, weights[name]), groups[name]))
        auroc = measures.told_apart(base, own, weights[same], weights[name])
        rows.append([name, len(own), flagged, "" if name == same else cell(with_interval(auroc, groups[name]))])
    tones = np.array([sample.slices["fitzpatrick_estimated"] for sample in sets[same].samples])
    by_tone = []
    for tone in sorted(set(tones.tolist())):
        here = tones == tone
        alarms = measures.mean(base[here] > 1, weights[same][:, here])
        by_tone.append([tone, here.sum(), cell(with_interval(alarms, list(itertools.compress(groups[same], here))))])
    return [
        markdown_table(["images", "n", "flagged", "AUROC against the held-out photos"], rows),
        markdown_table(["held-out photos, fitzpatrick_estimated", "n", "flagged"], by_tone),
    ]


def by_image(dataset: Dataset, *, torn: bool) -> Dataset:
    """Return every image as a case of its own, as the seed took them; `torn`: nothing keeps the images of a case together."""
    samples: list[Sample] = []
    for sample in dataset.samples:
        for n, key in enumerate(sample.images):
            name = f"{sample.id}.{n}"
            samples.append(replace(sample, id=name, group=name if torn else sample.group, images=(key,)))
    return replace(dataset, samples=tuple(samples))


def run_leak(data: str, *, work: Path) -> str:
    """Return how the seed's network scores by either split: five folds each, every image by a model that did not see it."""
    rows = []
    for torn, how in ((True, "at random: images of a case on both sides"), (False, "by case")):
        dataset = by_image(labelled(data), torn=torn)
        folder = work / f"leak-{'images' if torn else 'cases'}"
        network = ours("cnn", dataset, replace(cnn.CONFIG, patience=None), ({},), work)
        held_out = cross_validate(dataset, [network], folder)
        judged = held_out.judged("cnn")
        # By case in both, so that the spread is not understated where the split was torn.
        groups = [sample.id.rpartition(".")[0] for sample in held_out.dataset.samples]
        weights = measures.draw_weights(groups, np.random.default_rng(0))
        prior = np.bincount(judged.labels) / len(judged)
        figures = [top_cell(judged, weights, groups, top) for top in (1, 3)]
        floors = [f"{measures.floor(judged.labels, prior, top=top):.3f}" for top in (1, 3)]
        rows.append([how, len(judged), *figures, *floors])
    return markdown_table(["the seed's CNN, images split", "n", "top-1", "top-3", "floor: top-1", "top-3"], rows)


RUNS: dict[str, Callable[..., str]] = {
    "fitzpatrick17k": run_fitzpatrick17k,
    "unfreezing": run_unfreezing,
    "pad_ufes_20": run_pad_ufes_20,
    "unseen": run_unseen,
    "leak": run_leak,
}
