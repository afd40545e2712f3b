"""A local OpenID Connect provider of another hand, and what a person does there."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin

import httpx

from tests.support.servers import free_port

ROLES = {"ann": ["reviewer"], "bea": ["reviewer"], "adj": ["adjudicator"], "eve": ["visitor"]}


@contextmanager
def provider() -> Iterator[str]:
    """Run a provider that knows the people of `ROLES`, and give its issuer."""
    port = free_port()
    people = [f"--user-claims={json.dumps({'sub': name, 'roles': roles})}" for name, roles in ROLES.items()]
    command = [sys.executable, "-m", "oidc_provider_mock", "--port", str(port), *people]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    issuer = f"http://127.0.0.1:{port}"
    try:
        _wait_until_it_answers(issuer)
        yield issuer
    finally:
        process.terminate()
        process.wait(timeout=10)


def variables(issuer: str, folder: Path) -> dict[str, str]:
    """Return the gateway's variables for a provider."""
    (folder / "client-secret").write_text("a client secret for tests alone")
    return {
        "DERMIS_GATEWAY_OIDC_ISSUER": issuer,
        "DERMIS_GATEWAY_OIDC_CLIENT_ID": "dermis",
        "DERMIS_GATEWAY_OIDC_CLIENT_SECRET_FILE": str(folder / "client-secret"),
    }


def way_back(address: str, person: str) -> str:
    """Sign `person` in at the provider, where `address` leads, and return the address that it sends them back to."""
    with httpx.Client(follow_redirects=False, timeout=10) as client:
        page = client.get(address)
        assert page.status_code == 200, page.text
        form = re.search(r'<form[^>]*action="([^"]*)"', page.text)
        answer = client.post(urljoin(address, form[1] if form and form[1] else address), data={"sub": person})
        assert answer.status_code == 302, answer.text
        return answer.headers["location"]


def _wait_until_it_answers(issuer: str) -> None:
    for _ in range(100):
        try:
            httpx.get(f"{issuer}/.well-known/openid-configuration").raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"{issuer} does not answer")
