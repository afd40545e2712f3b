"""The `dermis` command; other parts add sub-commands by the entry point group `dermis.commands`.

An entry point names the extra that its command needs in brackets, `profile = "dermis.trainer.cli:profile [data]"`, so
that a command whose packages are missing can say what to install. It is loaded only when it is called.
"""

import importlib
from importlib import metadata
from typing import Any

import click

from dermis.client.errors import ApiError
from dermis.shared.errors import DermisError, ExitCode
from dermis.standalone.extras import missing, remedy

GROUP = "dermis.commands"
GROUPS = {
    "Run": ("up", "demo", "assess", "doctor", "config", "status"),
    "Keep": ("init", "keys", "cases", "replay", "export", "trace", "answers", "audit", "backup", "restore"),
    "Data and models": ("data", "train", "evaluate", "models", "promote", "rollback", "benchmark"),
}
"""Commands as `dermis --help` lists them; those that stand in no group come last."""
_OWN = (*GROUPS["Run"], *GROUPS["Keep"])


class CommandError(click.ClickException):
    """One clear line and an exit code: something must be changed first."""

    exit_code = ExitCode.USAGE

    def show(self, file: Any = None) -> None:
        click.echo(f"dermis: {self.message}", file=file, err=True)


class LaterError(CommandError):
    """The same command may succeed later."""

    exit_code = ExitCode.RETRY


class Commands(click.Group):
    """Loads a sub-command when it is asked for."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return [*_OWN, *sorted(_others())]

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _OWN:
            command: click.Command = importlib.import_module(f"dermis.standalone.commands.{cmd_name}").command
            return command
        point = _others().get(cmd_name)
        if point is None:
            return None
        lacking = [requirement for several in missing(point.extras).values() for requirement in several]
        return _unavailable(point, lacking[0]) if lacking else load(point)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        names = self.list_commands(ctx)
        grouped = {name for group in GROUPS.values() for name in group}
        groups = {**GROUPS, "Others": tuple(name for name in names if name not in grouped)}
        width = max(map(len, names))
        for title, group in groups.items():
            rows = [(name.ljust(width), self._line(ctx, name)) for name in group if name in names]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def _line(self, ctx: click.Context, name: str) -> str:
        point = _others().get(name)
        if point and missing(point.extras):
            return f"(not installed: {remedy(point.extras)})"
        command = self.get_command(ctx, name)
        return command.get_short_help_str(limit=200) if command else ""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DermisError as error:
            raise (LaterError if error.retryable else CommandError)(error.detail) from error
        except ApiError as error:
            raise (LaterError if error.retryable else CommandError)(str(error)) from error
        except OSError as fault:
            if fault.filename is None:  # no file that was named to us: a fault of ours, or a reader who left
                raise
            raise CommandError(
                f"{fault.filename}: {fault.strerror}; name another one, or see who may use it"
            ) from fault


def _others() -> dict[str, metadata.EntryPoint]:
    return {point.name: point for point in metadata.entry_points(group=GROUP)}


def load(point: metadata.EntryPoint) -> click.Command:
    """Return an entry point's command, or one that says which extra to install where a package is missing."""
    try:
        command: click.Command = point.load()
    except ModuleNotFoundError as fault:
        return _unavailable(point, fault.name or "a package")
    return command


def _unavailable(point: metadata.EntryPoint, package: str) -> click.Command:
    need = (
        f"needs {package}, which is not installed; {remedy(point.extras)}"
        if point.extras
        else f"needs {package}; install it"
    )

    @click.command(
        point.name,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
    )
    def stand_in() -> None:
        raise CommandError(f"{point.name} {need}")

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
