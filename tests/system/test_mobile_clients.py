"""What the generators of other languages read is what the OpenAPI file says."""

import json
from pathlib import Path

from tests.system.mobile_clients import SPEC, functions, operations, plain


def test_a_schema_is_put_so_that_generators_make_code_that_compiles() -> None:
    numbers = {"type": "array", "prefixItems": [{"type": "number"}, {"type": "number", "title": "upper"}]}
    mixed = {"type": "array", "prefixItems": [{"type": "number"}, {"type": "string"}]}
    schema = {"type": "object", "additionalProperties": True, "properties": {"a": numbers, "b": mixed}}
    double = {"type": "number", "format": "double"}
    assert plain(schema) == {
        "type": "object",
        "properties": {
            "a": {"type": "array", "items": double},
            "b": {"type": "array", "prefixItems": [double, {"type": "string"}]},
        },
    }


def test_a_map_stays_one_and_a_form_gives_way_to_json() -> None:
    table = {"type": "object", "additionalProperties": {"type": "integer"}}
    assert plain(table) == table
    assert plain({"content": {"application/json": {}, "multipart/form-data": {}}}) == {
        "content": {"application/json": {}}
    }
    assert plain({"content": {"multipart/form-data": {}}}) == {"content": {"multipart/form-data": {}}}


def test_an_operation_that_was_not_generated_is_missed(tmp_path: Path) -> None:
    (tmp_path / "A.swift").write_text("open class func getCase(caseId: String)\n    fun listCases() : Unit {\n")
    assert functions(tmp_path, "*.swift") == {"getCase", "listCases"}
    due = operations(json.loads(SPEC.read_text(encoding="utf-8")))
    assert {"getCase", "resumeUpload"} <= due
    assert "resumeUpload" in due - functions(tmp_path, "*.swift")
