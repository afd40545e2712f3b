"""`dermis data images`, from its options to what is said."""

import sys
from pathlib import Path
from typing import Any

import click

from dermis.shared.errors import DermisError, Kind
from dermis.trainer.data.images import choose_images, default_store, finish, load_quality_policy, plan_images, run_by_workers, run_here


def run(context: click.Context, **given: Any) -> None:
    """Measure, collect, write; an interruption says how to go on."""
    out: Path = given["out"]
    store_url = _store_url(context, given)
    wanted = choose_images(given["source"], prefix=given["prefix"], tables=given["tables"], labels=given["policy"], where=given["where"])
    policy = load_quality_policy(given["quality_policy"])
    job = plan_images(given["source"], wanted, policy=policy, size=given["shard_size"])
    listed = job.plan.listed

    def say(text: str) -> None:
        click.echo(text, err=True)

    say(
        f"{len(wanted.expected):,} images, {len(wanted.expected) - len(wanted.found):,} of them missing; {listed.shards:,} shards, {job.plan.id} in {store_url}"
    )
    try:
        with click.progressbar(length=len(listed.keys), label="images", file=sys.stderr) as bar:
            if given["local"]:
                run_here(job, store_url, processes=given["processes"], step=bar.update)
            else:
                run_by_workers(job, store_url, given["broker"], resend_after=given["resend_after"], step=bar.update, say=say)
    except KeyboardInterrupt:
        say("\nstopped; what is measured is kept: run the same command to go on")
        context.exit(130)
    calibrate = given["loss"] if given["calibrate"] else None
    command = f"dermis data images --calibrate --loss {given['loss']:g}"
    click.echo(finish(store_url, job, out, pictures=given["pictures"], calibrate=calibrate, command=command, say=click.echo))


def _store_url(context: click.Context, given: dict[str, Any]) -> str:
    """Return where the shards' results are: the workers' store, or with --local a folder in `out` unless one is named."""
    by_option = context.get_parameter_source("store") is click.core.ParameterSource.COMMANDLINE
    if given["local"] and not by_option:
        return default_store(given["out"])
    if not given["store"]:
        remedy = "set DERMIS_STORE_URL or --store to the workers' store, or measure on this machine with --local"
        raise DermisError(Kind.INVALID, "STORE_URL", f"no store that workers could share: {remedy}")
    return str(given["store"])
