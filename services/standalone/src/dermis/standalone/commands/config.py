"""dermis config"""

import json
import os
from dataclasses import asdict
from typing import Any

import click

from dermis.standalone.commands import options
from dermis.standalone.settings import load_standalone
from dermis.standalone.state import find_running
from dermis.standalone.variables import effective


@click.command("config", short_help="Show every variable, its value, and where that came from.")
@options.placement
@options.host
@options.port
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list, with descriptions.")
def command(as_json: bool, **choices: Any) -> None:
    """Show every variable with its effective value and where that came from; passwords in URLs are masked.

    \b
    Examples:
      dermis config
      dermis config --json
    """
    environ = options.overlay(choices)
    running = find_running(load_standalone(environ).state)
    chosen = {"DERMIS_BROKER_URL": running.broker_url} if running else {}
    values = list(effective({"option": options.as_variables(choices), "environment": os.environ, "dermis up": chosen}))
    if as_json:
        click.echo(json.dumps([asdict(variable) for variable in values], indent=2))
        return
    widths = [
        max(len(text) for text in column) for column in zip(*((v.name, v.value, v.source) for v in values), strict=True)
    ]
    for variable in values:
        columns = zip((variable.name, variable.value, variable.source), widths, strict=True)
        click.echo("  ".join(f"{text:<{width}}" for text, width in columns) + f"  {variable.part}")
