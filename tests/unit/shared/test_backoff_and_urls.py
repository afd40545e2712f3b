"""Back-off and masked URLs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermis.shared.backoff import delay
from dermis.shared.urls import masked


def test_a_wait_doubles_up_to_the_longest() -> None:
    assert [delay(n, first=0.5, longest=15) for n in range(8)] == [0.5, 0.5, 1, 2, 4, 8, 15, 15]


@given(st.integers(0, 10**9))
def test_no_count_overflows(tries: int) -> None:
    assert 1 <= delay(tries, first=1, longest=60) <= 60


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("redis://:geheim@host/0", "redis://:***@host/0"),
        ("rediss://user:ge:hei@m@host:1/0", "rediss://user:***@host:1/0"),
        ("redis://h/0?password=geheim&db=1", "redis://h/0?password=***&db=1"),
        ("redis://h/0?db=1&api_token=geheim#x", "redis://h/0?db=1&api_token=***#x"),
        ("gs://bucket/prefix", "gs://bucket/prefix"),
    ],
)
def test_secrets_in_urls_are_masked(url: str, shown: str) -> None:
    assert masked(url) == shown


@given(st.text(min_size=8, alphabet=st.characters(exclude_characters="/?#*", exclude_categories=["Cs"])))
def test_no_password_gets_through(password: str) -> None:
    assert password not in masked(f"redis://user:{password}@host/0")
