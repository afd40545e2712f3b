"""dermis doctor"""

import json
import sys
from dataclasses import asdict
from typing import Any

import click

from dermis.standalone.commands import options
from dermis.standalone.doctor import examine
from dermis.standalone.finding import Level

_COLOURS = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}


@click.command("doctor", short_help="Look for what could keep dermis from running.")
@options.placement
@options.host
@options.port
@click.option("--url", default="", help="The gateway of a running system, as its callers reach it: https://host.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")
def command(url: str, as_json: bool, **option_values: Any) -> None:
    """Look for what could keep dermis from running here, and at every part of a system that runs.

    A running system is that of `dermis up` with the same state, or that of the variables of a pod (DERMIS_BROKER_URL,
    DERMIS_METADATA_ADDRESS, DERMIS_SERVING_ADDRESS, DERMIS_STORE_URL). Each line is ok, warn or fail, and says what to
    do. Exit code: 0, or 1 if anything fails.

    \b
    Examples:
      dermis doctor
      dermis doctor --port 9000 --store file:///srv/dermis
      dermis doctor --url https://dermis.example.org --json
    """
    failed = False
    for finding in examine(options.overlay(option_values), url):
        failed = failed or finding.level is Level.FAIL
        if as_json:
            click.echo(json.dumps(asdict(finding)))
            continue
        click.echo(
            f"{click.style(f'{finding.level:<4}', fg=_COLOURS[finding.level])}  {finding.about:<9} {finding.text}"
        )
        if finding.remedy:
            click.echo(f"{'':<16}-> {finding.remedy}")
    sys.exit(int(failed))
