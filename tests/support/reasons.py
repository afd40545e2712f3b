"""Every stable code that the gateway may answer, out of its source."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dermis.gateway.core.field_codes import FieldCode
from dermis.shared.errors import HTTP_STATUS, Kind
from dermis.shared.images.header import ImageRefusal

_COMPUTED = {"CONSENT": {422}, "NOT_FOUND": {404}, "METHOD_NOT_ALLOWED": {405}, "REQUEST_TIMEOUT": {408}}
"""Reasons that are made of a field's name or of a status."""
ROOT = Path(__file__).parents[2]
GATEWAY = ROOT / "services/gateway/src/dermis/gateway"
SHARED = ROOT / "shared/src/dermis/shared"
_MADE: dict[str, tuple[Kind | int, int]] = {
    "DermisError": (0, 1),
    "RefusedError": (0, 1),
    "BusyError": (Kind.UNAVAILABLE, 0),
    "FieldsError": (Kind.INVALID, 0),
    "fault": (Kind.INVALID, 0),
    "respond": (1, 2),
    "HttpRefusal": (0, 1),
}
"""What makes an error: where its kind or status stands, or which it has, and where its reason stands."""


def reasons() -> dict[str, set[int]]:
    """Return the HTTP statuses of each `reason`: the literal ones of the source, and those of an image's refusal."""
    answers: dict[str, set[int]] = {}
    files = [*GATEWAY.rglob("*.py"), *(SHARED / name for name in ("images", "stores")), SHARED / "erasing.py"]
    for file in (each for path in files for each in ([path] if path.is_file() else sorted(path.rglob("*.py")))):
        for reason, status in _of_source(ast.parse(file.read_text())):
            answers.setdefault(reason, set()).add(status)
    for refusal in ImageRefusal:
        answers[refusal] = {415 if refusal is ImageRefusal.FORMAT else 422}
    return answers | _COMPUTED


def field_codes() -> set[str]:
    return set(FieldCode)


def _of_source(tree: ast.Module) -> Iterator[tuple[str, int]]:
    constants = {
        node.targets[0].id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _MADE:
            kind, place = _MADE[node.func.id]
            if place < len(node.args) and (reason := _text(node.args[place], constants)):
                status = HTTP_STATUS[kind] if isinstance(kind, Kind) else _status(node.args[kind])
                if status:
                    yield reason, status
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple) and len(node.value.elts) == 3:
            status, reason = _status(node.value.elts[0]), _text(node.value.elts[1], constants)
            if status and reason:
                yield reason, status


def _text(node: ast.expr, constants: Mapping[str, Any]) -> str | None:
    value: Any = node.value if isinstance(node, ast.Constant) else None
    if isinstance(node, ast.Name):
        value = constants.get(node.id)
    return value if isinstance(value, str) else None


def _status(node: ast.expr) -> int | None:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Kind":
        return HTTP_STATUS[Kind[node.attr]]
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, int) else None
