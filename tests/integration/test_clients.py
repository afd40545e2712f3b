"""Every call of docs/reference/http.md, in the page's order, and the Python client, against a running system."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import httpx
import pytest

from dermis.client import ApiError, AsyncClient, Client, SelfReport
from dermis.standalone import demo
from tests.support.curls import blocks, route_of

pytestmark = pytest.mark.timeout(240)
IMAGE = demo.CASE / "close_up.jpg"
MADE = {
    ("post", "/v1/cases"): "CASE",
    ("post", "/v1/cases/{case_id}/shares"): "SHARE",
    ("post", "/v1/uploads"): "UPLOAD",
    ("post", "/v1/webhooks"): "WEBHOOK",
    ("post", "/v1/webhooks/{webhook_id}:test"): "DELIVERY",
    ("post", "/v1/batches"): "BATCH",
}


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A running system and what the page's variables stand for."""
    folder = tmp_path_factory.mktemp("curls")
    skin = folder / "source" / "skin"
    skin.mkdir(parents=True)
    for n in (1, 2):
        (skin / f"{n}.jpg").write_bytes(IMAGE.read_bytes())
    source = (folder / "source").as_uri()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DERMIS_")}
    environment = kept | {"DERMIS_GATEWAY_BATCH_SOURCES": source, "DERMIS_GATEWAY_LIST_PUBLIC": "true"}
    command = [sys.executable, "-m", "dermis.standalone", "up", "--state", str(folder / "state"), "--port", "0"]
    with (folder / "log").open("w+") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            url = wait_ready(process, folder / "log")
            yield kept | {
                "URL": url,
                "KEY": admin_key(folder / "state"),
                "IMAGE": str(IMAGE),
                "SOURCE": source,
                "FOLDER": str(folder),
            }
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def admin_key(state: Path) -> str:
    command = [
        sys.executable,
        "-m",
        "dermis.standalone",
        "keys",
        "create",
        "--name",
        "test",
        "--scope",
        "admin",
        "--state",
        str(state),
    ]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def wait_ready(process: "subprocess.Popen[bytes]", log: Path) -> str:
    for _ in range(600):
        if found := re.search(r"^ready in .* s: (http://\S+)", log.read_text(), re.MULTILINE):
            return found[1]
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def call(block: str, variables: dict[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        env=variables,
        cwd=variables["FOLDER"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_every_call_does_what_the_page_says(variables: dict[str, str]) -> None:
    answers: dict[tuple[str, str], str] = {}
    for block in blocks():
        route = route_of(block)
        if route == ("get", "/v1/batches/{batch_id}/results"):
            wait_finished(blocks(), variables)
        answers[route] = call(block, variables)
        if route in MADE:
            variables[MADE[route]] = json.loads(answers[route])["id"]

    case = json.loads(answers["get", "/v1/cases/{case_id}"])
    assert case["outcome"]["kind"] in ("DIFFERENTIAL", "ABSTENTION")
    assert {share["field"] for share in case["outcome"]["answer_shares"]} == {
        "related_category",
        "body_parts",
        "fitzpatrick_skin_type",
    }
    assert case["outcome"]["measured"]["n"] > 0
    assert case["guidance"]["clinical_review"] == "none"
    assert answers["get", "/v1/cases/{case_id}/events"].count("event: ") == 3
    drawn = cv2.imread(str(Path(variables["FOLDER"]) / "heatmap.png"), cv2.IMREAD_UNCHANGED)
    assert drawn.shape[2] == 4
    assert drawn[..., 3].max() > 0
    assert json.loads(answers["post", "/v1/cases/{case_id}/feedback"])["consent"] == "KEEP_FOR_IMPROVEMENT"
    assert json.loads(answers["post", "/v1/images:assess"])["verdict"] == "USABLE"
    batch = json.loads(answers["get", "/v1/batches/{batch_id}"])
    assert batch["rows"] == 1
    header, row = answers["get", "/v1/batches/{batch_id}/results"].splitlines()
    assert header.startswith("row,name,")
    assert row.startswith("0,first,,")
    assert json.loads(answers["get", "/v1/models"])["models"][0]["current"]
    assert json.loads(answers["get", "/v1/models/{version}/evaluation"])["report"]["slices"]["monk_skin_tone"]
    assert "dermis_gateway_requests" in answers["get", "/metrics"]


def test_the_python_client_does_all_of_it(variables: dict[str, str]) -> None:
    with Client(variables["URL"], key=variables["KEY"]) as client:
        report: SelfReport = {"related_category": "RASH"}
        with IMAGE.open("rb") as file:
            case = client.assess([IMAGE, IMAGE.read_bytes(), file], report=report, consent="KEEP_FOR_IMPROVEMENT")
        assert case.outcome is not None
        assert case.guidance is not None
        assert [image.n for image in case.images] == [1, 2, 3]
        assert case.id in [each.id for each in client.cases()]
        at = next(each for each in client.cases() if each.id == case.id).received_at
        newest = client.cases(order="newest", status=["FINISHED"], received_from=at)
        assert case.id in [each.id for each in newest]
        assert case.id not in [each.id for each in client.cases(received_before=at)]
        assert case.client_secret  # which comes this once
        read = client.case(case.id)
        assert read == case.model_copy(update={"client_secret": None})
        assert [event.name for event in client.events(case.id)] == ["received", "assessed", "outcome"]
        raw = httpx.get(
            f"{variables['URL']}/v1/cases/{case.id}", headers={"Authorization": f"Bearer {variables['KEY']}"}
        ).json()
        assert read.model_dump(mode="json") == raw
        assert client.heatmap(case.id, 1, condition=case.outcome.heatmaps[0].condition).startswith(b"\x89PNG")
        assert client.give_feedback(case.id, helpful=False).consent == "KEEP_FOR_IMPROVEMENT"
        client.erase(case.id)
        with pytest.raises(ApiError, match="was erased"):
            client.case(case.id)
        assert client.check_image(IMAGE).verdict == "USABLE"
        assert [each.condition for each in client.conditions().conditions] == [
            each.id for each in client.models()[0].conditions
        ]
        assert client.evaluation(1).report.n > 0
        assert list(client.promotions()) == []
        batch = client.create_batch(variables["SOURCE"], rows=b"images\nskin/1.jpg\nskin/gone.jpg\n")
        assert client.wait_for_batch(batch.id, timeout=60).rows_done == 2
        one, two = client.batch_results(batch.id)
        assert (one.outcome is not None, two.fault is not None) == (True, True)
        assert batch.id in [each.id for each in client.batches()]
        client.erase_batch(batch.id)
        assert batch.id not in [each.id for each in client.batches()]


def test_the_asyncio_client_assesses_and_follows_at_once(variables: dict[str, str]) -> None:
    async def run() -> None:
        async with AsyncClient(variables["URL"]) as client:
            key = "sent-twice"
            first, again = await asyncio.gather(*(client.submit([IMAGE], idempotency_key=key) for _ in range(2)))
            assert first.id == again.id
            names = [event.name async for event in client.events(first.id)]
            assert (names[0], names[-1]) == ("received", "outcome")
            assert (await client.wait(first.id)).outcome is not None
            with pytest.raises(ApiError) as caught:
                await client.submit([IMAGE, b""], report={"textures": ["FLATT"]})  # type: ignore[arg-type, list-item]
            assert caught.value.pointers

    asyncio.run(run())


def wait_finished(page: list[str], variables: dict[str, str]) -> None:
    (block,) = (block for block in page if route_of(block) == ("get", "/v1/batches/{batch_id}"))
    for _ in range(300):
        if json.loads(call(block, variables))["status"] == "FINISHED":
            return
        time.sleep(0.2)
    raise AssertionError("the batch was not finished in a minute")


def test_a_revoked_key_stops_within_half_a_minute(variables: dict[str, str]) -> None:
    """By the clock, with the settings that ship."""
    state = Path(variables["FOLDER"]) / "state"
    token = admin_key(state)
    with Client(variables["URL"], key=token) as client:
        client.models()
        client.models()  # from what the gateway holds
        command = [
            sys.executable,
            "-m",
            "dermis.standalone",
            "keys",
            "revoke",
            token.partition(".")[0],
            "--state",
            str(state),
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        revoked = time.monotonic()
        while (refused := refusal_of(client)) is None and time.monotonic() - revoked < 30:
            time.sleep(0.5)
        assert refused is not None
        assert "revoked" in refused.detail


def refusal_of(client: Client) -> ApiError | None:
    try:
        client.models()
    except ApiError as error:
        return error
    return None
