"""A training as a Job of the release's CronJob, up to a promotion and back."""

import json
import time
from collections.abc import Callable
from typing import Any

from tests.system.cluster.kube import Release

# Enough cases that each tone group can be judged; the scale that generated cases don't have is waived.
TRAIN = ["train", "demo", "--set", "purpose=research", "--set", "stage.0.learning_rate=0.01", "--quiet"]
SHORT = [*TRAIN, "--data", "generated:1:600", "--set", "stage.0.epochs=4"]
TEST = ["--data", "generated:9:1000"]
WAIVERS = ["--waive", "fitzpatrick_estimated", "--reason", "generated cases have no estimated type", "--first"]
LIMIT_S = 600


def train_and_promote(release: Release, answered_by: Callable[[], int], bad: list[str]) -> str:
    before = answered_by()
    begun = time.monotonic()
    trained = job(release, "train-1", SHORT)
    version = trained.splitlines()[-1].split()[1].partition("/")[2]
    job(release, "measure-1", ["evaluate", "--model", version, *TEST])
    seconds = time.monotonic() - begun
    release.inside("worker", "dermis", "promote", version, *WAIVERS)
    followed = _until(answered_by, int(version), bad)
    release.inside("worker", "dermis", "rollback")
    back = _until(answered_by, before, bad)
    return (
        f"trained and measured in {seconds:.0f} s, {version} promoted: answered by it after {followed:.0f} s; "
        f"rolled back to {before}: after {back:.0f} s"
    )


def job(release: Release, name: str, args: list[str]) -> str:
    """Make a Job from the CronJob as `kubectl create job --from` does, with other arguments; return its log."""
    cron: dict[str, Any] = json.loads(release.kubectl("get", "cronjob", "dermis-trainer", "-o", "json"))
    template = cron["spec"]["jobTemplate"]
    template["spec"]["template"]["spec"]["containers"][0]["args"] = args
    metadata = {**template.get("metadata", {}), "name": name}
    document = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]}
    release.kubectl("apply", "-f", "-", text=json.dumps(document))
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        status = json.loads(release.kubectl("get", "job", name, "-o", "json"))["status"]
        if status.get("succeeded"):
            return release.kubectl("logs", f"job/{name}").strip()
        if status.get("failed"):
            raise RuntimeError(f"the Job {name} failed: {release.kubectl('logs', f'job/{name}')[-800:]}")
        time.sleep(1)
    raise RuntimeError(f"the Job {name} did not end within {LIMIT_S} s")


def _until(answered_by: Callable[[], int], version: int, bad: list[str]) -> float:
    """Return the seconds until a fresh case is answered by `version`."""
    begun = time.monotonic()
    while time.monotonic() - begun < 60:
        if answered_by() == version:
            return time.monotonic() - begun
    bad.append(f"a minute after the pointer moved no case is answered by version {version}")
    return float("inf")
