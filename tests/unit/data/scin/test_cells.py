"""One cell: what it means, and what is refused with which remedy."""

import pytest

from dermis.data.scin import cells


@pytest.mark.parametrize("cell", ["-1262950000000000001", "1", "9223372036854775807", "-9223372036854775808"])
def test_a_case_id_stays_text(cell: str) -> None:
    assert cells.case_id(cell) == cell


@pytest.mark.parametrize(
    "cell",
    [
        "",
        "0",
        "12.0",
        " 12",
        "+12",
        "9223372036854775808",
        "abc",
        "1_000",
        "\N{ARABIC-INDIC DIGIT ONE}",
        "-1.26295E+18",
        "1e5",
    ],
)
def test_a_case_id_that_is_no_whole_number_is_refused(cell: str) -> None:
    with pytest.raises(ValueError, match="Excel" if "e" in cell.lower() and "abc" not in cell else "64-bit"):
        cells.case_id(cell)


def test_a_name_with_comma_apostrophe_and_slash_is_one_name() -> None:
    cell = """['Acute dermatitis, NOS', "Kaposi's sarcoma of skin", 'SCC/SCCIS', \
'Looks like a burn, but the history says otherwise.']"""
    assert cells.names(cell) == (
        "Acute dermatitis, NOS",
        "Kaposi's sarcoma of skin",
        "SCC/SCCIS",
        "Looks like a burn, but the history says otherwise.",
    )


@pytest.mark.parametrize(
    "cell",
    [
        "['Kaposi's sarcoma of skin']",  # the apostrophe ends the string
        "Eczema, Tinea",
        "__import__('os').getcwd()",
        "[x for x in 'ab']",
        "('Eczema',)",
        "{'Eczema': 1}",
        "[1]",
        "[' Eczema']",
        "['']",
        "[" * 9_000,
        "['" + "x" * 30_000 + "']",
    ],
)
def test_what_is_no_list_of_names_is_refused(cell: str) -> None:
    with pytest.raises(ValueError, match=r"literal|name in quotes"):
        cells.names(cell)


def test_an_empty_list_and_an_empty_cell_are_both_nothing() -> None:
    assert cells.names("[]") == cells.names("") == ()
    assert cells.weights("{}") == cells.weights("") == {}


@pytest.mark.parametrize("cell", ["[0]", "[6]", "[1.0]", "[True]", "['3']", "[None]"])
def test_a_confidence_is_a_whole_number_from_1_to_5(cell: str) -> None:
    with pytest.raises(ValueError, match="1 to 5"):
        cells.confidences(cell)


@pytest.mark.parametrize(
    "cell",
    ["{'A': 0.5}", "{'A': 1.5}", "{'A': -0.5, 'B': 1}", "{'A': 0, 'B': 1}", "{'A': '1'}", "{1: 1.0}", "{'A': True}"],
)
def test_weights_lie_between_0_and_1_and_add_up(cell: str) -> None:
    with pytest.raises(ValueError, match=r"add up|weight above 0|name in quotes"):
        cells.weights(cell)


def test_weights_may_be_off_by_rounding() -> None:
    assert cells.weights("{'A': 0.34, 'B': 0.34, 'C': 0.35}") == {"A": 0.34, "B": 0.34, "C": 0.35}


@pytest.mark.parametrize("cell", ["0", "11", "3.0", "-1", "x", "\N{SUPERSCRIPT TWO}"])
def test_a_monk_tone_is_1_to_10(cell: str) -> None:
    with pytest.raises(ValueError, match="1 to 10"):
        cells.monk(cell)


def test_absent_is_none_and_not_zero() -> None:
    assert cells.monk("") is None
    assert cells.boolean("") is None
    assert cells.one_of(("A",))("") is None
    assert cells.image_path("") is None


@pytest.mark.parametrize("cell", ["YES ", "True", "NO", "1"])
def test_a_flag_is_yes_or_empty(cell: str) -> None:
    with pytest.raises(ValueError, match="YES"):
        cells.flag(cell)


@pytest.mark.parametrize("cell", ["dataset/images/../x.png", "dataset/images/a.png", "images/1.jpg", "1.png"])
def test_a_path_is_a_numbered_png_in_images(cell: str) -> None:
    with pytest.raises(ValueError, match="dataset/images"):
        cells.image_path(cell)


def test_a_path_becomes_the_key_below_the_data_sets_folder() -> None:
    assert cells.image_path("dataset/images/-4762289084741430925.png") == "images/-4762289084741430925.png"


def test_combined_race_is_made_of_known_parts() -> None:
    parse = cells.some_of(("ASIAN", "WHITE"))
    assert parse("ASIAN,WHITE") == "ASIAN,WHITE"
    with pytest.raises(ValueError, match="joined by commas"):
        parse("ASIAN, WHITE")
