"""`dermis benchmark features`: frozen features side by side, each change alone and together, beside a linear probe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from dermis.data.report.markdown import markdown_table
from dermis.shared.manifest import ImageFit
from dermis.trainer import metrics as measures
from dermis.trainer.benchmarks.comparisons import labelled
from dermis.trainer.benchmarks.contenders import Conditions, regression
from dermis.trainer.benchmarks.cross_validation import Contender, cross_validate
from dermis.trainer.benchmarks.features import LAST, POOLS, Block, FrozenFeatures, Look, milliseconds
from dermis.trainer.benchmarks.figures import ContenderFigures, Draws, Estimate, figures_of
from dermis.trainer.benchmarks.frozen_heads import PENALTIES, Heads, Recipe, frozen_head
from dermis.trainer.benchmarks.report import cell, facts_of
from dermis.trainer.benchmarks.shortcuts import STRENGTHS, answers
from dermis.trainer.metrics import Floats, Judged
from dermis.trainer.records.runs import code_version, this_machine

PROBE, ANSWERS = "linear probe: Lite0 at 224 px", "answers alone"
WITHIN, TOGETHER = "within twice Lite0's time", "together"
WITH_ANSWERS = ", with answers"
LITE0, LITE0_288, LITE0_384, LITE1, LITE2 = (
    Look(backbone=f"efficientnet-lite{number}", size=size)
    for number, size in ((0, 224), (0, 288), (0, 384), (1, 240), (2, 260))
)
CROP = Look(backbone="efficientnet-lite0", size=224, cropped_from=288)
EVERY_DEPTH = tuple(range(LAST + 1))
HEADS = 10
ANSWERS_SPREADS = (0.5, 1.0)
PROBE_PENALTIES = (3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5)
"""Six strengths that bracket what the inner folds choose."""
Blocks = tuple[Block, ...]
ONE_CHANGE: Mapping[str, Blocks] = {
    "four depths": (Block(look=LITE0, depths=EVERY_DEPTH),),
    "its mirror image too": (Block(look=LITE0, mirrored=True),),
    "the middle's mean too": (Block(look=LITE0, pools=POOLS[:2]),),
    "the maximum too": (Block(look=LITE0, pools=(POOLS[0], POOLS[2])),),
    "at 288 px": (Block(look=LITE0_288),),
    "at 384 px": (Block(look=LITE0_384),),
    "224 px cut from 288": (Block(look=CROP),),
    "three sizes": (Block(look=LITE0), Block(look=LITE0_288), Block(look=LITE0_384)),
    "Lite1 at 240 px": (Block(look=LITE1),),
    "Lite2 at 260 px": (Block(look=LITE2),),
    "three backbones": (Block(look=LITE0), Block(look=LITE1), Block(look=LITE2)),
}
"""Each changes one thing of the probe."""
WITH_MIDDLE = POOLS[:2]
CHEAP: Sequence[Blocks] = (
    (Block(look=LITE0, depths=EVERY_DEPTH, pools=WITH_MIDDLE, mirrored=True),),
    (Block(look=LITE0_288, depths=EVERY_DEPTH, pools=WITH_MIDDLE),),
    (Block(look=LITE1, depths=EVERY_DEPTH, pools=WITH_MIDDLE),),
)
THREE = tuple(
    Block(look=look, depths=EVERY_DEPTH, pools=WITH_MIDDLE, mirrored=True) for look in (LITE0_288, LITE1, LITE2)
)
WIDE: Sequence[Blocks] = (THREE, (*THREE, Block(look=CROP, depths=EVERY_DEPTH, mirrored=True)))
"""What the last rows choose from, by the inner folds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureReport:
    """The figures of one data set, the milliseconds of each row, and what its aims compare."""

    figures: ContenderFigures
    milliseconds: Mapping[str, float | None]
    bands: Mapping[str, tuple[float, float]]


def crossed(choices: Sequence[Blocks], *, spreads: Sequence[float] = (0.0,), heads: int = 0) -> tuple[Recipe, ...]:
    """Return a recipe of each of the choices by each penalty and each spread of the answers."""
    return tuple(
        Recipe(blocks=blocks, penalty=penalty, answers=spread, heads=heads)
        for blocks, penalty, spread in product(choices, PENALTIES, spreads)
    )


def rows_of_images(heads: Heads, conditions: Conditions, largest: int) -> dict[Contender, Sequence[Blocks]]:
    """Return the contenders that see images alone, each with the blocks that it chooses from.

    `largest`: pixels of the photos' longest side; no row looks at more.
    """
    base: Blocks = (Block(look=LITE0),)

    def one(name: str, choices: Sequence[Blocks], *, resampled: int = 0, adjusted: bool = False) -> Contender:
        return frozen_head(name, heads, conditions, crossed(choices, heads=resampled), adjusted=adjusted)

    rows: dict[Contender, Sequence[Blocks]] = {
        one(name, [blocks]): [blocks]
        for name, blocks in ONE_CHANGE.items()
        if max(block.look.size for block in blocks) <= largest
    }
    rows[one(f"{HEADS} heads of resampled people", [base], resampled=HEADS)] = [base]
    rows[one("logits adjusted", [base], adjusted=True)] = [base]
    rows |= {one(WITHIN, CHEAP): CHEAP, one(TOGETHER, WIDE): WIDE}
    rows[one(f"{TOGETHER}, {HEADS} heads", WIDE[-1:], resampled=HEADS)] = WIDE[-1:]
    rows[one(f"{TOGETHER}, logits adjusted", WIDE, adjusted=True)] = WIDE
    return rows


def rows_with_answers(heads: Heads, conditions: Conditions) -> dict[Contender, Sequence[Blocks]]:
    """Return the contenders that see the answers too."""
    rows: dict[Contender, Sequence[Blocks]] = {}
    for name, choices in ((WITHIN, CHEAP), (TOGETHER, WIDE)):
        for adjusted in (False, True):
            recipes = crossed(choices, spreads=ANSWERS_SPREADS)
            title = f"{name}{WITH_ANSWERS}{', logits adjusted' if adjusted else ''}"
            rows[frozen_head(title, heads, conditions, recipes, adjusted=adjusted)] = choices
    return rows


def compare_features(
    data: str, mapping: str, *, how: ImageFit, largest: int, with_answers: bool, cache: Path
) -> FeatureReport:
    """Return the figures of every row on one data set, nested: five outer folds, three inner ones."""
    dataset, conditions = labelled(data, mapping)
    heads = Heads(FrozenFeatures(dataset, cache, how=how), conditions)
    last: Blocks = (Block(look=LITE0),)
    tuned = [Recipe(blocks=last, penalty=penalty) for penalty in PROBE_PENALTIES]
    probe = frozen_head(PROBE, heads, conditions, tuned)
    rows: dict[Contender, Sequence[Blocks]] = {probe: [last], **rows_of_images(heads, conditions, largest)}
    if with_answers:
        floor = regression(ANSWERS, answers, conditions, strengths=STRENGTHS, sees=("answers",))
        rows |= {floor: [], **rows_with_answers(heads, conditions)}
    held_out = cross_validate(dataset, list(rows), cache / "folds")
    pairs = [(one.name, PROBE) for one in rows if one.name != PROBE]
    figures = figures_of(held_out, of_features, pairs=pairs, tones={})
    rng = np.random.default_rng(0)
    bands = {
        name: measures.perfect_calibration_error(probabilities.max(1), rng)
        for name, probabilities in held_out.predictions.items()
    }
    times = {one.name: max((cost(blocks) for blocks in choices), default=None) for one, choices in rows.items()}
    return FeatureReport(figures=figures, milliseconds=times, bands=bands)


def of_features(judged: Judged, weights: Floats) -> dict[str, Draws]:
    """Return the figures of a row, each [R], of every case."""
    everyone, first = np.ones(len(judged), bool), judged.probabilities.argmax(1)
    confidence = judged.probabilities.max(1)
    values = {
        "top 1": measures.mean(measures.hits(judged.probabilities, judged.labels, top=1), weights),
        "balanced accuracy": measures.of_classes(judged, weights)["balanced_accuracy"],
        "macro AUROC": measures.of_ranking(judged, weights)["macro_auroc"],
        "calibration error": measures.calibration_error(confidence, first == judged.labels, weights),
    }
    return {name: (value, everyone) for name, value in values.items()}


def cost(blocks: Blocks) -> float:
    """Return the milliseconds of all blocks, one after the other."""
    return sum(milliseconds(block.look) * (2 if block.mirrored else 1) for block in blocks)


def as_page(reports: Mapping[str, FeatureReport], *, command: str) -> str:
    """Return the page, Markdown: a table by data set, then what was aimed at."""
    parts = [HEAD.format(command=command, heads=HEADS), f"Code: {code_version()}, on {this_machine()}."]
    for name, report in reports.items():
        parts += [f"## {name}", facts(report), table(report)]
    parts += ["## Aims", markdown_table(["aim", "measured", "met"], aims(reports))]
    return "\n\n".join(parts) + "\n"


def facts(report: FeatureReport) -> str:
    of = facts_of(report.figures.held_out)
    return "\n".join(f"- {name}: {of[name]}" for name in ("Data", "Folds", "Conditions"))


def table(report: FeatureReport) -> str:
    """Return the rows: figures with intervals, the top-1 gain over the probe, the perfect model's error, the time."""
    names = list(next(iter(report.figures.overall.values())))
    rows = []
    for who, row in report.figures.overall.items():
        gain = report.figures.differences.get((who, PROBE))
        band = report.bands.get(who)
        time = report.milliseconds.get(who)
        rows.append(
            [
                who,
                *(cell(row[name]) for name in names),
                f"{band[0]:.3f}, to {band[1]:.3f}" if band else "",
                cell(gain["top 1"], signed=True) if gain else "",
                f"{time:.1f}" if time else "",
            ]
        )
    return markdown_table(["", *names, "of a perfect model", "top 1 less the probe's", "ms"], rows)


def aims(reports: Mapping[str, FeatureReport]) -> list[list[str]]:
    """Return each aim with the figure of the row that was put up for it, and whether it is met."""
    rows = []
    for name, report in reports.items():
        for text, who, figure, least in AIMS[name]:
            gain = figure == "gain"
            source = report.figures.differences[who, PROBE]["top 1"] if gain else report.figures.overall[who][figure]
            met = _reaches(source, least, interval_above_0=gain)
            rows.append([f"{name}: {text}", f"{who}: {cell(source, signed=gain)}", "yes" if met else "no"])
        for who in CALIBRATED[name]:
            error, (_, most) = report.figures.overall[who]["calibration error"], report.bands[who]
            met = error.value is not None and error.value <= most
            measured = f"{who}: {cell(error)}, a perfect model's up to {most:.3f}"
            rows.append([f"{name}: calibration error in a perfect model's band", measured, "yes" if met else "no"])
    return rows


def _reaches(figure: Estimate, least: float, *, interval_above_0: bool) -> bool:
    above = not interval_above_0 or (figure.interval is not None and figure.interval[0] > 0)
    return figure.value is not None and figure.value >= least and above


FITZPATRICK, PAD = "Fitzpatrick17k", "PAD-UFES-20"
ADJUSTED = f"{TOGETHER}, logits adjusted"
AIMS: Mapping[str, Sequence[tuple[str, str, str, float]]] = {
    FITZPATRICK: (
        ("top-1 gain over the probe >= .06, its interval above 0", TOGETHER, "gain", 0.06),
        ("macro AUROC >= .925", TOGETHER, "macro AUROC", 0.925),
    ),
    PAD: (
        ("balanced accuracy of images alone >= .60", ADJUSTED, "balanced accuracy", 0.60),
        (
            "balanced accuracy with answers >= .70",
            f"{TOGETHER}{WITH_ANSWERS}, logits adjusted",
            "balanced accuracy",
            0.70,
        ),
        ("macro AUROC with answers >= .91", f"{TOGETHER}{WITH_ANSWERS}", "macro AUROC", 0.91),
    ),
}
CALIBRATED = {FITZPATRICK: (TOGETHER,), PAD: (TOGETHER, f"{TOGETHER}{WITH_ANSWERS}")}
"""The rows whose probabilities stand as they are: adjusted logits rank for balance, and are no probabilities."""
HEAD = """# Frozen features side by side, measured

    {command}

Backbones that are never trained, and multinomial logistic regression on their standardised features. The probe is that
on the means of EfficientNet-Lite0's last layer at 224 px, its strength of L2 chosen by inner folds. The rows after it
change one thing of it each; the last rows put changes together. Five outer folds by person or near-duplicate; whatever
a row chooses (penalty, blocks of features, spread of the answers) three inner folds of the training cases choose. A
case with several photos has the mean of their features. Heads of resampled people: {heads} heads of a bootstrap, their
logits averaged, so that what serves is one head. Logits adjusted: less the logarithm of the conditions' shares, chosen
by balanced accuracy; such a row is no probability, so its calibration error means nothing.

`ms`: CPU milliseconds of one photo on one core (OpenVINO, float32), the least of 30; of a row that chooses, those of
the dearest choice. 95 % intervals by bootstrap over groups of connected cases. `of a perfect model`: mean and 95th
percentile of the calibration error that it would show at this n."""
