"""The table of codes: a code that no list confirmed is never given out."""

from dermis.shared.codes import CodeStatus, code_rows, codes_of, labels


def test_only_confirmed_codes_are_given_out() -> None:
    for label in labels():
        confirmed = [
            (row.system, row.code) for row in code_rows() if row.label == label and row.status is CodeStatus.CONFIRMED
        ]
        assert [(code.system, code.code) for code in codes_of(label)] == confirmed


def test_each_row_has_a_source_and_one_without_a_code_has_none() -> None:
    assert all(row.source and row.reviewed for row in code_rows())
    assert [row.label for row in code_rows() if (row.status is CodeStatus.NO_CODE) != (row.code == "")] == []


def test_an_unknown_condition_has_no_code() -> None:
    assert codes_of("A condition that nobody named") == ()
