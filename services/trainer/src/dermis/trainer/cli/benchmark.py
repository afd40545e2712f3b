"""`dermis benchmark`."""

import json
import shlex
from pathlib import Path

import click

from dermis.data import defaults
from dermis.shared import options


@click.group(short_help="Measure models beside floors and simple baselines.")
def benchmark() -> None:
    """Measure models under a stated protocol, beside floors and simple baselines."""


@benchmark.command()
@click.option(
    "--data",
    "source",
    metavar="URL",
    callback=options.as_url,
    default=defaults.PUBLIC,
    show_default=True,
    help="Store URL that holds SCIN's two tables and images/.",
)
@click.option(
    "--split", type=click.Path(dir_okay=False, path_type=Path), help="Fold file; written if it is not there yet."
)
@click.option(
    "--duplicates",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Near-duplicate groups of `dermis data duplicates`; needed by a split that was made with them.",
)
@click.option(
    "--folds", type=click.IntRange(min=2), default=5, show_default=True, help="Of a new split: how many folds."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of a new split.")
@click.option(
    "--images/--no-images",
    default=True,
    show_default=True,
    help="Let models compete that see images, if the source has some.",
)
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    default=".dermis-cache",
    show_default=True,
    help="Embeddings of images.",
)
@click.option("--write", type=click.Path(dir_okay=False, path_type=Path), help="Write the page, Markdown, here.")
@click.option(
    "--json", "as_json", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures, JSON, here."
)
def scin(
    source: str,
    split: Path | None,
    duplicates: Path | None,
    folds: int,
    seed: int,
    images: bool,
    cache: Path,
    write: Path | None,
    as_json: Path | None,
) -> None:
    """SCIN's ten most frequent conditions, k-fold, no case and no image on both sides: floors, baselines and dermis in
    one table.

    \b
    Examples:
      dermis benchmark scin
      dermis benchmark scin --no-images
      dermis benchmark scin --data file:///data/scin --write benchmark-scin.md
      dermis benchmark scin --split folds.json --json figures.json
    """
    from dermis.trainer.benchmarks.scin import run_scin

    result = run_scin(
        source,
        split,
        duplicates=duplicates,
        folds=folds,
        seed=seed,
        cache=cache,
        images=images,
        say=lambda text: click.echo(text, err=True),
    )
    click.echo(result.text)
    if as_json:
        as_json.write_text(json.dumps(result.figures, indent=1) + "\n", encoding="utf-8")
    if write:
        settings = f"--split {shlex.quote(split.name)}" if split else f"--seed {seed} --folds {folds}"
        settings += "" if images else " --no-images"
        settings += f" --duplicates {shlex.quote(duplicates.name)}" if duplicates else ""
        command = (
            f"dermis benchmark scin --data URL {settings} --write {shlex.quote(write.name)}   # not run here: "
            "needs SCIN's tables"
        )
        write.write_text(result.page(command), encoding="utf-8")


@benchmark.command("grouped-answers")
@click.option(
    "--data",
    "source",
    metavar="URL",
    callback=options.as_url,
    default=defaults.PUBLIC,
    show_default=True,
    help="Store URL that holds SCIN's two tables.",
)
@click.option("--coverage", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.9, show_default=True)
@click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    default=".dermis-cache",
    show_default=True,
    help="Folder for folds.",
)
@click.option(
    "--write", type=click.Path(dir_okay=False, path_type=Path), help="Write the page, Markdown, here, its plot beside."
)
def grouped_answers(source: str, coverage: float, work: Path, write: Path | None) -> None:
    """Answers of at most three conditions or groups, from SCIN's answers alone, beside flat sets and the constant
    prior's.

    \b
    Examples:
      dermis benchmark grouped-answers --data file:///data/scin --write grouped-answers.md
    """
    from dermis.trainer.benchmarks.grouped_answers import as_page, draw_levels, run_grouped_answers

    result = run_grouped_answers(source, work=work, coverage=coverage, say=lambda text: click.echo(text, err=True))
    command = "dermis benchmark grouped-answers --data URL   # not run here: needs SCIN's tables"
    page = as_page(result, command=command, plot="grouped-answers.svg")
    click.echo(page)
    if write:
        write.write_text(page, encoding="utf-8")
        draw_levels(result).savefig(write.with_name("grouped-answers.svg"), metadata={"Date": None})


_COMPARISONS = {
    "fitzpatrick17k": "Nested k-fold on Fitzpatrick17k's photos, beside a linear probe of EfficientNet-Lite0.",
    "unfreezing": "The last blocks trained too, beside the frozen backbone, on the same photos.",
    "pad_ufes_20": "Images alone, answers alone and both, on PAD-UFES-20.",
    "unseen": "The out-of-distribution rule on photos that were left out and on other images; a second --data names "
    "others.",
    "leak": "One small CNN, split by image and by group: what a leak is worth.",
}


def _comparison(name: str, text: str) -> click.Command:
    @click.command(name, help=f"{text}\n\n\b\nExamples:\n  dermis benchmark {name} --data photos/{name} --work work")
    @click.option(
        "--data",
        "urls",
        multiple=True,
        metavar="URL",
        callback=options.as_url,
        default=("generated:11:200:64",),
        show_default=True,
        help="Data set: a folder, store URL or generated:SEED:COUNT.",
    )
    @click.option(
        "--work",
        type=click.Path(file_okay=False, path_type=Path),
        required=True,
        help="Folder for embeddings and folds.",
    )
    @click.option("--write", type=click.Path(dir_okay=False, path_type=Path), help="Write the table, Markdown, here.")
    def command(urls: tuple[str, ...], work: Path, write: Path | None) -> None:
        from dermis.trainer.benchmarks.comparisons import RUNS

        table = RUNS[name](*urls, work=work)
        click.echo(table)
        if write:
            write.write_text(table + "\n", encoding="utf-8")

    return command


for _name, _text in _COMPARISONS.items():
    benchmark.add_command(_comparison(_name, _text))


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
    from dermis.trainer.benchmarks.out_of_distribution import as_text, detect_in_files

    click.echo(as_text(detect_in_files(predictions, false_alarms=false_alarms)))


@benchmark.command("set-coverage")
@click.option(
    "--predictions", type=options.FILE, help="predictions.npz of `dermis evaluate`, instead of model and data."
)
@click.option("--model", type=click.Path(exists=True, file_okay=False, path_type=Path), help="A bundle's folder.")
@click.option(
    "--data", metavar="URL", callback=options.as_url, help="Data set: a folder, store URL or generated:SEED:COUNT."
)
@click.option("--coverage", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.9, show_default=True)
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
