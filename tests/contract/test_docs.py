"""The docs hold: links lead somewhere, and every command is run by a test or CI, or says why not."""

import re
from pathlib import Path

import pytest

from tests.support.commands import ROOT, ci_targets, is_run, recipes

PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("services/*/tfserving/*.md")]
COMMAND = re.compile(
    r"^(?:    )?(?:\$ )?((?:[A-Z_]+=\S+ "
    r")*(?:make|bash|docker|dermis|python3?|(?:\.venv(?:-trainer)?/bin/)\w+|scripts/)\b.*)$",
    re.MULTILINE,
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    assert [target for target in targets if "://" not in target and not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_are_run_or_say_why_not(page: Path) -> None:
    text = page.read_text()
    blocks = "\n".join(
        re.findall(r"```(?:sh|bash|console)?\n(.*?)```", text, re.DOTALL) + re.findall(r"^    .*$", text, re.MULTILINE)
    )
    commands = [found[1] for found in COMMAND.finditer(blocks)]
    assert [command for command in commands if "not run here" not in command and not is_run(command)] == []


def test_every_target_that_ci_makes_exists() -> None:
    assert {"test", "lint", "types", "charts", "docs"} <= ci_targets()
    files = {target for target in ci_targets() if (Path(ROOT) / target).exists()}
    assert ci_targets() - files - set(recipes()) == set()


@pytest.mark.parametrize(
    "command",
    ["make no-such", "dermis no-such", "dermis data no-such", "python -m dermis.no_such", "scripts/no_such.sh"],
)
def test_a_command_that_nobody_runs_is_noticed(command: str) -> None:
    assert not is_run(command)
