"""A real Prometheus over the chart's alerts, with their times shortened, for tests that bring faults about."""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import yaml

from tests.support.servers import free_port

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "helm" / "dermis" / "files" / "alerts.yaml"
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Prometheus:
    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=30)

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire now."""
        alerts = self._http.get("/api/v1/alerts").json()["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def ask(self, query: str) -> object:
        """Return what a query gives; HTTPStatusError if it can't be understood."""
        return self._http.get("/api/v1/query", params={"query": query}).raise_for_status().json()["data"]["result"]

    def is_ready(self) -> bool:
        try:
            return self._http.get("/-/ready").status_code == 200
        except httpx.TransportError:
            return False


def shortened(text: str) -> str:
    """Return a duration as the tests have it: a sixtieth up to an hour, a six-hundredth above, at least 5 seconds."""
    seconds = int(text[:-1]) * _SECONDS[text[-1]]
    return f"{max(5, seconds // (60 if seconds <= 3600 else 600))}s"


def quick_rules() -> str:
    """Return the chart's rules with windows, `for`, limits in seconds and the least count of drift lessened alone."""
    rules = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))
    for group in rules["groups"]:
        for rule in group["rules"]:
            expr = re.sub(
                r"(?<=\[)\d+[smhd](?=\])|(?<=offset )\d+[smhd]", lambda match: shortened(match[0]), rule["expr"]
            )
            expr = re.sub(r"> (300|900|3600)$", lambda match: f"> {int(match[1]) // 60}", expr)
            expr = expr.replace(" > 200", " > 20")  # what comes in a window that is a six-hundredth as long
            rule["expr"] = expr.replace("], 86400)", "], 144)")  # a day of the trend of six hours
            if "for" in rule:
                rule["for"] = shortened(rule["for"])
    return yaml.safe_dump(rules)


@contextmanager
def running_prometheus(folder: Path, targets: Mapping[str, int]) -> Iterator[Prometheus]:
    """Run Prometheus over `targets`, ports by job, which it looks at each second, until the block ends."""
    subprocess.run([ROOT / "scripts" / "install_prometheus.sh", sys.prefix], check=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rules.yaml").write_text(quick_rules(), encoding="utf-8")
    jobs = [{"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]} for job, port in targets.items()]
    config = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}}
    config |= {"rule_files": ["rules.yaml"], "scrape_configs": jobs}  # type: ignore[dict-item]
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    port = free_port()
    command = [f"{sys.prefix}/bin/prometheus", f"--config.file={folder}/prometheus.yaml"]
    command += [f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
    process = subprocess.Popen(command)
    try:
        yield Prometheus(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(30)
