"""Runs scenarios by this client: a JSON line each on standard input, one with what came of it on standard output.

python scenarios.py URL KEY
"""

import io
import json
import sys
import uuid
from pathlib import Path
from typing import Any

from dermis.client import ApiError, Case, Client


class Call:
    """The calls that a scenario may name."""

    def __init__(self, client: Client, scenario: dict[str, Any]) -> None:
        self.client = client
        self.report = scenario.get("report")
        self.timeout = scenario.get("timeout")
        data = Path(scenario["file"]).read_bytes() if "file" in scenario else b""
        self.image: Any = io.BytesIO(data) if scenario.get("image") == "stream" else data

    def assess(self) -> dict[str, Any]:
        return ended(self.client.assess([self.image], report=self.report, timeout=self.timeout or 120))

    def models(self) -> dict[str, Any]:
        self.client.models()
        return {"status": "OK"}

    def nowhere(self) -> dict[str, Any]:
        with Client("http://127.0.0.1:2") as client:
            client.models()
        return {}

    def feedback(self) -> dict[str, Any]:
        self.client.give_feedback("case_1", helpful=True)
        return {}

    def events(self) -> dict[str, Any]:
        case = self.client.submit([self.image])
        return {"events": [event.name for event in self.client.events(case.id)]}

    def twice(self) -> dict[str, Any]:
        key = str(uuid.uuid4())
        first, second = (self.client.submit([self.image], idempotency_key=key) for _ in range(2))
        return {"status": "SAME" if first.id == second.id else "OTHER"}

    def reused(self) -> dict[str, Any]:
        key = str(uuid.uuid4())
        self.client.submit([self.image], idempotency_key=key)
        return ended(self.client.submit([self.image], idempotency_key=key, report={"textures": ["FLAT"]}))

    def erased(self) -> dict[str, Any]:
        case = self.client.submit([self.image])
        self.client.erase(case.id)
        return ended(self.client.case(case.id))


def ended(case: Case) -> dict[str, Any]:
    outcome = case.outcome
    return {
        "status": case.status,
        "livemode": case.livemode,
        "kind": outcome and outcome.kind,
        "reason": outcome and outcome.reason,
    }


def run(url: str, key: str, scenario: dict[str, Any]) -> dict[str, Any]:
    """Return what came of a scenario: fields of a case, or the error."""
    timeout = {"timeout": scenario["timeout"]} if "timeout" in scenario else {}
    try:
        with Client(url, key=key, **timeout) as client:
            answer: dict[str, Any] = getattr(Call(client, scenario), scenario["call"])()
    except ApiError as error:
        return {
            "error": error.reason,
            "http_status": error.status,
            "codes": [fault.code for fault in error.pointers],
            "pointers": [fault.pointer for fault in error.pointers],
        }
    return answer


def main() -> None:
    url, key = sys.argv[1:]
    for line in sys.stdin:
        print(json.dumps(run(url, key, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
