"""`dermis benchmark scin`: models of SCIN's ten most frequent conditions, by a protocol that others can be held to."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from dermis.data.dataset import Dataset, conditions_of, open_dataset
from dermis.data.samples import Sample
from dermis.data.split.groups import read_duplicates
from dermis.data.split.split import as_text, from_text
from dermis.shared.errors import DermisError, Kind
from dermis.shared.manifest import Condition
from dermis.trainer.benchmarks.calibration import MEANING, calibration_table
from dermis.trainer.benchmarks.contenders import Conditions, case_model, l2_of, regression
from dermis.trainer.benchmarks.cross_validation import Contender, cross_validate
from dermis.trainer.benchmarks.figures import figures_of, of_all_but_the_last
from dermis.trainer.benchmarks.report import BenchmarkReport, report_of
from dermis.trainer.benchmarks.shortcuts import missing_answers, missing_in_the_table
from dermis.trainer.config import Config, Stage
from dermis.trainer.metrics import Floats
from dermis.trainer.model.feature_schema import every_answer
from dermis.trainer.model.head import Head
from dermis.trainer.model.inputs import features

POLICY, CONDITIONS, OTHER = "scin-all", 10, "Any other condition"
REGRESSION = "logistic regression, one-hot answers"
MISSING = "floor: logistic regression, which answers are missing"
MISSING_IN_TABLE = "floor: logistic regression, what is missing in the table"
ANSWERS, IMAGES, BOTH = "dermis, answers alone", "dermis, images alone", "dermis, images and answers"
PAIRS = (
    (ANSWERS, REGRESSION),
    (ANSWERS, MISSING),
    (IMAGES, REGRESSION),
    (BOTH, REGRESSION),
    (BOTH, ANSWERS),
    (BOTH, IMAGES),
)
STRENGTHS = (0.01, 0.03, 0.1, 0.3, 1.0)
PENALTIES = tuple({"head.l2": l2} for l2 in ("0.002", "0.006", "0.02"))
"""What the inner folds choose from."""
IMAGES_CONFIG = Config(
    name="benchmark-images",
    stages=(Stage(epochs=40, learning_rate=3e-3),),
    batch=64,
    patience=None,
    head=Head(pooling="images"),
)
"""EfficientNet-Lite0 as published, frozen; each image once, as it is."""
ANSWERS_CONFIG = replace(
    IMAGES_CONFIG,
    name="benchmark-answers",
    stages=(Stage(epochs=1, solver="lbfgs"),),
    backbone="small",
    weights=None,
    image_size=32,
)
"""No image is read, so the backbone is the smallest; the rest is convex, and fitted to the end."""
PROBES = 20


def run_scin(
    source: str,
    split: Path | None = None,
    *,
    duplicates: Path | None = None,
    folds: int = 5,
    seed: int = 0,
    cache: Path,
    images: bool = True,
    say: Callable[[str], None],
) -> BenchmarkReport:
    """Run it; a fold file that is not there yet is written, so that others can be held to the same folds.

    Contenders that see images take part if the source has some; `images=False` leaves them out.
    """
    groups = read_duplicates(duplicates.read_bytes()) if duplicates else None
    dataset, conditions = ten_conditions(open_dataset(source, policy=POLICY, duplicates=groups))
    fold_file = from_text(split.read_bytes()) if split and split.exists() else dataset.split(seed=seed, folds=folds)
    dataset.audit(fold_file)
    if split and not split.exists():
        split.write_text(as_text(fold_file), encoding="utf-8")
    if not images:
        say("skipped, as asked: contenders that see images")
    elif not (images := images_at_hand(dataset.labelled())):
        detail = f"{source} has the tables and none of their images; `dermis data fetch` gets them"
        say(f"skipped: contenders that see images, as {detail}")
    contenders = contenders_of(conditions, cache, images=images)
    names = [contender.name for contender in contenders]
    say(f"{len(dataset.labelled()):,} labelled cases of {len(dataset):,}, {fold_file.folds} folds: {', '.join(names)}")
    held_out = cross_validate(dataset, contenders, cache / "folds", split=fold_file, conditions=conditions, say=say)
    pairs = [pair for pair in PAIRS if set(pair) <= set(names)]
    report = report_of(figures_of(held_out, of_all_but_the_last, pairs=pairs), by_tone=("soft top 3",))
    return replace(report, tables=f"{report.tables}\n\n{MEANING}\n\n{calibration_table(held_out)}")


def contenders_of(conditions: Conditions, cache: Path, *, images: bool) -> list[Contender]:
    """Return the regressions and dermis on answers; with `images` also dermis on images, and on both.

    Two floors learn from what is missing alone: a gain over them is one of what people answered.
    """
    contenders = [
        regression(REGRESSION, one_hot_answers, conditions, strengths=STRENGTHS, sees=("answers",)),
        answers_model(conditions, cache),
        regression(MISSING, missing_answers, conditions, strengths=STRENGTHS, sees=("answers",)),
        regression(MISSING_IN_TABLE, missing_in_the_table, conditions, strengths=STRENGTHS, sees=("answers",)),
    ]
    if images:
        contenders += [
            case_model(IMAGES, IMAGES_CONFIG, conditions, cache, choices=PENALTIES, sees=("images",)),
            case_model(BOTH, IMAGES_CONFIG, conditions, cache, choices=PENALTIES),
        ]
    return contenders


def answers_model(conditions: Conditions, cache: Path) -> Contender:
    """Return dermis' answers branch; it chooses from the regression's strengths."""
    return case_model(
        ANSWERS, ANSWERS_CONFIG, conditions, cache, choices=STRENGTHS, settings_of=l2_of, sees=("answers",)
    )


def one_hot_answers(dataset: Dataset) -> Floats:
    """Return the self-reports [N,F] as the model reads them, an absent answer as a value of its own."""
    return np.asarray(features(dataset.samples, every_answer()), float)


def images_at_hand(dataset: Dataset) -> bool:
    """Tell whether the source holds images at all, by some of all cases."""
    keys = [key for sample in dataset.samples for key in sample.images]
    return any(dataset.read(key) is not None for key in keys[:: max(1, len(keys) // PROBES)])


def ten_conditions(dataset: Dataset) -> tuple[Dataset, Conditions]:
    """Return the cases with all but the ten most frequent conditions put together, and the conditions, these last.

    The ten are those that are most often the top one, of all labelled cases. INVALID if there are fewer than two.
    """
    tops = Counter(sample.top for sample in dataset.samples if sample.top)
    ten = sorted(name for name, _ in sorted(tops.items(), key=lambda item: (-item[1], item[0]))[:CONDITIONS])
    if len(ten) < 2:
        detail = f"{dataset.name} has {len(ten)} conditions among its labelled cases: take more cases"
        raise DermisError(Kind.INVALID, "BENCHMARK", detail)
    samples = tuple(_merged(sample, set(ten)) for sample in dataset.samples)
    conditions = conditions_of([replace(samples[0], target=dict.fromkeys(ten, 1.0))])
    return replace(dataset, samples=samples), (*conditions, Condition(id="OTHER", name=OTHER))


def _merged(sample: Sample, ten: set[str]) -> Sample:
    target: Counter[str] = Counter()
    for name, weight in sample.target.items():
        target[name if name in ten else OTHER] += weight  # type: ignore[assignment]
    return replace(sample, target=dict(target), top=sample.top if sample.top in ten or sample.top is None else OTHER)
