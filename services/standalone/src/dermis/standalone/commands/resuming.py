"""What a long command says when it ends early."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from dermis.shared.errors import DermisError, Kind
from dermis.shared.urls import masked

_GOES_ON = "the same command goes on where it was"


@contextmanager
def resuming(name: str, *, source: str, target: str) -> Iterator[None]:
    """Say of which stores a fault is, and that a command that breaks off, by Ctrl-C too, is gone on with by itself.

    `source`, `target`: URLs. What can't succeed without a change of the command is left as it is.
    """
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"\n{name} is broken off; {_GOES_ON}", err=True)
        raise click.Abort from None
    except DermisError as error:
        if error.kind is Kind.FULL:  # nothing but the target is written to, beside a receipt
            detail = f"{masked(target)} has no space or no inodes left; make room there"
        elif error.retryable:
            detail = f"{error.detail} (between {masked(source)} and {masked(target)}); mend that"
        else:
            raise
        raise DermisError(error.kind, error.reason, f"{detail}: {_GOES_ON}") from error
