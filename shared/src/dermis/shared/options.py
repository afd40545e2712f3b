"""Options of commands that several parts have: one name for one thing, wherever it is typed."""

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from dermis.shared.settings import with_state_folder

F = TypeVar("F", bound=Callable[..., Any])
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class Seconds(click.FloatRange):
    """A time in seconds, finite and above 0."""

    name = "seconds"

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        seconds = float(super().convert(value, param, ctx))
        if not math.isfinite(seconds):
            self.fail(f"{value} is no number of seconds; write one above 0, such as 60.", param, ctx)
        return seconds


SECONDS = Seconds()


def default_store_url() -> str:
    """Return the URL of the store that `dermis up` uses: DERMIS_STORE_URL, else the one in the state folder."""
    return with_state_folder({name: value for name, value in os.environ.items() if value})["DERMIS_STORE_URL"]


def out(default: str) -> Callable[[F], F]:
    """Return the option that says where a command writes."""
    return click.option(
        "--out", type=click.Path(path_type=Path), default=default, show_default=True, help="Where to write."
    )


def as_url(_: click.Context, __: click.Parameter, value: Any) -> Any:
    """Return a folder's path as its URL; URLs and `generated:SEED:COUNT` as they are. Several values: each."""
    if isinstance(value, tuple):
        return tuple(as_url(_, __, one) for one in value)
    if value is None or ":" in value:
        return value
    return Path(value).resolve().as_uri()


store = click.option(
    "--store",
    "store_url",
    metavar="URL",
    envvar="DERMIS_STORE_URL",
    show_envvar=True,
    default=default_store_url,
    show_default="in the state folder",
    help="Object store, file:///folder or gs://bucket/prefix.",
)
mapping = click.option(
    "--mapping", help="Mapping of the data set: its name or a file; by default one that fits, else SCIN."
)
duplicates = click.option("--duplicates", type=FILE, help="Near-duplicate groups: CSV with columns image, group.")
split = click.option("--split", type=FILE, help="Fold file of `dermis data split`.")
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
