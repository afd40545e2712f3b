"""The Python client says what the OpenAPI file says: same answers, same words, same version."""

import inspect
import json
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_type_hints

import pytest

from dermis.client import answers, evaluation, links, models, self_report, uploads, webhooks
from dermis.client import batches as batch_answers
from dermis.shared import batches

ROOT = Path(__file__).parents[2]
SCHEMAS: dict[str, Any] = json.loads((ROOT / "tests/contract/openapi.json").read_text())["components"]["schemas"]
IN_LINES = ("AssessedImage", "BatchResult", "RowFault")
"""What comes in lines of ndjson and so has no schema in the OpenAPI file."""
MODELS = {
    name: model
    for module in (answers, links, batch_answers, evaluation, models, uploads, webhooks)
    for name, model in inspect.getmembers(module, inspect.isclass)
    if issubclass(model, answers.ResponseModel)
}
del MODELS["ResponseModel"]


def loose(schema: Any, definitions: dict[str, Any]) -> Any:
    """Return a schema without descriptions, titles, formats and bounds; a code that is one of several is a string."""
    if "$ref" in schema:
        target = definitions[schema["$ref"].rpartition("/")[2]]
        return "string" if "enum" in target else schema["$ref"].rpartition("/")[2]
    if "anyOf" in schema:
        return sorted((loose(each, definitions) for each in schema["anyOf"]), key=str)
    if "prefixItems" in schema:
        return ["tuple", *(loose(each, definitions) for each in schema["prefixItems"])]
    if schema.get("type") == "array":
        return ["array", loose(schema["items"], definitions)]
    if "additionalProperties" in schema and "properties" not in schema:
        inner = schema["additionalProperties"]
        return ["map", "any" if inner is True else loose(inner, definitions)]
    return schema["title"] if "properties" in schema else schema["type"]


def fields(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    needed = schema.get("required", ())
    return {name: (loose(field, definitions), name in needed) for name, field in schema.get("properties", {}).items()}


@pytest.mark.parametrize("name", sorted(MODELS.keys() - set(IN_LINES)))
def test_an_answer_has_the_fields_of_the_api(name: str) -> None:
    schema = MODELS[name].model_json_schema()
    assert fields(schema, schema.get("$defs", {})) == fields(SCHEMAS[name], SCHEMAS)


@pytest.mark.parametrize("name", IN_LINES)
def test_a_line_of_a_batch_has_the_fields_of_the_api(name: str) -> None:
    theirs = (
        set(batches.BatchResult.model_fields) if name == "BatchResult" else set(getattr(batches, name).model_fields)
    )
    assert set(MODELS[name].model_fields) == theirs


def test_every_answer_of_the_api_has_its_model() -> None:
    others = {
        "BatchSource",
        "Feedback",
        "LinkRequest",
        "SelfReport",
        "WebhookRequest",
        "Problem",
        "FieldProblem",
        "Live",
        "Ready",
    }  # sent, errors, or for probes
    objects = {name for name, schema in SCHEMAS.items() if schema["type"] == "object"}
    assert sorted(objects - others - MODELS.keys()) == []


def test_the_self_report_has_the_words_of_the_api() -> None:
    hints = get_type_hints(self_report.SelfReport)
    assert set(hints) == set(SCHEMAS["SelfReport"]["properties"])
    for name, schema in SCHEMAS["SelfReport"]["properties"].items():
        if schema["anyOf"][0].get("type") == "boolean":
            assert bool in get_args(hints[name])
            continue
        code = schema["anyOf"][0].get("items", schema["anyOf"][0])["$ref"].rpartition("/")[2]
        assert get_args(getattr(self_report, code)) == tuple(SCHEMAS[code]["enum"]), name
        assert getattr(self_report, code) in (
            inner for arm in get_args(hints[name]) for inner in (arm, *get_args(arm))
        ), name


SENT = [(self_report, code) for code in ("ShotType", "ConfirmedBy", "Consent")]
SENT += [(webhooks, code) for code in ("EventType", "DeliveryState")]


@pytest.mark.parametrize(("module", "code"), SENT, ids=[code for _, code in SENT])
def test_a_code_that_is_sent_is_one_of_the_api(module: ModuleType, code: str) -> None:
    assert get_args(getattr(module, code)) == tuple(SCHEMAS[code]["enum"])


def test_the_client_has_the_version_of_the_system() -> None:
    mine, system = (
        tomllib.loads((ROOT / path).read_text())["project"]
        for path in ("clients/python/pyproject.toml", "pyproject.toml")
    )
    assert mine["version"] == system["version"]
    assert [name.partition(">")[0] for name in mine["dependencies"]] == ["httpx", "pydantic"]
    assert "dermis-client" in system["dependencies"]
