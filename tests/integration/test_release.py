"""Versions on trial on a running `dermis up`: a canary, a shadow, both judged, and a broken canary that ends itself."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from dermis.shared.bundles import publish, read_current
from dermis.shared.case import Outcome
from dermis.shared.manifest import MANIFEST_FILE
from dermis.shared.promotions import PromotionAction, promotions
from dermis.shared.releases import shadow_key
from dermis.standalone import demo
from dermis.worker.core.release import arm_of
from tests.integration.test_up import QUICK_SWEEP, Up, dermis, running, until

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for left processes in /proc"),
    pytest.mark.timeout(400),
]
IMAGE = min(demo.CASE.glob("*.jpg"))
UNJUDGED = ("--waive", "evaluation", "--reason", "a trial of the demo's own bundle")


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("release")
    with running(folder / "state", **QUICK_SWEEP, DERMIS_SWEEP_CANARY_INTERVAL_SECONDS="1") as started:
        for version, changes in ((2, {}), (3, {"cam_size": [1, 1]})):
            again = folder / str(version)
            shutil.copytree(demo.BUNDLE, again)
            document = json.loads((again / MANIFEST_FILE).read_text())
            (again / MANIFEST_FILE).write_text(json.dumps(document | {"version": version} | changes))
            publish(started.store, again)
        yield started


def promote(up: Up, *words: str) -> str:
    done = dermis("promote", *words, "--store", f"file://{up.state / 'store'}", state=up.state)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def judged(up: Up) -> list[dict[str, Any]]:
    done = dermis("models", "--store", f"file://{up.state / 'store'}", "judge", "--json", state=up.state)
    trials: list[dict[str, Any]] = json.loads(done.stdout)
    return trials


def assess(up: Up) -> dict[str, Any]:
    """Return a finished case that may be kept for improvement."""
    form = {"self_report": '{"fitzpatrick_skin_type": "FST5"}', "consent": "KEEP_FOR_IMPROVEMENT"}
    files = [("images", (IMAGE.name, IMAGE.read_bytes(), "image/jpeg"))]
    answer = httpx.post(f"{up.url}/v1/cases", files=files, data=form, headers={"Prefer": "wait=30"}, timeout=60)
    assert answer.status_code == 200, answer.text
    case: dict[str, Any] = answer.json()
    return case


def confirm(up: Up, case: dict[str, Any]) -> None:
    body = {"condition": case["outcome"]["differential"][0]["condition"], "confirmed_by": "DERMATOLOGIST"}
    answer = httpx.post(f"{up.url}/v1/cases/{case['id']}/feedback", json=body, timeout=30)
    assert answer.is_success, answer.text


def roles(up: Up) -> dict[int, tuple[str | None, int | None]]:
    models = httpx.get(f"{up.url}/v1/models", timeout=30).json()["models"]
    return {model["version"]: (model["role"], model["percent"]) for model in models}


def test_a_canary_answers_its_share_of_the_cases_and_is_judged(up: Up) -> None:
    print(promote(up, "2", "--canary", "50", *UNJUDGED))
    assert roles(up) == {1: ("current", None), 2: ("canary", 50), 3: (None, None)}
    until(lambda: any(assess(up)["outcome"]["model"]["version"] == 2 for _ in range(5)), 60)
    cases = [assess(up) for _ in range(20)]
    for case in cases:
        version = 2 if arm_of(case["id"], 50) == "CANARY" else 1
        assert case["outcome"]["model"]["version"] == version
        confirm(up, case)
    assert {case["outcome"]["model"]["version"] for case in cases} == {1, 2}
    (trial,) = judged(up)
    assert (trial["role"], trial["verdict"]) == ("canary", "NOT_ENOUGH_CASES")
    assert int(trial["groups"][0]["cases"]) == 20
    print(promote(up, "--end-canary"))
    assert read_current(up.store).canary is None


def test_a_shadow_answers_beside_and_no_route_shows_it(up: Up) -> None:
    print(promote(up, "2", "--shadow"))
    assert roles(up)[2] == ("shadow", None)
    cases: list[dict[str, Any]] = []

    def shadowed() -> list[dict[str, Any]]:
        """Send one case more; return those that have a shadow's answer, which comes after the outcome."""
        cases.append(assess(up))
        assert cases[-1]["outcome"]["model"]["version"] == 1
        keys = set(up.store.list("cases/public/"))
        return [case for case in cases if shadow_key("public", case["id"], "dermis", 2) in keys]

    until(shadowed, 60)
    case = shadowed()[0]
    key = shadow_key("public", case["id"], "dermis", 2)
    outcome = Outcome.model_validate_json(up.store.get(key))
    assert outcome.model is not None
    assert (outcome.model.version, outcome.case_id) == (2, case["id"])
    confirm(up, case)
    (trial,) = judged(up)
    assert (trial["role"], trial["verdict"], trial["groups"][0]["cases"]) == ("shadow", "NOT_ENOUGH_CASES", "1")
    for path in ("", "/events", "?limit=100"):
        address = f"{up.url}/v1/cases" + (path if path.startswith("?") else f"/{case['id']}{path}")
        text = httpx.get(address, timeout=30).text
        assert case["id"] in text or path  # without a key nobody lists cases
        assert '"version":2' not in text.replace(" ", "")
        assert "shadow/" not in text
    out = up.state.parent / "case.zip"
    store = f"file://{up.state / 'store'}"
    assert dermis("export", "--case", case["id"], "--store", store, "--out", str(out), state=up.state).returncode == 0
    assert b"shadow" not in out.read_bytes()
    assert httpx.delete(f"{up.url}/v1/cases/{case['id']}", timeout=30).is_success
    until(lambda: [each for each in up.store.list(f"cases/public/{case['id']}/") if "shadow" in each] == [], 30)
    print(promote(up, "--end-shadow"))


def test_a_canary_that_can_not_answer_costs_no_case_and_ends_itself(up: Up) -> None:
    print(promote(up, "3", "--canary", "50", *UNJUDGED))

    def ended() -> bool:
        assert {assess(up)["outcome"]["model"]["version"] for _ in range(5)} == {1}
        return read_current(up.store).canary is None

    until(ended, 200)
    last = list(promotions(up.store))[-1]
    assert (last.action, last.by, last.ref.version) == (PromotionAction.CANARY_ENDED, "sweep", 3)
    print(last.reasons)
    assert last.reasons[0].startswith("FAILED")
