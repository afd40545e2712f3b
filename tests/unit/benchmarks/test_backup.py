"""The measured backup: its commands are the real ones, and its table says what they printed."""

from pathlib import Path

import pytest

from benchmarks import backup


def test_each_step_says_what_it_took_and_what_it_did(tmp_path: Path) -> None:
    first, again, forgotten, restored = (step.row() for step in backup.measure(tmp_path, 120))
    assert first[0] == "backup"
    assert (first[2], first[3], first[5]) == ("120", "361", "360")
    assert int(again[5]) < 5, "what is there is not copied again"
    assert forgotten[2] == "2"
    assert restored[2] == "118"
    assert float(restored[6]) > 10


def test_a_step_that_fails_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="store is empty"):
        backup.dermis("backup", "backup", (tmp_path / "to").as_uri(), store=tmp_path / "none")


def test_the_table_is_put_between_the_pages_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- many cases: begin -->\nold\n<!-- many cases: end -->\nafter\n", encoding="utf-8")
    backup.write(page, "new")
    assert page.read_text(encoding="utf-8") == (
        "before\n<!-- many cases: begin -->\nnew\n<!-- many cases: end -->\nafter\n"
    )
