"""dermis demo"""

import time

import click

from dermis.shared.errors import DermisError, Kind
from dermis.shared.options import SECONDS
from dermis.standalone import demo
from dermis.standalone.core.render import render, stages
from dermis.standalone.temporary_run import temporary_run


@click.command("demo", short_help="Put a sample case through all parts, show its outcome, stop.")
@click.option(
    "--timeout",
    "timeout_s",
    type=SECONDS,
    default=90,
    show_default=True,
    help="Seconds that start and case may take together.",
)
@click.option("--where", is_flag=True, help="Only print the folder of the sample case: its images and answers.json.")
def command(timeout_s: float, where: bool) -> None:
    """Put a sample case through all parts, show its outcome, and stop.

    Runs in a temporary folder on free ports, beside whatever runs already. The images are drawn by a program, and the
    model has learned from such drawings: the answer has no clinical meaning. Exits 0 only if the case was finished.

    \b
    Examples:
      dermis demo
      dermis assess $(dermis demo --where)/*.jpg --answers $(dermis demo --where)/answers.json
    """
    begun = time.monotonic()
    if not (demo.CASE / "answers.json").is_file():
        raise DermisError(
            Kind.NOT_FOUND,
            "NO_DEMO",
            "this installation carries no sample case; install dermis from its wheel or a clone",
        )
    if where:
        click.echo(demo.CASE)
        return
    with temporary_run(timeout_s=timeout_s, say=click.echo) as url:
        from dermis.standalone.sample import assess_sample  # heavy; it was time enough while the parts started

        ready = time.monotonic()
        case = assess_sample(url, deadline=begun + timeout_s)
        finished = time.monotonic()
        click.echo(f"{render(case)}\n\nstages of the worker: {stages(case)}")
        if case["status"] != "FINISHED":
            raise DermisError(Kind.INTERNAL, "NOT_FINISHED", f"the sample case is {case['status']}; see the log above")
    click.echo(
        f"time: start to ready {ready - begun:.1f} s, case (submitted to seen) {finished - ready:.2f} s, "
        f"stop {time.monotonic() - finished:.1f} s, in all {time.monotonic() - begun:.1f} s"
    )
