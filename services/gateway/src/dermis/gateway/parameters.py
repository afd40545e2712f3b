"""Refuses query parameters that a route does not have."""

import difflib
from collections.abc import Collection

from fastapi import Request

from dermis.gateway.core.field_codes import FieldCode
from dermis.gateway.problems import FieldProblem, FieldsError, pointer_to


async def check_query(request: Request) -> None:
    """Raise INVALID for parameters that the API's description lacks: a misspelt filter would list everything."""
    if not request.query_params:
        return
    operation = request.app.openapi()["paths"][request.scope["route"].path][request.method.lower()]
    names = [each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"]
    problems = [
        FieldProblem.at(
            pointer_to("/query", [name]), FieldCode.UNKNOWN_PARAMETER, f"{name[:80]!r}: {_remedy(name, names)}"
        )
        for name in dict.fromkeys(request.query_params)
        if name not in names
    ]
    if problems:
        raise FieldsError("PARAMETER", problems)


def _remedy(name: str, names: Collection[str]) -> str:
    if close := difflib.get_close_matches(name, names, n=1):
        return f"no such parameter; did you mean {close[0]}?"
    return "no such parameter; " + (f"use {', '.join(names)}" if names else "leave it out")
