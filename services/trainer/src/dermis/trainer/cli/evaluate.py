"""`dermis evaluate`: measure a version, or a bundle in a folder, on a data set."""

from typing import Any

import click

from dermis.shared import options


@click.command(short_help="Measure a model on a data set, by skin tone too.")
@click.option(
    "--model",
    required=True,
    metavar="VERSION|FOLDER",
    help="A version of the store (3, dermis/3) or a bundle's folder.",
)
@click.option(
    "--data",
    required=True,
    multiple=True,
    metavar="URL",
    callback=options.as_url,
    help="Data set: a folder, store URL or generated:SEED:COUNT; several are measured together, and each by itself.",
)
@options.mapping
@click.option("--policy", help="Label policy for SCIN: its name, or a file.")
@options.duplicates
@options.split
@click.option(
    "--part",
    type=click.Choice(["train", "validation", "calibration", "test"]),
    default="test",
    show_default=True,
    help="Part of the split that is measured.",
)
@options.store
@click.option(
    "--against", metavar="VERSION|FOLDER", help="Another model on the same cases, side by side with paired tests."
)
@click.option(
    "--ablation", is_flag=True, help="Also without each answer group, modality and the quality filter: 7 more passes."
)
@click.option(
    "--robustness", is_flag=True, help="Also under blur, exposure, JPEG and other skin tones: 14 to 20 more passes."
)
@options.out("evaluation")
def evaluate(store_url: str, **choices: Any) -> None:
    """Measure a model: every figure with n, interval, floor and what a perfect model would show; JSON and one HTML
    page.

    \b
    Examples:
      dermis evaluate --model 3 --data gs://bucket/scin --split split.json --store gs://bucket/dermis
      dermis evaluate --model bundle/ --data photos/fitzpatrick17k --out report
      dermis evaluate --model 4 --against 3 --data generated:7:400 --store file:///srv/store --ablation --robustness
    """
    from dermis.trainer.evaluation.run import EvaluationOptions, run

    run(EvaluationOptions(store=store_url, **choices))
