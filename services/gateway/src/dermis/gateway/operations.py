"""What the OpenAPI file says of each operation beside its route: a description, and examples that a system answered."""

from functools import cache
from importlib.resources import files
from typing import Any

from pydantic import BaseModel, ConfigDict

Examples = dict[str, Any]
"""Media type -> one example."""


class Operation(BaseModel):
    """`request`: of its body; `answers`: by status."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str
    request: Examples = {}
    answers: dict[str, Examples] = {}


class Operations(BaseModel):
    """`operations.json`: `tags` with what each is for, and every operation by method and path."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tags: dict[str, str]
    operations: dict[str, Operation]


@cache
def read_operations() -> Operations:
    """Return the file that ships."""
    return Operations.model_validate_json(files("dermis.gateway").joinpath("operations.json").read_bytes())


def add_operations(schema: dict[str, Any]) -> None:
    """Put descriptions, examples and tags into an OpenAPI description; KeyError for an operation that has none."""
    texts = read_operations()
    schema["tags"] = [{"name": name, "description": text} for name, text in texts.tags.items()]
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            text = texts.operations[f"{method.upper()} {path}"]
            operation["description"] = text.description
            _put(operation.get("requestBody", {}), text.request)
            for status, examples in text.answers.items():
                _put(operation["responses"][status], examples)


def _put(body: dict[str, Any], examples: Examples) -> None:
    for media_type, example in examples.items():
        body["content"][media_type]["example"] = example
