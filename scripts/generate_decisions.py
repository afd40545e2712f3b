"""Write docs/decisions/README.md, the index of the decision records, or see with --check that it is fresh."""

import re
import sys
from pathlib import Path

from dermis.data.report.markdown import markdown_table

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "decisions"
INDEX = FOLDER / "README.md"
HEADINGS = ("Context", "Decision", "Consequences", "Alternatives", "References")
FORM = re.compile(
    r"# (?P<number>\d+)\. (?P<rule>.+)\n\n- Status: (?P<status>.+)\n- Area: (?P<area>.+)\n- Date: "
    r"(?P<date>\d{4}-\d\d-\d\d)\n\n" + r"\n(?:.*\n)*?".join(f"## {heading}\n" for heading in HEADINGS)
)
HEAD = """# Decisions

Each record is a rule that binds until another replaces it: context, decision, consequences, alternatives, and the \
files that keep it. A record that
is replaced stays, and its status names the next. There never were records 8, 9 and 11: their numbers were left out.

This page is generated: `scripts/generate_decisions.py`.

"""


def row(record: Path) -> tuple[str, ...]:
    """Return a record's cells; a record that has another form than the others ends the run."""
    match = FORM.match(record.read_text(encoding="utf-8"))
    if match is None or int(match["number"]) != int(record.name[:4]):
        sys.exit(
            f"{record.name} needs '# N. rule', Status, Area, Date, and the headings {', '.join(HEADINGS)}, in "
            "this order"
        )
    rule = f"[{match['rule']}]({record.name})"
    return match["number"], rule, match["area"], match["status"], match["date"]


def main() -> None:
    rows = map(row, sorted(FOLDER.glob("[0-9]*.md")))
    index = HEAD + markdown_table(["", "rule", "area", "status", "date"], rows) + "\n"
    if "--check" not in sys.argv:
        INDEX.write_text(index, encoding="utf-8")
    elif INDEX.read_text(encoding="utf-8") != index:
        sys.exit(f"{INDEX.name} is stale; run {Path(__file__).name}")


if __name__ == "__main__":
    main()
