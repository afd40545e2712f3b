"""Fixtures: Google Cloud Storage's emulator. A test module takes them with `pytest_plugins = ["tests.support.gcs"]`."""

import secrets
from collections.abc import Iterator

import pytest

from tests.support.servers import BUCKET, fake_gcs


@pytest.fixture(scope="session")
def gcs_address() -> Iterator[str]:
    """What STORAGE_EMULATOR_HOST should say."""
    with fake_gcs() as address:
        yield address


@pytest.fixture
def gcs_url(gcs_address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store URL of the test's own; the emulator's address is in the environment."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_address)
    return f"gs://{BUCKET}/{secrets.token_hex(4)}"
