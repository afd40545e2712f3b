"""The docs hold: links lead somewhere, and every command is run by a test or CI, or says why not."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("services/*/tfserving/*.md")]
COMMAND = re.compile(
    r"^(?:    )?(?:\$ )?((?:[A-Z_]+=\S+ )*(?:make|bash|docker|dermis|python3?|(?:\.venv(?:-trainer)?/bin/)\w+|scripts/)\b.*)$", re.MULTILINE
)
# What runs it -> how the command starts.
RUN_BY = {
    ".ci/run": (
        "make demo",
        "make test",
        "make lint types",
        "make lint",
        "make types",
        "make test-compose",
        "make test-browser",
        "bash .ci/run",
        "make bench",
        "make chaos",
        "make fuzz",
        "make client",
        "make page-cost",
        "make screenshots",
        "make mutate",
        "make trace",
        "make erase-load",
        "make audit-secrets",
        "make promote-load",
        "make kill-training",
        ".venv/bin/python -m tests.system.chaos",
    ),
    "tests/integration/test_up.py, tests/e2e": (
        "make up",
        ".venv/bin/dermis assess",
        ".venv/bin/dermis doctor",
        ".venv/bin/dermis config",
        ".venv/bin/dermis demo",
    ),
    "make test-compose, test-compose-gcs": (
        "docker compose -f docker-compose.yml -f compose.twin.yaml",
        "docker run --rm --entrypoint cat dermis-gateway:dev /usr/share/sbom",
    ),
    "make test-compose-trainer": ("docker compose --profile trainer build trainer", "docker compose run --rm trainer"),
    "make test-compose": ("docker compose -f docker-compose.yml -f compose.twin.yaml",),
    "tests/unit/standalone": (".venv/bin/dermis keys", ".venv/bin/dermis export"),
    "tests/unit/data, tests/integration/data": ("dermis data",),
    "tests/unit/trainer/evaluation/test_run.py": (
        "dermis evaluate",
        ".venv-trainer/bin/python -m dermis.trainer.benchmarks.set_coverage",
    ),
    "tests/integration/test_tutorial.py": (
        "make .venv/.dev .venv-trainer/.dev",
        ".venv-trainer/bin/dermis",
        "dermis train",
        "dermis evaluate",
        ".venv/bin/dermis promote",
        ".venv/bin/dermis up",
    ),
    "tests/unit/trainer/test_configs.py": ("dermis train",),
    "tests/unit/trainer/registry/test_promote.py": ("dermis models", "dermis promote", "dermis rollback"),
    "tests/unit/trainer/calibration/test_outliers.py": (".venv-trainer/bin/python -m dermis.trainer.benchmarks.out_of_distribution",),
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    assert [target for target in targets if "://" not in target and not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_are_run_or_say_why_not(page: Path) -> None:
    starts = tuple(start for several in RUN_BY.values() for start in several)
    text = page.read_text()
    blocks = "\n".join(re.findall(r"```(?:sh|bash|console)?\n(.*?)```", text, re.DOTALL) + re.findall(r"^    .*$", text, re.MULTILINE))
    commands = [found[1] for found in COMMAND.finditer(blocks)]
    assert [command for command in commands if not command.startswith(starts) and "not run here" not in command] == []
