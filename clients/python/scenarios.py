"""Runs scenarios by this client: a JSON line each on standard input, one with what came of it on standard output.

python scenarios.py URL
"""

import io
import json
import math
import sys
import uuid
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from dermis.client import ApiError, Case, Client, ImageUpload


class Call:
    """The calls that a scenario may name."""

    def __init__(self, url: str, client: Client, scenario: dict[str, Any], stack: ExitStack) -> None:
        self.url = url
        self.client = client
        self.scenario = scenario
        self.stack = stack
        self.report = scenario.get("report")
        self.timeout = scenario.get("timeout")
        data = Path(scenario["file"]).read_bytes() if "file" in scenario else b""
        self.piece_bytes = math.ceil(len(data) / scenario.get("pieces", 1)) or 1
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

    def other(self, key: str) -> Client:
        """Return a client with another key: one by its name in the scenario, or a secret."""
        key = self.scenario["keys"].get(key, key)
        return self.stack.enter_context(Client(self.url, key=key))

    def send(self, client: Client | None = None, **options: Any) -> ImageUpload:
        timeout = {"timeout": self.timeout} if self.timeout else {}
        return (client or self.client).upload(self.image, piece_bytes=self.piece_bytes, **timeout, **options)

    def upload(self) -> dict[str, Any]:
        progress = PieceCounter(self.piece_bytes)
        upload = self.send(on_progress=progress)
        return uploaded(upload) | {"progress": progress.pieces}

    def resumed(self) -> dict[str, Any]:
        progress, ended = PieceCounter(self.piece_bytes, stop_at=2), False
        try:
            self.send(on_progress=progress)
        except InterruptedError:
            ended = True
        rest = PieceCounter(self.piece_bytes)
        upload = self.send(resume=progress.id, on_progress=rest)
        return uploaded(upload) | {"ended": ended, "progress": rest.pieces}

    def begun(self) -> str:
        """Begin an upload, end the call and return its id."""
        progress = PieceCounter(self.piece_bytes, stop_at=1)
        with suppress(InterruptedError):
            self.send(on_progress=progress)
        return progress.id

    def upload_deleted(self) -> dict[str, Any]:
        upload_id = self.begun()
        self.client.delete_upload(upload_id)
        return uploaded(self.send(resume=upload_id))

    def upload_of_another(self) -> dict[str, Any]:
        return uploaded(self.send(self.other("other"), resume=self.begun()))

    def case_of_anothers_upload(self) -> dict[str, Any]:
        return ended(self.other("other").submit(uploads=[self.send().id]))

    def expired(self) -> dict[str, Any]:
        return uploaded(self.send(resume=self.scenario["expired"]))

    def case_of_expired(self) -> dict[str, Any]:
        return ended(self.client.submit(uploads=[self.scenario["expired"]]))

    def case_of_upload(self) -> dict[str, Any]:
        return ended(self.client.assess(uploads=[self.send().id]))

    def upload_taken_twice(self) -> dict[str, Any]:
        upload_id = self.send().id
        self.client.submit(uploads=[upload_id])
        return ended(self.client.submit(uploads=[upload_id]))

    def publish(self) -> Case:
        """Upload and submit as an app does, whose key only creates."""
        app = self.other("publishable")
        return app.submit(uploads=[self.send(app).id], client_reference="draft-7")

    def publishable(self) -> dict[str, Any]:
        case = self.publish()
        done = self.other(case.client_secret or "").wait(case.id)
        (by_server,) = (
            each for each in self.client.cases(client_reference="draft-7", order="newest") if each.id == case.id
        )
        return ended(done) | {"reference": "draft-7" if by_server.id == done.id else None}

    def publishable_reads(self) -> dict[str, Any]:
        return ended(self.other("publishable").case(self.publish().id))

    def secret_of_another(self) -> dict[str, Any]:
        secret = self.publish().client_secret or ""
        return ended(self.other(secret).case(self.client.submit([self.image]).id))


class PieceCounter:
    """Notes how far an upload is, in pieces; ends it at piece `stop_at`."""

    def __init__(self, piece_bytes: int, *, stop_at: int | None = None) -> None:
        self.pieces: list[float] = []
        self.id = ""
        self._piece_bytes = piece_bytes
        self._stop_at = stop_at

    def __call__(self, upload: ImageUpload) -> None:
        self.id = upload.id
        offset, length = upload.offset or 0, upload.length or 0
        self.pieces.append(math.ceil(offset / self._piece_bytes) if offset == length else offset / self._piece_bytes)
        if self._stop_at is not None and self.pieces[-1] >= self._stop_at:
            raise InterruptedError


def uploaded(upload: ImageUpload) -> dict[str, Any]:
    return {"status": upload.status, "verdict": upload.quality and upload.quality.verdict}


def ended(case: Case) -> dict[str, Any]:
    outcome = case.outcome
    return {
        "status": case.status,
        "livemode": case.livemode,
        "kind": outcome and outcome.kind,
        "reason": outcome and outcome.reason,
    }


def run(url: str, scenario: dict[str, Any]) -> dict[str, Any]:
    """Return what came of a scenario: fields of a case, or the error."""
    timeout = {"timeout": scenario["timeout"]} if "timeout" in scenario else {}
    try:
        with ExitStack() as stack:
            client = stack.enter_context(Client(url, key=scenario["keys"]["key"], **timeout))
            answer: dict[str, Any] = getattr(Call(url, client, scenario, stack), scenario["call"])()
    except ApiError as error:
        return {
            "error": error.reason,
            "http_status": error.status,
            "codes": [fault.code for fault in error.pointers],
            "pointers": [fault.pointer for fault in error.pointers],
        }
    return answer


def main() -> None:
    (url,) = sys.argv[1:]
    for line in sys.stdin:
        print(json.dumps(run(url, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
