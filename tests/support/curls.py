"""The calls of docs/reference/http.md."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "http.md"
_NAMED = {
    "$CASE": "{case_id}",
    "$BATCH": "{batch_id}",
    "$SHARE": "{share_id}",
    "$UPLOAD": "{upload_id}",
    "images/1": "images/{n}",
    "models/1": "models/{version}",
    "test-images/abstention-low-probability": "test-images/{name}",
}


def blocks() -> list[str]:
    """Return the page's shell blocks that call something, in order."""
    found = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [block for block in found if "curl " in block]


def route_of(block: str) -> tuple[str, str]:
    """Return the method and the path, as OpenAPI writes it, of a call."""
    path = re.search(r'"\$URL(/[^"?]*)', block)
    assert path, block
    named = path[1]
    for value, name in _NAMED.items():
        named = named.replace(value, name)
    method = re.search(r"-X (\w+)", block)
    return method[1].lower() if method else "post" if re.search(r" (-F|-d|--data-binary) ", block) else "get", named
