"""A running system: one that DERMIS_TEST_URL names, or `dermis up` in a folder of its own."""

import io
import os
import re
import shlex
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.e2e import pages


@dataclass(frozen=True)
class System:
    """`read_store` is a shell command that writes the whole store to stdout as a tar archive."""

    url: str
    read_store: str

    def objects(self) -> dict[str, bytes]:
        """Return every object of the store by key."""
        archive = subprocess.run(shlex.split(self.read_store), stdout=subprocess.PIPE, check=True).stdout
        found = {}
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            for member in tar:
                file = tar.extractfile(member)
                key = member.name.removeprefix("./")
                if file is not None and not key.startswith("."):
                    found[key] = file.read()
        return found

    def case(self, case_id: str) -> dict[str, bytes]:
        return {key.split(f"{case_id}/")[1]: data for key, data in self.objects().items() if f"/{case_id}/" in key}


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    url = os.environ.get("DERMIS_TEST_URL")
    if url:
        yield System(url, os.environ["DERMIS_TEST_READ_STORE"])
        return
    with running(tmp_path_factory.mktemp("state")) as started:
        yield started


@contextmanager
def running(state: Path, **variables: str) -> Iterator[System]:
    """Run `dermis up` in a folder, with the model that its store holds, or the demo's."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DERMIS_")} | variables
    process = subprocess.Popen(
        [sys.executable, "-m", "dermis.standalone", "up", "--state", str(state), "--port", "0"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield System(_wait_ready(process), f"tar -C {shlex.quote(str(state / 'store'))} -cf - .")
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0


def _wait_ready(process: "subprocess.Popen[str]") -> str:
    found: list[str] = []
    ready = threading.Event()

    def follow() -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                sys.stdout.write(line)
                address = re.search(r"ready.*?(http://[\w.:\[\]]+)", line)
                if address and not found:
                    found.append(address[1])
                    ready.set()
        ready.set()

    threading.Thread(target=follow, daemon=True).start()
    assert ready.wait(60), "the system was not ready in 60 s"
    assert found, f"the system ended with {process.wait()}"
    return found[0]


@pytest.fixture(scope="session")
def client(system: System) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=system.url, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        yield pages.launch(playwright, os.environ.get("CHROMIUM", "/usr/bin/chromium"))


@pytest.fixture
def page(browser: Browser, system: System) -> Iterator[Page]:
    """The page on a phone."""
    with pages.opened(browser, system.url, size="phone", scheme="light") as page:
        yield page


@pytest.fixture(params=[("desktop", "light"), ("desktop", "dark"), ("phone", "light"), ("phone", "dark")], ids="-".join)
def every_page(request: pytest.FixtureRequest, browser: Browser, system: System) -> Iterator[Page]:
    """The page on each kind of screen, in light and dark."""
    size, scheme = request.param
    with pages.opened(browser, system.url, size=size, scheme=scheme) as page:
        yield page


@pytest.fixture
def context(page: Page) -> BrowserContext:
    return page.context


@pytest.fixture
def dark(tmp_path: Path) -> Path:
    """An image without any light."""
    cv2.imwrite(str(tmp_path / "dark.png"), np.zeros((300, 300, 3), np.uint8))
    return tmp_path / "dark.png"


@pytest.fixture
def document(tmp_path: Path) -> Path:
    """A page of text, which shows no skin."""
    page = np.full((480, 640, 3), 250, np.uint8)
    for y in range(30, 480, 24):
        cv2.putText(page, "lorem ipsum dolor sit amet consectetur", (20, y), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (20,) * 3)
    cv2.imwrite(str(tmp_path / "document.png"), page)
    return tmp_path / "document.png"


def finish(client: httpx.Client, response: httpx.Response, *, within_s: float = 60) -> dict:  # type: ignore[type-arg]
    """Follow an accepted case to its end and return it."""
    assert response.status_code == 202, response.text
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        case = client.get(response.headers["location"]).raise_for_status().json()
        if case["status"] in ("FINISHED", "FAILED"):
            return case
        time.sleep(0.1)
    raise AssertionError(f"not finished after {within_s} s: {case}")


def files(*paths: Path | tuple[str, bytes, str]) -> list[tuple[str, tuple[str, bytes, str]]]:
    """Return images as httpx takes them."""
    kinds = {".png": "image/png", ".jpg": "image/jpeg"}
    return [("images", (p.name, p.read_bytes(), kinds[p.suffix]) if isinstance(p, Path) else p) for p in paths]
