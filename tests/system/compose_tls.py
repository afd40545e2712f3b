"""What people get of Compose behind TLS: `python -m tests.system.compose_tls --port 8443 --ca root.crt`.

Two browsers, each with a session: the page, a case and its events, what only its owner may see, and what only a machine
of the network may.
"""

import argparse
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx

from benchmarks.system import CASE

_PRIVATE = ("/metrics", "/readyz")
_AT_ONCE_S = 0.005
"""Between the first and the last event a model is asked, which takes many times as long."""


def problems(browser: Callable[[], httpx.Client]) -> Iterator[str]:
    """Yield what is not as it must be; `browser` gives a new one, without cookies."""
    with browser() as owner, browser() as other:
        page = owner.get("/")
        cookie = page.headers.get("set-cookie", "")
        print(f"page: {page.status_code}, {page.http_version}, {cookie.partition('=')[0]}", flush=True)
        if page.status_code != 200 or not page.headers.get("strict-transport-security"):
            yield f"the page comes with {page.status_code} and {dict(page.headers)}"
        if not cookie.startswith("__Host-dermis_session=") or not {"Secure", "HttpOnly"} <= _attributes(cookie):
            yield f"the session's cookie is {cookie.partition('=')[0]!r}, not one for this host and TLS alone"
        other.get("/")
        case = owner.post("/v1/cases", headers={"Prefer": "wait=30"}, **CASE)  # type: ignore[arg-type]
        print(f"case: {case.status_code}, {case.json().get('status')}", flush=True)
        if case.json().get("status") != "FINISHED":
            yield f"a case over TLS is {case.status_code}: {case.text[:300]}"
            return
        where = f"/v1/cases/{case.json()['id']}"
        yield from _follow(owner)
        if (seen := other.get(where).status_code) != 404:
            yield f"another browser gets {seen} for the case"
        for path in _PRIVATE:
            if (seen := owner.get(path).status_code) != 404:
                yield f"{path} is answered with {seen} to whoever asks"
        foreign = owner.post("/v1/cases", headers={"Origin": "https://elsewhere.example"}, **CASE)  # type: ignore[arg-type]
        if foreign.status_code != 403:
            yield f"a page of elsewhere may send a case: {foreign.status_code}"
        if (erased := owner.delete(where).status_code) != 204 or owner.get(where).status_code != 404:
            yield f"erasing answers {erased}"
        print("events, another browser, private paths, a page of elsewhere, erasing: looked at", flush=True)


def _follow(owner: httpx.Client) -> Iterator[str]:
    """Yield what is wrong with a new case's events: the proxy must pass each on as it comes, not all at the end."""
    case = owner.post("/v1/cases", **CASE).json()  # type: ignore[arg-type]
    times: dict[str, float] = {}
    with owner.stream("GET", f"/v1/cases/{case['id']}/events") as stream:
        for line in stream.iter_lines():
            if line.startswith("event: "):
                times[line.removeprefix("event: ")] = time.monotonic()
            if "outcome" in times:
                break
    if list(times) != ["received", "assessed", "outcome"]:
        yield f"the events of a case are {', '.join(times)}"
    elif times["outcome"] - times["received"] < _AT_ONCE_S:
        yield "the events of a case come all at once"


def _attributes(cookie: str) -> set[str]:
    return {part.strip() for part in cookie.split(";")}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="of this machine, on which the proxy listens")
    parser.add_argument("--ca", type=Path, required=True, help="certificate of the authority that the proxy made")
    options = parser.parse_args()
    trust = ssl.create_default_context(cafile=str(options.ca))
    url = f"https://localhost:{options.port}"
    bad = list(problems(lambda: httpx.Client(base_url=url, verify=trust, timeout=60, trust_env=False)))
    for line in bad:
        print(f"BAD  {line}")
    print("FAILED" if bad else "people reach the page by TLS alone, each their own cases")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
