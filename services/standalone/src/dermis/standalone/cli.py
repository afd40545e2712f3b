"""The `dermis` command; other parts add sub-commands by the entry point group `dermis.commands`.

An entry point names the extra that its command needs in brackets, `profile = "dermis.trainer.cli:profile [data]"`, so that
a command whose packages are missing can say what to install. It is loaded only when it is called.
"""

import importlib
from importlib import metadata
from typing import Any

import click

from dermis.client.errors import ApiError
from dermis.shared.errors import DermisError
from dermis.standalone.extras import missing, remedy

GROUP = "dermis.commands"
_OWN = {
    "up": "Run all parts on this machine until Ctrl-C.",
    "demo": "Put a sample case through all parts, show its outcome, stop.",
    "assess": "Put images and answers through a running dermis.",
    "answers": "Print the answers of a row of SCIN's scin_cases.csv as JSON.",
    "init": "Make a store ready: one without a model gets the demo bundle.",
    "replay": "Try a failed case again.",
    "export": "Give out all that is kept of a case.",
    "keys": "Make, list and revoke API keys.",
    "doctor": "Look for what could keep dermis from running; say what to do.",
    "trace": "Draw one case's way through all parts.",
    "config": "Show every variable, its value, and where that came from.",
}


class Problem(click.ClickException):
    """One clear line and exit code 2."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        click.echo(f"dermis: {self.message}", file=file, err=True)


class Commands(click.Group):
    """Loads a sub-command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*_OWN, *sorted(metadata.entry_points(group=GROUP).names)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _OWN:
            command: click.Command = importlib.import_module(f"dermis.standalone.commands.{cmd_name}").command
            return command
        for point in metadata.entry_points(group=GROUP, name=cmd_name):
            return load(point)
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        others = {point.name: _short_help(point) for point in metadata.entry_points(group=GROUP)}
        with formatter.section("Commands"):
            formatter.write_dl([*_OWN.items(), *sorted(others.items())])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DermisError as error:
            raise Problem(error.detail) from error
        except ApiError as error:
            raise Problem(str(error)) from error
        except OSError as fault:
            if fault.filename is None:  # no file that was named to us: a fault of ours, or a reader who left
                raise
            raise Problem(f"{fault.filename}: {fault.strerror}; name another one, or see who may use it") from fault


def load(point: metadata.EntryPoint) -> click.Command:
    """Return an entry point's command, or one that says which extra to install where a package is missing."""
    try:
        command: click.Command = point.load()
    except ModuleNotFoundError as fault:
        return _unavailable(point, fault.name or "a package")
    return command


def _short_help(point: metadata.EntryPoint) -> str:
    return f"(not installed: {remedy(point.extras)})" if missing(point.extras) else f"See dermis {point.name} --help."


def _unavailable(point: metadata.EntryPoint, package: str) -> click.Command:
    need = f"needs {package}, which is not installed; {remedy(point.extras)}" if point.extras else f"needs {package}; install it"

    @click.command(
        point.name,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
    )
    def stand_in() -> None:
        raise Problem(f"{point.name} {need}")

    return stand_in


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="dermis")
def main() -> None:
    """dermis: the open system for inclusive skin-condition assessment. Not a medical device.

    \b
    Examples:
      dermis demo                                  a sample case through all parts, then stop
      dermis up                                    run all parts on this machine until Ctrl-C
      dermis assess arm.jpg --set body_parts=ARM   put a case through a running dermis
    """
