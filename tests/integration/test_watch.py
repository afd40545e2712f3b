"""All parts watched at once.

One trace, every metric that somebody asks for, nothing personal in logs, spans and audit.
"""

import io
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import piexif
import pytest
import yaml
from PIL import Image

from dermis.shared.audit import records_of
from dermis.shared.case import case_key, fact_key, open_key
from dermis.shared.ids import without_case_ids
from dermis.standalone import demo
from dermis.standalone.core.waterfall import span_of, trace_of
from tests.integration.test_up import Up, dermis, running, until
from tests.support.servers import free_port

ROOT = Path(__file__).parents[2]
WATCH = ROOT / "observability"
CHART_FILES = ROOT / "helm" / "dermis" / "files"
TESTS = ("alerts_test.yaml", "slo_test.yaml", "drift_test.yaml")
WITH_A_TRIAL = {"dermis_worker_shadow_compared_total"}
"""Counted only while a version is on trial; tests/unit/worker/test_release.py has its labels."""
WITH_TLS = {"dermis_gateway_certificate_end_timestamp_seconds"}
"""Of a gateway with a certificate: tests/unit/gateway/test_metrics.py shows it."""
PARTS = ("gateway", "worker", "metadata", "serving", "sweep")
pytestmark = pytest.mark.timeout(900)
CANARY = "kanarie7vogel"
"""Put wherever a person could write something; it must come out nowhere."""
ANSWERS = {
    "age_group": "AGE_50_TO_59",
    "textures": ["FLUID_FILLED"],
    "other_symptoms": ["MOUTH_SORES"],
    "body_parts": ["FOOT_SOLE"],
}


@dataclass
class Watched:
    up: Up
    key: str
    owner: str
    case_id: str
    traces: Path
    metrics: dict[str, str]
    redis: list[bytes] = field(default_factory=list)

    @property
    def logs(self) -> list[str]:
        return self.up.lines


def photo() -> bytes:
    """Return an image of the demo with a canary in each kind of metadata."""
    exif = {"0th": {piexif.ImageIFD.Artist: CANARY}, "Exif": {piexif.ExifIFD.UserComment: CANARY.encode()}, "GPS": {}}
    out = io.BytesIO()
    Image.open(min(demo.CASE.glob("*.jpg"))).save(
        out, "JPEG", exif=piexif.dump(exif), comment=CANARY.encode(), quality=95
    )
    return out.getvalue()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watch")
    ports = {part: free_port() for part in PARTS}
    settings = {f"DERMIS_{part.upper()}_METRICS_LISTEN": f"127.0.0.1:{port}" for part, port in ports.items()}
    settings |= {
        "DERMIS_TRACES_URL": (folder / "traces").as_uri(),
        "DERMIS_LOG_FORMAT": "json",
        "DERMIS_LOG_LEVEL": "DEBUG",
        "DERMIS_GATEWAY_KEYLESS": "false",
        "DERMIS_GATEWAY_KEY_CACHE_SECONDS": "2",
        "DERMIS_SWEEP_INTERVAL_SECONDS": "1",
    }
    state = folder / "state"
    token = dermis("keys", "create", "--name", "test", state=state).stdout.strip()
    with (
        running(state, **settings) as up,
        httpx.Client(base_url=up.url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as http,
    ):
        case_id = submit(http)
        trouble(http, case_id)
        time.sleep(1.2)
        metrics = {part: httpx.get(f"http://127.0.0.1:{port}/metrics").text for part, port in ports.items()}
        assert http.get("/metrics").status_code == 404, "shown on a port of its own"
        yield Watched(
            up=up, key=token, owner=token.partition(".")[0], case_id=case_id, traces=folder / "traces", metrics=metrics
        )


def submit(http: httpx.Client) -> str:
    """Put a whole case through, with a canary in the file name, the metadata and the Idempotency-Key."""
    response = http.post(
        "/v1/cases",
        files=[("images", (f"{CANARY}.jpg", photo(), "image/jpeg"))],
        data={"self_report": json.dumps(ANSWERS)},
        headers={"Prefer": "wait=30", "Idempotency-Key": CANARY},
    )
    assert (response.status_code, response.json()["status"]) == (200, "FINISHED"), response.text
    return str(response.json()["id"])


def trouble(http: httpx.Client, case_id: str) -> None:
    """Do whatever goes wrong, with a canary in each place."""
    image = ("images", (f"{CANARY}.jpg", photo(), "image/jpeg"))
    refused = [
        http.post("/v1/cases", files=[image], data={"self_report": json.dumps({"age_group": CANARY})}),
        http.post("/v1/cases", files=[image], data={"self_report": f"{{{CANARY}"}),
        http.post("/v1/cases", files=[image], data={CANARY: CANARY}),
        http.post("/v1/cases", files=[image], data={"shot_types": CANARY}),
        http.post("/v1/cases", files=[("images", (CANARY, CANARY.encode(), CANARY))]),
        http.get(
            f"/v1/cases/{CANARY}",
            params={CANARY: CANARY},
            headers={"User-Agent": CANARY, "Cookie": CANARY, "Referer": CANARY},
        ),
        http.get(f"/{CANARY}"),
        http.request("DELETE", f"/v1/cases/{CANARY}"),
        http.get("/v1/cases", params={"cursor": CANARY}),
        http.get(f"/v1/cases/{case_id}", headers={"Authorization": f"Bearer {CANARY}"}),
        http.get(
            f"/v1/cases/{case_id}",
            headers={"traceparent": CANARY, "tracestate": f"a={CANARY}", "Authorization": "Basic x"},
        ),
        http.post(f"/v1/cases/{case_id}/feedback", json={"condition": CANARY, "confirmed_by": "SELF"}),
    ]
    assert all(400 <= response.status_code < 500 for response in refused), [
        response.status_code for response in refused
    ]
    assert http.post("/v1/images:assess", files={"image": (CANARY, photo(), "image/jpeg")}).status_code == 200
    broken = photo()[:600] + b"\xff\xd9"  # not decodable: rejected by the worker, if the gateway takes it at all
    http.post("/v1/cases", files=[("images", broken)], headers={"Prefer": "wait=20"})
    dark = io.BytesIO()
    Image.new("RGB", (300, 200)).save(dark, "PNG")
    rejected = http.post("/v1/cases", files=[("images", dark.getvalue())], headers={"Prefer": "wait=20"}).json()
    assert rejected["outcome"]["kind"] == "REJECTION"
    http.get(f"/v1/cases/{case_id}")


def spans(watched: Watched) -> list[Any]:
    return [
        span_of(json.loads(line)) for path in watched.traces.glob("*.ndjson") for line in path.read_text().splitlines()
    ]


def test_one_trace_goes_through_all_parts_and_the_logs_name_it(watched: Watched) -> None:
    rows = trace_of(spans(watched), watched.case_id)
    assert {span.part for _, span in rows} == {"gateway", "worker", "metadata", "serving"}
    depths = {span.name: depth for depth, span in rows}
    assert (depths["POST /v1/cases"], depths["send case.assess"], depths["case.assess"]) == (0, 1, 2)
    assert depths["PredictionService/Predict"] == 5  # the server's span, in the client's, in the stage
    (trace_id,) = {span.trace_id.removeprefix("0x") for _, span in rows}
    said = {json.loads(text)["part"] for line in watched.logs if trace_id in line and (text := line[line.index("{") :])}
    assert said >= {"gateway", "worker"}
    assert not [
        span for span in spans(watched) if span.name.endswith("z") or "metrics" in span.name
    ]  # probes are no traces


def test_a_trace_that_a_client_began_is_gone_on_with(watched: Watched) -> None:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    header = {"traceparent": f"00-{trace_id}-b7ad6b7169203331-01", "Authorization": f"Bearer {watched.key}"}
    httpx.get(f"{watched.up.url}/v1/cases/{watched.case_id}", headers=header)
    until(lambda: any(span.trace_id == f"0x{trace_id}" for span in spans(watched)), 5)


def test_the_picture_is_drawn(watched: Watched, tmp_path: Path) -> None:
    out = tmp_path / "case.svg"
    done = dermis("trace", watched.case_id, "--traces", str(watched.traces), "--out", str(out), state=tmp_path)
    assert done.returncode == 0, done.stderr
    assert out.read_text().count("<rect ") == len(trace_of(spans(watched), watched.case_id)) + 1
    assert (
        "no span in"
        in dermis("trace", "case_x", "--traces", str(watched.traces), "--out", str(out), state=tmp_path).stderr
    )


def asked_for() -> dict[str, set[str]]:
    """Return the metrics that the dashboard and the alerts ask for, with the labels that they name."""
    board = json.loads((CHART_FILES / "dashboard.json").read_text())
    rules = yaml.safe_load((CHART_FILES / "alerts.yaml").read_text())
    texts = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    texts += [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    found: dict[str, set[str]] = {}
    for text in texts:
        asked = set(re.findall(r"dermis_\w+", text))
        grouped = (
            {name for by in re.findall(r"by \(([^)]+)\)", text) for name in re.split(r",\s*", by)}
            if len(asked) == 1
            else set()
        )
        for name in asked:
            selected = {
                label
                for selector in re.findall(rf"{name}\{{([^}}]*)\}}", text)
                for label in re.findall(r"(\w+)=", selector)
            }
            found.setdefault(name, set()).update((selected | grouped) - {"job", "le"})
    return found


def test_every_metric_on_the_dashboard_and_in_the_alerts_is_exported_with_its_labels(watched: Watched) -> None:
    everything = "\n".join(watched.metrics.values())
    families = set(re.findall(r"^# TYPE (\w+)", everything, re.MULTILINE))
    for name, labels in asked_for().items():
        if name in WITH_TLS or name in WITH_A_TRIAL:
            continue
        assert name in families or re.sub("_(bucket|count)$", "", name) in families, name
        for sample in re.findall(rf"^{name}\{{(.*)\}} ", everything, re.MULTILINE):
            assert labels <= set(re.findall(r'(\w+)="', sample)), (name, labels)


@pytest.mark.parametrize(
    ("part", "sample"),
    [
        ("gateway", r'dermis_gateway_requests_total\{method="POST",route="/v1/cases",status="200"\} [1-9]'),
        ("gateway", r'dermis_gateway_problems_total\{reason="KEY_INVALID"\} 2\.0'),
        ("worker", r'dermis_worker_outcomes_total\{kind="(DIFFERENTIAL|ABSTENTION)",reason="\w*"\} 1\.0'),
        ("worker", r'dermis_worker_outcomes_total\{kind="REJECTION",reason="NO_USABLE_IMAGE"\} [12]\.0'),
        ("worker", r'dermis_worker_images_total\{verdict="\w+"\} [1-9]'),
        ("worker", r'dermis_worker_stage_seconds_count\{stage="decode"\} [1-9]'),
        ("worker", r'dermis_worker_job_seconds_count\{task="image\.assess"\} 1\.0'),
        ("worker", r"dermis_worker_wait_seconds_count [1-9]"),
        ("worker", r"dermis_worker_in_work 0\.0"),
        ("worker", r'dermis_worker_model_version\{name="dermis"\} 1\.0'),
        ("metadata", r'dermis_rpc_calls_total\{code="OK",method="FeatureService/EncodeFeatures"\} [1-9]'),
        ("serving", r'dermis_rpc_calls_total\{code="OK",method="PredictionService/Predict"\} [1-9]'),
        ("sweep", r"dermis_sweep_last_look_timestamp_seconds 1\."),
    ],
)
def test_what_happened_was_counted(watched: Watched, part: str, sample: str) -> None:
    assert re.search(f"^{sample}", watched.metrics[part], re.MULTILINE), watched.metrics[part]


def test_the_files_of_prometheus_hold_and_each_alert_fires_where_it_should() -> None:
    subprocess.run([ROOT / "scripts" / "install_prometheus.sh", sys.prefix], check=True)
    promtool = shutil.which("promtool", path=str(Path(sys.prefix) / "bin"))
    assert promtool
    for command in (("check", "config", "prometheus.yaml"), ("test", "rules", *TESTS)):
        done = subprocess.run([promtool, *command], cwd=WATCH, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    tested = "".join((WATCH / name).read_text() for name in TESTS)
    rules = yaml.safe_load((CHART_FILES / "alerts.yaml").read_text())
    assert [
        rule["alert"] for group in rules["groups"] for rule in group["rules"] if rule.get("alert", "") not in tested
    ] == []


def personal(watched: Watched) -> list[str]:
    secret = watched.key.partition(".")[2]
    answers = [text for value in ANSWERS.values() for text in ([value] if isinstance(value, str) else value)]
    return [CANARY, secret, *answers]


def test_nothing_personal_is_in_logs_spans_metrics_and_audit(watched: Watched) -> None:
    logs = "\n".join(watched.logs)
    assert without_case_ids(watched.case_id) in logs  # they do say what happens
    assert logs.count("request") > 10
    read = {"logs": logs, "metrics": "\n".join(watched.metrics.values())}
    read |= {path.name: path.read_text() for path in watched.traces.glob("*")}
    read |= {key: watched.up.store.get(key).decode() for key in watched.up.store.list("audit/")}
    for place, text in read.items():
        assert [word for word in personal(watched) if word in text] == [], place
        assert watched.case_id not in text or place.startswith("audit/"), (
            place
        )  # without a key it would be the case's only secret


def test_no_metadata_of_an_image_and_no_secret_is_in_the_store_or_redis(watched: Watched) -> None:
    held = {key: watched.up.store.get(key) for key in watched.up.store.list("")}
    with watched.up.redis() as client:
        held |= {key.decode(): client.dump(key) or b"" for key in client.keys("*")}  # type: ignore[union-attr]
    for word in (CANARY, watched.key.partition(".")[2]):
        assert [place for place, data in held.items() if word.encode() in data or word in place] == []


def test_an_erased_case_is_nowhere_and_a_revoked_key_stops(watched: Watched) -> None:
    """The last test: it takes the case away."""
    header = {"Authorization": f"Bearer {watched.key}"}
    url, store, folder = (
        f"{watched.up.url}/v1/cases/{watched.case_id}",
        watched.up.store,
        case_key(watched.owner, watched.case_id),
    )
    assert httpx.delete(url, headers=header).status_code == 204
    store.delete(open_key(watched.case_id))  # what the sweep does after 75 s
    # The audit of who read and erased it stays for a year: its id, no more.
    left = [key for key in store.list("") if not key.startswith("audit/")]
    left = [key for key in left if watched.case_id in key or watched.case_id.encode() in store.get(key)]
    assert left == [fact_key(watched.owner, watched.case_id, "erased")]
    records = [record for key in store.list("audit/") for record in records_of(store.get(key))]
    assert set().union(*records) <= {"at", "last_at", "times", "act", "by", "part", "route", "case_id", "n"}
    assert set(json.loads(store.get(left[0]))) == {"case_id", "erased_at"}
    assert not any(key.startswith("idempotency/") and folder.encode() in store.get(key) for key in store.list(""))
    with watched.up.redis() as client:
        assert [
            key
            for key in client.keys("*")
            if watched.case_id.encode() in key or watched.case_id.encode() in (client.dump(key) or b"")
        ] == []
    begun = time.monotonic()
    assert dermis("keys", "revoke", watched.owner, state=watched.up.state).returncode == 0
    until(lambda: httpx.get(f"{watched.up.url}/v1/cases", headers=header).status_code == 401, 30)
    print(f"the revoked key stopped after {time.monotonic() - begun:.1f} s, with a cache of 2 s")
