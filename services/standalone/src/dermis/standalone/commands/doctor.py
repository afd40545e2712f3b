"""dermis doctor"""

import sys
from typing import Any

import click

from dermis.standalone.commands import options
from dermis.standalone.doctor import Level, examine

_COLOURS = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}


@click.command("doctor", short_help="Look for what could keep dermis from running.")
@options.placement
@options.host
@options.port
def command(**option_values: Any) -> None:
    """Look for what could keep dermis from running here, and say what to do.

    Each line is ok, warn or fail. Exit code: 0, or 1 if anything fails.

    \b
    Examples:
      dermis doctor
      dermis doctor --port 9000 --store file:///srv/dermis
    """
    failed = False
    for finding in examine(options.overlay(option_values)):
        failed = failed or finding.level is Level.FAIL
        click.echo(
            f"{click.style(f'{finding.level:<4}', fg=_COLOURS[finding.level])}  {finding.about:<9} {finding.text}"
        )
        if finding.remedy:
            click.echo(f"{'':<16}-> {finding.remedy}")
    sys.exit(int(failed))
