"""docs/reference/http.md has a call for every route; tests/integration/test_clients.py runs them."""

import json
from pathlib import Path

from tests.support.curls import blocks, route_of

OPENAPI = json.loads((Path(__file__).parent / "openapi.json").read_text(encoding="utf-8"))


def test_every_route_has_a_call_and_every_call_a_route() -> None:
    routes = {(method, path) for path, methods in OPENAPI["paths"].items() for method in methods}
    assert {route_of(block) for block in blocks()} == routes


def test_no_call_hides_its_failure() -> None:
    assert all("--fail-with-body" in block and block.count("curl ") == 1 for block in blocks())
