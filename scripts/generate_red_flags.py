"""Writes the worker's table of red flags for the page, which evaluates it at the tap.

`.venv/bin/python scripts/generate_red_flags.py [--check]`
"""

import json
import sys
from pathlib import Path

from dermis.worker.core.red_flags import RULES, Need

TABLE = Path(__file__).parents[1] / "services/gateway/src/dermis/gateway/web/assets/red_flags.json"


def answers_of(need: Need) -> dict[str, list[str | bool]]:
    return {name: sorted(answers) for name, answers in need.items()}


def table() -> str:
    rules = [
        {
            "flag": rule.flag,
            "urgency": rule.urgency,
            "needs": [answers_of(need) for need in rule.needs],
            "covered_by": rule.covered_by,
            "text": rule.text,
        }
        for rule in RULES
    ]
    return json.dumps(rules, indent=1) + "\n"


if __name__ == "__main__":
    if "--check" not in sys.argv:
        TABLE.write_text(table())
    elif TABLE.read_text() != table():
        sys.exit(f"{TABLE.name} is not fresh; run scripts/generate_red_flags.py")
