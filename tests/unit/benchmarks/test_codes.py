"""How much of SCIN the table of codes covers."""

import pytest

from benchmarks import codes
from dermis.shared.codes import ICD_10, ICD_11

pytestmark = pytest.mark.trainer
TOPS = ["Psoriasis", "Psoriasis", "SCC/SCCIS", "A label that nobody wrote"]
DIFFERENTIALS = [{"Psoriasis": 1.0}, {"Psoriasis": 0.5, "SCC/SCCIS": 0.5}, {"SCC/SCCIS": 1.0}, {"Other": 1.0}]


@pytest.mark.parametrize("system", [ICD_11, ICD_10])
def test_a_case_counts_where_its_top_label_has_a_confirmed_code(system: str) -> None:
    assert codes.coverage(TOPS, DIFFERENTIALS, system) == (2, pytest.approx(1.5 / 4))


def test_the_page_says_what_has_no_code() -> None:
    text = codes.page(TOPS, DIFFERENTIALS, of=9)
    assert "4 labelled cases of the 9" in text
    assert "2 of 4" in text
    assert "SCC/SCCIS (1), A label that nobody wrote (1)" in text
