"""The pages of docs/runbooks as a test reads them: queries, commands to look and commands to act."""

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "docs" / "runbooks"
PAGES = sorted(path.stem for path in FOLDER.glob("Dermis*.md"))
RUN_BY_THE_FAULTS = frozenset(PAGES)
"""Alerts that tests/integration/test_alerts.py fires by a real fault: all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runbook:
    title: str
    severity: str
    sections: dict[str, str]

    @property
    def queries(self) -> list[str]:
        return self._block("What to look at", "promql")

    @property
    def lines(self) -> list[str]:
        """All lines of commands."""
        return [*self._block("What to look at", "sh"), *self._block("What to do", "sh")]

    @property
    def looks(self) -> list[str]:
        return [line for line in self._block("What to look at", "sh") if "# not run here: " not in line]

    @property
    def actions(self) -> list[str]:
        return [line for line in self._block("What to do", "sh") if "# not run here: " not in line]

    def _block(self, section: str, language: str) -> list[str]:
        blocks = re.findall(rf"```{language}\n(.*?)```", self.sections[section], re.DOTALL)
        return [line for block in blocks for line in block.splitlines() if line]


def read_runbook(name: str) -> Runbook:
    text = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    head, *sections = re.split(r"^## ", text, flags=re.MULTILINE)
    severity = re.search(r"^Severity: (\w+)\.", head, re.MULTILINE)
    return Runbook(
        title=head.partition("\n")[0].removeprefix("# "),
        severity=severity[1] if severity else "",
        sections={each.partition("\n")[0]: each.partition("\n")[2].strip() for each in sections},
    )
