"""The trainer's comparisons: a linear probe, a backbone trained too, one modality alone, a split that leaks."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from dermis.data.dataset import Dataset, conditions_of, open_dataset
from dermis.trainer.benchmarks.contenders import Conditions, case_model, embedding_of, regression
from dermis.trainer.benchmarks.cross_validation import Contender, cross_validate
from dermis.trainer.benchmarks.figures import figures_of
from dermis.trainer.benchmarks.out_of_distribution import run_unseen
from dermis.trainer.benchmarks.report import BenchmarkReport, report_of
from dermis.trainer.config import Config, Stage
from dermis.trainer.configs import cnn, fitzpatrick17k, pad_ufes_20
from dermis.trainer.training.train import new_backbone

DEPTHS = ({"image_size": "288", "taps": "block_7+block_10+block_14"}, {"image_size": "224", "taps": ""})
CHOICES = tuple({**depth, "head.l2": l2} for depth in DEPTHS for l2 in ("0.03", "0.1", "0.3"))
PROBE_STRENGTHS = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
UNFROZEN = replace(
    fitzpatrick17k.CONFIG,
    image_size=224,
    taps=(),
    batch=32,
    patience=3,
    stages=(*fitzpatrick17k.CONFIG.stages, Stage(after="block_10", epochs=10, learning_rate=3e-4, images="augmented")),
)
"""Chosen once, before any result of it was seen."""


def compare(dataset: Dataset, contenders: Sequence[Contender], cache: Path) -> BenchmarkReport:
    """Return the report of contenders on the same folds; the last one is compared with each of the others."""
    *others, best = (contender.name for contender in contenders)
    held_out = cross_validate(dataset, contenders, cache / "folds")
    return report_of(figures_of(held_out, pairs=[(best, other) for other in others]))


def labelled(data: str, mapping: str | None = None) -> tuple[Dataset, Conditions]:
    """Return the cases that name a condition, as no model can learn from others, and the conditions."""
    dataset = open_dataset(data, mapping=mapping).labelled()
    return dataset, conditions_of(dataset.samples)


def run_fitzpatrick17k(data: str, *, cache: Path) -> BenchmarkReport:
    """Compare with the usual linear probe, at the size that the backbone was published for."""
    dataset, conditions = labelled(data, "fitzpatrick17k")
    rows_of = embedding_of(dataset, new_backbone(Config(name="probe")), cache)
    probe = regression("linear probe", rows_of, conditions, strengths=PROBE_STRENGTHS, standardised=True)
    ours = case_model("dermis", fitzpatrick17k.CONFIG, conditions, cache, choices=CHOICES)
    return compare(dataset, [probe, ours], cache)


def run_unfreezing(data: str, *, cache: Path) -> BenchmarkReport:
    """Compare a second stage that trains the last blocks on augmented images with the first one alone.

    Nothing is chosen but the epoch to stop at.
    """
    dataset, conditions = labelled(data, "fitzpatrick17k")
    frozen = replace(UNFROZEN, stages=UNFROZEN.stages[:1])
    contenders = [
        case_model("frozen", frozen, conditions, cache, stops_early=True),
        case_model("frozen, learning from all", replace(frozen, patience=None), conditions, cache),
        case_model("unfrozen", UNFROZEN, conditions, cache, stops_early=True),
    ]
    return compare(dataset, contenders, cache)


def run_pad_ufes_20(data: str, *, cache: Path) -> BenchmarkReport:
    """Compare the config as it stands with each modality alone, by a model of its own that never saw the other."""
    dataset, conditions = labelled(data, "pad_ufes_20")
    both = pad_ufes_20.CONFIG
    one = replace(both, images_dropout=0.0, answers_dropout=0.0)
    answers = replace(one, head=replace(one.head, standardised=False))  # of no image there is nothing to measure
    contenders = [
        case_model("images alone", one, conditions, cache, sees=("images",)),
        case_model("answers alone", answers, conditions, cache, sees=("answers",)),
        case_model("both", both, conditions, cache),
    ]
    return compare(dataset, contenders, cache)


def by_image(dataset: Dataset, *, torn: bool) -> Dataset:
    """Return every image as a case of its own; `torn`: nothing keeps the images of a case together."""
    samples = tuple(
        replace(sample, id=name, group=name if torn else sample.group, images=(key,))
        for sample in dataset.samples
        for name, key in ((f"{sample.id}.{n}", key) for n, key in enumerate(sample.images))
    )
    return replace(dataset, samples=samples)


def run_leak(data: str, *, cache: Path) -> BenchmarkReport:
    """Compare how an earlier project's network scores by either split, in five folds each."""
    dataset, conditions = labelled(data)
    by_case = by_image(dataset, torn=False)
    network = case_model("an earlier project's CNN", replace(cnn.CONFIG, patience=None), conditions, cache)
    reports = {}
    for torn, how in ((True, "Split at random, images of a case on both sides"), (False, "Split by case")):
        held_out = cross_validate(by_image(dataset, torn=torn), [network], cache / "folds")
        # Drawn by case in both, so that the spread is not understated where the split was torn.
        by_group = by_case.take(sample.id for sample in held_out.dataset.samples)
        reports[how] = report_of(figures_of(replace(held_out, dataset=by_group), pairs=[]), by_tone=())
    return BenchmarkReport(
        facts=reports["Split by case"].facts,
        tables="\n\n".join(f"{how}:\n\n{report.tables}" for how, report in reports.items()),
        figures={how: report.figures for how, report in reports.items()},
    )


RUNS: dict[str, Callable[..., BenchmarkReport]] = {
    "fitzpatrick17k": run_fitzpatrick17k,
    "unfreezing": run_unfreezing,
    "pad_ufes_20": run_pad_ufes_20,
    "unseen": run_unseen,
    "leak": run_leak,
}
