"""What a client likes best, by its headers."""

import pytest

from dermis.gateway.core.accept import best_language, liked, weights


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("es", "es"),
        ("es-MX", "es"),
        ("es-419-x-private", "es"),
        ("fr, es;q=0.5", "es"),
        ("en;q=0.2, es;q=0.201", "es"),
        ("en, es", "en"),
        ("es, en", "es"),
        ("fr", "en"),
        ("*", "en"),
        ("*, es;q=0.5", "en"),
        ("*;q=0.5, es", "es"),
        ("en;q=0, *", "es"),
        ("en;q=0", "en"),
        ("en;q=0, es;q=0", "en"),
        ("es-MX;q=0, es;q=0.1", "es"),
        ("es-MX, es;q=0", "en"),
        ("*;q=0, es;q=0.1", "es"),
        ("es_MX, e s, <es>, " + "x" * 9, "en"),
        ("es;q=2, en;q=0.1", "en"),
        ("es;q=0.1234, en;q=0.1", "en"),
        ("es;q=-1", "en"),
        ("es;q=nan, es;q=inf, es;q=1e-1, es;q=", "en"),
        (";;;,,,=;q=1,-,--,es-", "en"),
        (",, es ;  q=0.5 ,,", "es"),
        ("esperanto", "en"),
    ],
)
def test_the_language_that_is_liked_best_is_chosen(header: str, language: str) -> None:
    assert best_language(header, ("en", "es")) == language


def test_a_more_special_language_is_taken_for_its_own_range_alone() -> None:
    assert best_language("pt-BR", ("en", "pt", "pt-br")) == "pt-br"
    assert best_language("pt-PT", ("en", "pt-br", "pt")) == "pt"
    assert best_language("pt", ("en", "pt-br")) == "en"


def test_a_weight_that_no_header_may_have_leaves_its_value_out() -> None:
    assert weights("gzip, br;q=0, x;q=1.5, text/html;level=1;q=0.5") == [("gzip", 1.0), ("br", 0.0), ("text/html", 0.5)]
    assert liked("gzip, br;q=0") == {"gzip": 1.0}


def test_a_long_header_is_read_at_once() -> None:
    assert best_language("x-" * 20_000 + "x,es;q=0.1" * 5_000, ("en", "es")) == "es"
