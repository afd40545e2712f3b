"""The outward surface over HTTP is what the golden file says."""

import json
import subprocess
import sys
from pathlib import Path

from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from dermis.gateway.operations import read_operations

ROOT = Path(__file__).parent.parent.parent
GOLDEN = Path(__file__).parent / "openapi.json"


def test_the_golden_file_is_fresh() -> None:
    script = ROOT / "scripts" / "generate_openapi.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_it_is_valid_and_every_error_is_a_problem() -> None:
    described = json.loads(GOLDEN.read_text(encoding="utf-8"))
    validate(described)
    problem = {"$ref": "#/components/schemas/Problem"}
    for path, methods in described["paths"].items():
        for operation in methods.values():
            for status, response in operation["responses"].items():
                if status == "default" or status >= "400":
                    assert response["content"] == {"application/problem+json": {"schema": problem}}, (path, status)
    assert "HTTPValidationError" not in described["components"]["schemas"]


def test_each_operation_says_more_than_its_summary_and_has_examples_that_fit() -> None:
    described = json.loads(GOLDEN.read_text(encoding="utf-8"))
    lacking, tried = [], 0
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            assert len(operation["description"]) > len(operation["summary"]), (method, path)
            answers = {status: each for status, each in operation["responses"].items() if status.startswith("2")}
            for where, body in {"request": operation.get("requestBody", {}), **answers}.items():
                for media_type, content in body.get("content", {}).items():
                    if "example" in content:
                        schema = {**content["schema"], "components": described["components"]}
                        Draft202012Validator(schema).validate(content["example"])
                        tried += 1
                    elif media_type.endswith("json"):
                        lacking.append((method, path, where))
    assert lacking == []
    assert tried >= 35


def test_the_file_of_examples_names_operations_that_are_there() -> None:
    described = json.loads(GOLDEN.read_text(encoding="utf-8"))
    there = {f"{method.upper()} {path}" for path, methods in described["paths"].items() for method in methods}
    assert set(read_operations().operations) == there
    tags = {
        tag for methods in described["paths"].values() for operation in methods.values() for tag in operation["tags"]
    }
    assert set(read_operations().tags) == tags
