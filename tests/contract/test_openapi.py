"""The outward surface over HTTP is what the golden file says."""

import json
import subprocess
import sys
from pathlib import Path

from openapi_spec_validator import validate

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
