"""`dermis benchmark`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dermis.data import defaults
from dermis.shared import options

if TYPE_CHECKING:
    from dermis.trainer.benchmarks.report import BenchmarkReport

_FILE = click.Path(dir_okay=False, path_type=Path)
_FOLDER = click.Path(file_okay=False, path_type=Path)
_CACHE = click.option(
    "--cache",
    type=_FOLDER,
    default=".dermis-cache",
    show_default=True,
    help="Features of images and the folds that are done: a run that was stopped goes on there.",
)
_COVERAGE = click.option(
    "--coverage",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.9,
    show_default=True,
    help="Share of the cases whose condition the answers are to hold.",
)
_WRITE = click.option("--write", type=_FILE, help="Put the figures into this page, Markdown, in place of earlier ones.")
_JSON = click.option("--json", "as_json", type=_FILE, help="Write the figures, JSON, here.")


@click.group(short_help="Measure models beside floors and simple baselines.")
def benchmark() -> None:
    """Measure models under a stated protocol, beside floors and simple baselines.

    \b
    Examples:
      dermis benchmark scin --data file:///data/scin
      dermis benchmark pad_ufes_20 --help
    """


def _finish(name: str, report: "BenchmarkReport", write: Path | None, as_json: Path | None) -> None:
    from dermis.data.report.markdown import with_measured

    click.echo(report.tables)
    if as_json:
        as_json.write_text(json.dumps(report.figures, indent=1) + "\n", encoding="utf-8")
    if write:
        page = write.read_text(encoding="utf-8") if write.exists() else ""
        write.write_text(with_measured(page, f"dermis benchmark {name}", report.page), encoding="utf-8")


def _url(default: str) -> Callable[[options.F], options.F]:
    return click.option(
        "--data",
        "source",
        metavar="URL",
        callback=options.as_url,
        default=default,
        show_default=True,
        help="Data set: a folder, store URL or generated:SEED:COUNT.",
    )


@benchmark.command()
@_url(defaults.PUBLIC)
@click.option("--split", type=_FILE, help="Fold file; written if it is not there yet.")
@options.duplicates
@click.option("--folds", type=click.IntRange(min=2), default=5, show_default=True, help="Folds of a new split.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of a new split.")
@click.option("--images/--no-images", default=True, show_default=True, help="Let models see images, if there are some.")
@_CACHE
@_WRITE
@_JSON
def scin(write: Path | None, as_json: Path | None, source: str, **settings: Any) -> None:
    """SCIN's ten most frequent conditions, k-fold, no case and no image on both sides: a floor, a baseline and dermis.

    \b
    Examples:
      dermis benchmark scin
      dermis benchmark scin --no-images
      dermis benchmark scin --data file:///data/scin --write benchmark-scin.md
      dermis benchmark scin --split folds.json --json figures.json
    """
    from dermis.trainer.benchmarks.scin import run_scin

    report = run_scin(source, **settings, say=lambda text: click.echo(text, err=True))
    _finish("scin", report, write, as_json)


@benchmark.command("grouped-answers")
@_url(defaults.PUBLIC)
@_COVERAGE
@_CACHE
@click.option(
    "--write", type=click.Path(dir_okay=False, path_type=Path), help="Write the page, Markdown, here, its plot beside."
)
def grouped_answers(source: str, coverage: float, cache: Path, write: Path | None) -> None:
    """Answers of at most three conditions or groups, from SCIN's answers alone, beside flat sets and the constant
    prior's.

    \b
    Examples:
      dermis benchmark grouped-answers --data file:///data/scin --write grouped-answers.md
    """
    from dermis.trainer.benchmarks.grouped_answers import as_page, draw_levels, run_grouped_answers

    result = run_grouped_answers(source, cache=cache, coverage=coverage, say=lambda text: click.echo(text, err=True))
    command = "dermis benchmark grouped-answers --data URL   # not run here: needs SCIN's tables"
    page = as_page(result, command=command, plot="grouped-answers.svg")
    click.echo(page)
    if write:
        write.write_text(page, encoding="utf-8")
        draw_levels(result).savefig(write.with_name("grouped-answers.svg"), metadata={"Date": None})


@benchmark.command()
@click.option(
    "--fitzpatrick17k", metavar="URL", callback=options.as_url, help="Photos and manifest.csv of Fitzpatrick17k."
)
@click.option("--pad-ufes-20", metavar="URL", callback=options.as_url, help="Photos and manifest.csv of PAD-UFES-20.")
@_CACHE
@click.option(
    "--write", type=click.Path(dir_okay=False, path_type=Path), help="Write the page, Markdown, here, in place of it."
)
def features(fitzpatrick17k: str | None, pad_ufes_20: str | None, cache: Path, write: Path | None) -> None:
    """Frozen features side by side (backbones, sizes, crops, depths, ensembles of heads, adjusted logits), nested,
    beside a tuned linear probe and what each costs in milliseconds.

    \b
    Examples:
      dermis benchmark features --fitzpatrick17k photos/fitzpatrick17k --pad-ufes-20 photos/pad_ufes_20
    """
    from dermis.trainer.benchmarks.frozen import FITZPATRICK, PAD, as_page, compare_features

    if not fitzpatrick17k and not pad_ufes_20:
        raise click.UsageError("give --fitzpatrick17k, --pad-ufes-20 or both")
    reports = {}
    if fitzpatrick17k:
        reports[FITZPATRICK] = compare_features(
            fitzpatrick17k, "fitzpatrick17k", how="LETTERBOX", largest=320, with_answers=False, cache=cache
        )
    if pad_ufes_20:
        reports[PAD] = compare_features(
            pad_ufes_20, "pad_ufes_20", how="STRETCH", largest=512, with_answers=True, cache=cache
        )
    command = "dermis benchmark features --fitzpatrick17k URL --pad-ufes-20 URL   # not run here: needs the photos"
    page = as_page(reports, command=command)
    click.echo(page)
    if write:
        write.write_text(page, encoding="utf-8")


_COMPARISONS = {
    "fitzpatrick17k": "Nested k-fold on Fitzpatrick17k's photos, beside a linear probe of EfficientNet-Lite0.",
    "unfreezing": "The last blocks trained too, beside the frozen backbone, on the same photos.",
    "pad_ufes_20": "Images alone, answers alone and both, on PAD-UFES-20.",
    "unseen": "The out-of-distribution rule on photos that were left out, and on those of each --other.",
    "leak": "One small CNN, split by image and by group: what a leak is worth.",
}


def _comparison(name: str, text: str) -> click.Command:
    @click.command(name, help=f"{text}\n\n\b\nExamples:\n  dermis benchmark {name} --data photos/{name}")
    @_url("generated:11:200:64")
    @_CACHE
    @_WRITE
    @_JSON
    def command(
        source: str, cache: Path, write: Path | None, as_json: Path | None, others: tuple[str, ...] = ()
    ) -> None:
        from dermis.trainer.benchmarks.comparisons import RUNS

        _finish(name, RUNS[name](source, *others, cache=cache), write, as_json)

    return command


for _name, _text in _COMPARISONS.items():
    benchmark.add_command(_comparison(_name, _text))
_other = click.option(
    "--other", "others", metavar="URL", multiple=True, callback=options.as_url, help="Another data set."
)
_other(benchmark.commands["unseen"])


@benchmark.command("out-of-distribution")
@click.argument("predictions", nargs=-1, required=True, type=options.FILE)
@click.option(
    "--false-alarms",
    type=click.FloatRange(0, 0.5),
    default=0.02,
    show_default=True,
    help="Share of known cases that may alarm.",
)
def out_of_distribution(predictions: tuple[Path, ...], false_alarms: float) -> None:
    """How well a model's outlier rule finds cases of other data sets: PREDICTIONS are files of `dermis evaluate`, the
    model's own first.

    \b
    Examples:
      dermis benchmark out-of-distribution generated/predictions.npz photos/predictions.npz
    """
    from dermis.trainer.benchmarks.out_of_distribution import detect_in_files, detections_table

    click.echo(detections_table(detect_in_files(predictions, false_alarms=false_alarms)))


@benchmark.command("set-coverage")
@click.option(
    "--predictions", type=options.FILE, help="predictions.npz of `dermis evaluate`, instead of model and data."
)
@click.option("--model", type=click.Path(exists=True, file_okay=False, path_type=Path), help="A bundle's folder.")
@click.option(
    "--data", metavar="URL", callback=options.as_url, help="Data set: a folder, store URL or generated:SEED:COUNT."
)
@_COVERAGE
@click.option(
    "--splits", type=click.IntRange(2), default=50, show_default=True, help="Halves to calibrate and to test on."
)
def set_coverage(predictions: Path | None, model: Path | None, data: str | None, coverage: float, splits: int) -> None:
    """How often prediction sets hold the label, over many splits into halves; exit code 1 where the mean is more than a
    point off.

    \b
    Examples:
      dermis benchmark set-coverage --predictions evaluation/predictions.npz
      dermis benchmark set-coverage --model bundle --data generated:11:2400
    """
    from dermis.trainer.benchmarks.set_coverage import as_text, over_splits, predictions_of

    if not predictions and not (model and data):
        raise click.UsageError("give --predictions, or --model and --data")
    rows = over_splits(predictions_of(predictions, model=model, data=data), coverage=coverage, splits=splits)
    click.echo(as_text(rows, coverage=coverage, splits=splits))
    if abs(rows[0].mean - coverage) > 0.01:
        raise click.exceptions.Exit(1)
