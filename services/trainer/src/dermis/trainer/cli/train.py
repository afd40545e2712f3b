"""`dermis train`."""

from importlib.util import find_spec
from pathlib import Path

import click

from dermis.trainer.cli.tensorflow_log import without_tensorflow_log
from dermis.trainer.training.signals import ended_by_signals

# Loaded for `dermis --help`: what is heavy is imported when it runs, and a missing extra is told here.
for _package in ("openvino", "pandas", "tensorflow"):
    if find_spec(_package) is None:
        raise ModuleNotFoundError(f"No module named {_package!r}", name=_package)

_folder = click.Path(file_okay=False, path_type=Path)


@click.command(short_help="Train a model by a config and publish it as a version.")
@click.argument("config")
@click.option(
    "--store", required=True, envvar="DERMIS_STORE_URL", show_envvar=True, help="Store for the run and the version."
)
@click.option(
    "--data",
    multiple=True,
    metavar="URL",
    help="Data set: store URL, folder, or generated:SEED:COUNT; several train together.",
)
@click.option("--mapping", help="Mapping of the data set: its name or file; by default one that fits, else SCIN.")
@click.option("--policy", help="Label policy for SCIN: its name, or a file.")
@click.option("--duplicates", metavar="FILE", help="Near-duplicate groups: CSV with columns image, group.")
@click.option(
    "--split",
    metavar="FILE",
    help="Fold file of `dermis data split`; by default one is made with the config's seed.",
)
@click.option(
    "--on-all",
    type=click.IntRange(min=2),
    metavar="FOLDS",
    help="Learn from every case; calibrate and measure by that many folds.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="Change a setting: batch=64, head.l2=0.01, stage.0.epochs=5.",
)
@click.option(
    "--grid",
    multiple=True,
    metavar="NAME=A,B,C",
    help="Try every combination, then go on with the least validation loss.",
)
@click.option(
    "--resume",
    metavar="RUN",
    help="Go on with this run; by default the same command goes on with its own run, if that is not finished.",
)
@click.option(
    "--cache", type=_folder, default=".dermis-cache", show_default=True, help="Embeddings and prepared images."
)
@click.option("--tensorboard", type=_folder, help="Write TensorBoard's events here.")
@click.option(
    "--gpus",
    type=click.IntRange(min=0),
    default=0,
    envvar="DERMIS_TRAINER_GPUS",
    show_envvar=True,
    help="GPUs that must be there; with fewer it refuses to begin.",
)
@click.option("--quiet", is_flag=True, help="No progress bars and no line per epoch.")
def train(
    *,
    config: str,
    store: str,
    data: tuple[str, ...],
    mapping: str | None,
    policy: str | None,
    duplicates: str | None,
    split: str | None,
    on_all: int | None,
    settings: tuple[str, ...],
    grid: tuple[str, ...],
    resume: str | None,
    cache: Path,
    tensorboard: Path | None,
    gpus: int,
    quiet: bool,
) -> None:
    """Train a model by CONFIG, the name of a page in dermis/trainer/configs or a Python file with CONFIG, and publish
    it as a version. Files are named by a path, or by the URL of an object: gs://bucket/split.json.

    \b
    Examples:
      dermis train scin --data gs://bucket/scin --split gs://bucket/split.json --store gs://bucket/dermis
      dermis train fitzpatrick17k --data photos/fitzpatrick17k --on-all 5 --store file:///srv/store
      dermis train lite0 --data generated:1:300 --store file:///srv/store --set head.dropout=0.3
      dermis train lite0 --data generated:1:300 --store file:///srv/store --grid stage.0.learning_rate=0.001,0.003 --grid features=baseline,symptoms
    """  # noqa: E501 - a command to copy as a whole
    with ended_by_signals() as stop:
        with without_tensorflow_log():  # TensorFlow is loaded here
            from dermis.trainer.training.loop import check_gpus
            from dermis.trainer.training.options import TrainOptions
            from dermis.trainer.training.train import train
        check_gpus(gpus)
        options = TrainOptions(
            config=config,
            store=store,
            data=data,
            mapping=mapping,
            policy=policy,
            duplicates=duplicates,
            split=split,
            on_all=on_all,
            settings=settings,
            grid=grid,
            resume=resume,
            cache=cache,
            tensorboard=tensorboard,
            quiet=quiet,
        )
        train(options, stop=stop)
