"""The table of codes: a code that no list confirmed is never given out."""

from dermis.shared.codes import ICD_10, ICD_11, CodeStatus, code_rows, codes_of, labels


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


def test_names_that_differ_in_the_case_of_letters_are_one_condition() -> None:
    assert codes_of("DEEP fungal Infection") == codes_of("Deep fungal infection") != ()
    assert len({label.casefold() for label in labels()}) == len(labels())


def test_the_table_has_one_row_for_each_condition_and_system_and_icd_11_comes_first() -> None:
    rows = [(row.label, row.system) for row in code_rows()]
    assert rows == [(label, system) for label in labels() for system in (ICD_11, ICD_10)]


def test_a_confirmed_code_has_the_title_of_its_list_where_that_may_be_quoted() -> None:
    confirmed = [row for row in code_rows() if row.status is CodeStatus.CONFIRMED]
    assert [row.label for row in confirmed if bool(row.display) != (row.system == ICD_11)] == []
