"""dermis assess"""

import json
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import get_args

import click

from dermis.client import ApiError, Case, Client, ShotType
from dermis.shared.api_keys import id_of
from dermis.shared.case import MAX_IMAGES
from dermis.shared.errors import DermisError, Kind
from dermis.shared.options import SECONDS
from dermis.standalone.answers_file import read_answers
from dermis.standalone.commands import options
from dermis.standalone.core.answers import as_sent, from_settings, self_report
from dermis.standalone.core.render import exit_code, render
from dermis.standalone.temporary_run import temporary_run


@click.command("assess", short_help="Put photos and answers through a running dermis.")
@click.argument(
    "images",
    metavar="PHOTOS...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path),
)
@click.option(
    "--answers",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help="Self-report as JSON; - reads stdin.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="One answer, over the file's; VALUE,VALUE for several. Repeatable.",
)
@click.option(
    "--shot-type",
    "shot_types",
    multiple=True,
    type=click.Choice(get_args(ShotType), case_sensitive=False),
    help="Shot type of each photo, in their order.",
)
@click.option("--url", default="http://127.0.0.1:8080", show_default=True, help="Where the gateway is.")
@options.model
@click.option(
    "--key-file",
    type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path),
    help="File that holds an API key: on the command line other users could see it.",
)
@click.option(
    "--timeout", "timeout_s", type=SECONDS, default=120, show_default=True, help="Seconds to wait for the outcome."
)
@click.option(
    "--heatmaps",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to save heatmaps in, PNGs to lay over the photos.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the case as the API gives it.")
def command(
    images: tuple[Path, ...],
    answers: Path | None,
    settings: tuple[str, ...],
    shot_types: tuple[ShotType, ...],
    url: str,
    model: str | None,
    key_file: Path | None,
    timeout_s: float,
    heatmaps: Path | None,
    as_json: bool,
) -> None:
    """Put 1 to 3 PHOTOS of one skin concern, with a self-report, through a running dermis.

    With --model nothing has to run: all parts are started in a temporary folder with that model, and stopped.

    \b
    Exit code: 0 differential, 3 abstention, 4 rejection (no photo was usable),
    5 failed or not finished in time, 2 wrong use or a problem, 75 a problem that may pass.

    \b
    Examples:
      dermis assess arm.jpg
      dermis assess arm.jpg near.jpg --set body_parts=ARM,LEG --set condition_symptoms=ITCHING
      dermis assess arm.jpg --answers answers.json --json
      dermis assess --model lesions mole.jpg --set related_category=GROWTH_OR_MOLE
      dermis assess arm.jpg --heatmaps ./heatmaps
    """
    if len(images) > MAX_IMAGES:
        raise DermisError(Kind.INVALID, "IMAGE_COUNT", f"there are {len(images)} photos; give 1 to {MAX_IMAGES}")
    if shot_types and len(shot_types) != len(images):
        raise DermisError(
            Kind.INVALID,
            "SHOT_TYPES",
            f"there are {len(shot_types)} shot types for {len(images)} photos; give one for each, or none",
        )
    report = self_report(
        {**(read_answers(answers) if answers else {}), **from_settings(settings)}, source=str(answers or "--set")
    )
    key = _read_key(key_file) if key_file and not model else None
    with (
        temporary_run(model, timeout_s=timeout_s) if model else nullcontext(url) as where,
        Client(where, key=key) as client,
    ):
        deadline = time.monotonic() + timeout_s
        sent = as_sent(report)
        case = client.submit(images, shot_types=shot_types, report=sent, wait=timeout_s, timeout=timeout_s)
        try:
            case = client.wait(case, timeout=deadline - time.monotonic())
        except ApiError as error:
            if error.reason != "NOT_FINISHED":
                raise
            click.echo(f"dermis: {error.detail}", err=True)
        if heatmaps:
            _save_heatmaps(client, case, heatmaps)
    document = case.model_dump(mode="json")
    click.echo(json.dumps(document, indent=2, ensure_ascii=False) if as_json else render(document))
    sys.exit(exit_code(document))


def _read_key(file: Path) -> str:
    key = file.read_text(encoding="ascii", errors="replace").strip()
    if id_of(key) is None or not key.isascii() or len(key.split()) != 1:
        raise DermisError(
            Kind.INVALID,
            "KEY",
            f"--key-file {file} holds no API key; save the line in it that `dermis keys create` printed",
        )
    return key


def _save_heatmaps(client: Client, case: Case, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for heatmap in case.outcome.heatmaps if case.outcome else ():
        path = folder / f"{case.id}-image-{heatmap.n}-place-{heatmap.place}.png"
        path.write_bytes(client.heatmap(case.id, heatmap.n, condition=heatmap.condition))
        click.echo(f"{path}: what speaks for {heatmap.condition} in photo {heatmap.n}", err=True)
