"""The index of decisions is whole, and what a record refers to is there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "decisions"
RECORDS = sorted(FOLDER.glob("[0-9]*.md"))


def test_the_index_is_what_the_records_say() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/generate_decisions.py", "--check"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_record_of_another_form_is_refused(tmp_path: Path) -> None:
    script = tmp_path / "scripts" / "generate_decisions.py"
    script.parent.mkdir()
    script.write_text((ROOT / "scripts/generate_decisions.py").read_text(encoding="utf-8"), encoding="utf-8")
    folder = tmp_path / "docs" / "decisions"
    folder.mkdir(parents=True)
    (folder / "0001-x.md").write_text("# 1. A rule\n\n**Context.** Without a date.\n", encoding="utf-8")
    done = subprocess.run([sys.executable, script], check=False, capture_output=True, text=True)
    assert done.returncode != 0
    assert "0001-x.md" in done.stderr


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_a_record_refers_to_files(record: Path) -> None:
    references = record.read_text(encoding="utf-8").partition("## References")[2]
    targets = re.findall(r"\]\(([^)]+)\)", references)
    assert targets
    assert [target for target in targets if not (FOLDER / target).exists()] == []
