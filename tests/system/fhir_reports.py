"""Reports of closed cases against FHIR libraries and a FHIR server of other hands.

`python -m tests.system.fhir_reports --outcomes 1000`; `npm install` in tests/system/fhir has to come first.

Each report is parsed strictly by fhirclient (PyPI, of the SMART project), validated by HL7's definitions as
@medplum/core and fhir (npm) read them, sent to Medplum's FHIR router both as a document and as a transaction of its
resources, and read back.
"""

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from fhirclient.models.bundle import Bundle
from fhirclient.models.fhirabstractbase import FHIRValidationError

from dermis.gateway.core.fhir.document import document_of
from tests.support.closed_cases import random_facts

FOLDER = Path(__file__).parent / "fhir"
HEADERS = {"Content-Type": "application/fhir+json"}
Json = dict[str, Any]


@contextmanager
def fhir_server() -> Iterator[httpx.Client]:
    """Give a client of the server, which runs as long as the context lasts."""
    process = subprocess.Popen(["node", "server.mjs"], cwd=FOLDER, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=HEADERS, timeout=60) as client:
            yield client
    finally:
        process.terminate()
        process.wait()


def faults_of(client: httpx.Client, report: Json) -> list[str]:
    """Return what is wrong with a report, and with what the server made of it."""
    faults: list[str] = client.post("/validate", json=report).raise_for_status().json()
    try:
        if Bundle(report, strict=True).as_json() != report:
            faults.append("fhirclient reads something else than was sent")
    except (FHIRValidationError, ValueError) as error:
        faults.append(f"fhirclient: {error}")
    return [*faults, *_document_faults(client, report), *_transaction_faults(client, report)]


def _document_faults(client: httpx.Client, report: Json) -> Iterator[str]:
    created = client.post("/Bundle", json=report)
    if created.status_code != 201:
        yield f"POST /Bundle: {created.status_code} {created.text[:300]}"
        return
    read = client.get(f"/Bundle/{created.json()['id']}").json()
    if _content(read) != _content(report):
        yield "GET /Bundle/<id>: another document than was sent"


def _transaction_faults(client: httpx.Client, report: Json) -> Iterator[str]:
    entries = [
        {**entry, "request": {"method": "POST", "url": entry["resource"]["resourceType"]}} for entry in report["entry"]
    ]
    answer = client.post("/", json={"resourceType": "Bundle", "type": "transaction", "entry": entries})
    answers = [entry["response"] for entry in answer.json().get("entry", ())]
    if answer.status_code != 200 or Counter(each["status"] for each in answers) != {"201": len(entries)}:
        yield f"POST / (transaction): {answer.status_code} {answer.text[:300]}"
        return
    addresses = {entry["fullUrl"]: each["location"] for entry, each in zip(entries, answers, strict=True)}
    for entry in entries:
        sent = _pointed(_content(entry["resource"]), addresses)
        read = client.get(f"/{addresses[entry['fullUrl']]}").json()
        if _content(read) != sent:
            yield f"GET /{addresses[entry['fullUrl']]}: another resource than was sent"


def _content(resource: Json) -> Json:
    """Return a resource without what a server gives it: its id, its version and the time of it."""
    meta = {k: v for k, v in resource.get("meta", {}).items() if k not in ("versionId", "lastUpdated", "author")}
    return {**{k: v for k, v in resource.items() if k not in ("id", "meta")}, **({"meta": meta} if meta else {})}


def _pointed(value: Any, addresses: dict[str, str]) -> Any:
    """Return what a server makes of a resource's references in a transaction."""
    if isinstance(value, dict):
        return {
            name: addresses.get(each, each) if name == "reference" else _pointed(each, addresses)
            for name, each in value.items()
        }
    return [_pointed(each, addresses) for each in value] if isinstance(value, list) else value


def _broken(report: Json) -> Iterator[tuple[str, Json]]:
    """Yield copies of a report with one fault each, which must not pass."""
    for name, place, change in (
        ("a code that a required binding lacks", "DiagnosticReport", {"status": "nonsense"}),
        ("an element that R4 lacks", "DiagnosticReport", {"colour": "red"}),
        ("a time that is none", "Observation", {"issued": "yesterday"}),
        ("a reference into the void", "Observation", {"device": {"reference": "urn:uuid:0"}}),
        ("a reference to what may not stand there", "Observation", {"device": "subject"}),
        ("an invariant broken", "Consent", {"policyRule": None}),
    ):
        copy = json.loads(json.dumps(report))
        resource = next(e["resource"] for e in copy["entry"] if e["resource"]["resourceType"] == place)
        if change == {"device": "subject"}:
            change = {"device": copy["entry"][0]["resource"]["author"][0] | {"reference": copy["entry"][1]["fullUrl"]}}
        resource.update(change)
        yield name, {**copy, "entry": [e | {"resource": _filled(e["resource"])} for e in copy["entry"]]}


def _filled(resource: Json) -> Json:
    return {name: value for name, value in resource.items() if value is not None}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--outcomes", type=int, default=1000)
    count = parser.parse_args().outcomes
    started, failed, statuses, largest = time.monotonic(), 0, Counter[str](), 0
    with fhir_server() as client:
        for name, report in _broken(json.loads(document_of(random_facts(0)).model_dump_json(by_alias=True))):
            if not client.post("/validate", json=report).json():
                print(f"the validators pass {name}")
                return 1
        for seed in range(count):
            facts = random_facts(seed)
            data = document_of(facts).model_dump_json(by_alias=True)
            largest = max(largest, len(data))
            statuses[f"{facts.outcome.kind if facts.outcome else 'FAILED'} {facts.status}"] += 1
            if faults := faults_of(client, json.loads(data)):
                failed += 1
                print(f"outcome {seed}: {'; '.join(faults[:5])}")
    for name, number in sorted(statuses.items()):
        print(f"{number:5} {name}")
    print(f"largest report: {largest / 1024:.0f} KB; {time.monotonic() - started:.0f} s")
    print(f"{count - failed} of {count} reports without an error")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
