"""What all tests share: no sockets in unit tests, the real data's place, and no quiet skips in CI."""

import os
import socket
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The gate judges the change, not the draw; runs at home explore. How fast an example is drawn says nothing on a busy
# machine.
settings.register_profile("home", suppress_health_check=[HealthCheck.too_slow], deadline=None)
settings.register_profile("gate", settings.get_profile("home"), derandomize=True)
settings.load_profile("gate" if os.environ.get("CI") else "home")
HERE = Path(__file__).parent
ALLOWED_SKIPS = [
    line for line in (HERE / "allowed_skips.txt").read_text().splitlines() if line and not line.startswith("#")
]


@pytest.fixture
def real_data() -> Path:
    """The folder that REAL_DATA names; the test is skipped where it is unset."""
    folder = os.environ.get("REAL_DATA")
    if not folder:
        pytest.skip("REAL_DATA is not set")
    return Path(folder)


@pytest.fixture(autouse=True)
def _no_sockets_in_unit_tests(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a unit test opened a connection")

    if request.path.is_relative_to(HERE / "unit"):
        monkeypatch.setattr(socket.socket, "connect", refuse)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a skip whose reason is not listed in allowed_skips.txt fails the run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("CI") or reporter is None:
        return
    for report in reporter.stats.get("skipped", []):
        if not any(reason in str(report.longrepr) for reason in ALLOWED_SKIPS):
            reporter.write_line(f"\nskipped in CI without a listed reason: {report.nodeid} {report.longrepr}", red=True)
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
