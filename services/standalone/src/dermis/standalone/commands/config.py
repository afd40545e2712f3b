"""dermis config"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import click

from dermis.standalone.commands import options
from dermis.standalone.settings import load_standalone
from dermis.standalone.state import Running, find_running
from dermis.standalone.variables import effective, running_sources


@click.command("config", short_help="Show every variable, its value, and where that came from.")
@options.placement
@options.host
@options.port
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list, with descriptions.")
def command(as_json: bool, **choices: Any) -> None:
    """Show every variable with its effective value and where that came from; passwords in URLs are masked.

    Where a `dermis up` runs on this state folder, these are the values that its parts were started with, whatever this
    shell says. In a container they are that part's.

    \b
    Examples:
      dermis config
      dermis config --json
    """
    environ = options.overlay(choices)
    running = find_running(load_standalone(environ).state)
    set_by: Mapping[str, Mapping[str, str]] = running_sources(running) if running else {"environment": os.environ}
    values = list(effective({"option": options.as_variables(choices), **set_by}))
    if running:
        click.echo(describe(running, os.environ), err=True)
    if as_json:
        click.echo(json.dumps([asdict(variable) for variable in values], indent=2))
        return
    widths = [
        max(len(text) for text in column) for column in zip(*((v.name, v.value, v.source) for v in values), strict=True)
    ]
    for variable in values:
        columns = zip((variable.name, variable.value, variable.source), widths, strict=True)
        click.echo("  ".join(f"{text:<{width}}" for text, width in columns) + f"  {variable.part}")


def describe(running: Running, environ: Mapping[str, str]) -> str:
    """Say what runs, and which of this shell's variables it was not started with."""
    other = sorted(
        name for name, value in environ.items() if name.startswith("DERMIS_") and running.variables.get(name) != value
    )
    unused = f"; not in use there, though this shell sets it: {', '.join(other)}" if other else ""
    return f"as process {running.pid}, which answers at {running.url}, was started{unused}"
