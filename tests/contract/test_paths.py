"""What is reached from outside: every route but those that are for the inside alone."""

import re
from pathlib import Path
from typing import Any

import yaml

from dermis.gateway.bootstrap import build
from dermis.gateway.settings import GatewaySettings

ROOT = Path(__file__).parents[2]
INSIDE = {"/metrics", "/readyz"}
ROUTE = ROOT / "k8s/overlays/prod-gpu/http-route.yaml"


def test_the_route_leads_to_every_path_but_those_for_the_inside() -> None:
    rules = next(yaml.safe_load_all(ROUTE.read_text()))["spec"]["rules"]
    paths = [(match["path"]["value"], match["path"]["type"]) for rule in rules for match in rule["matches"]]
    app = build(GatewaySettings(store_url="file:///nowhere"))
    served = {re.sub(r"\{[^}]*\}", "x", path) for path in _paths(app.routes)}
    assert served >= {"/", "/v1/cases", "/assets", "/cases/x", *INSIDE}
    outside = {path for path in served if any(_matches(path, *each) for each in paths)}
    assert served - outside == INSIDE


def _paths(routes: object) -> list[str]:
    found: list[Any] = []
    for route in routes:  # type: ignore[attr-defined]
        inner = getattr(route, "original_router", None)
        found += _paths(inner.routes) if inner else [route.path]
    return found


def _matches(path: str, wanted: str, kind: str) -> bool:
    return path == wanted if kind == "Exact" else path == wanted or path.startswith(f"{wanted}/")
