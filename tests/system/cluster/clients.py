"""Clients in a namespace of their own, from which the policies let them in."""

import base64
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.system.clients import small_images
from tests.system.cluster.kube import Release, apply, kubectl, make_namespace
from tests.system.cluster.load import STOP

MOST_BYTES = 700_000
"""Of photos in one ConfigMap, which takes 1 MiB in base64."""
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
POD_SECURITY = {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}}


def photos() -> list[bytes]:
    """Return the photos of REAL_DATA where it is set, else those of the generated demo case."""
    if not (real := os.environ.get("REAL_DATA")):
        return small_images()
    chosen: list[bytes] = []
    for path in sorted(Path(real).glob("photos/scin/*.png")):
        image = path.read_bytes()
        if sum(map(len, chosen)) + len(image) < MOST_BYTES:
            chosen.append(image)
    return chosen


class ClientPods:
    """Pods that send cases to a release."""

    def __init__(self, release: Release, namespace: str, images: list[bytes]) -> None:
        self.release, self.namespace, self.key = release, namespace, ""
        self.url = f"http://dermis-gateway.{release.namespace}:8080"
        make_namespace(namespace)
        script = (Path(__file__).parent / "load.py").read_text()
        binary = {f"photo-{n:02}": base64.b64encode(image).decode() for n, image in enumerate(images)}
        apply(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "load", "namespace": namespace},
                "data": {"load.py": script},
                "binaryData": binary,
            }
        )

    def pod(self, name: str, command: list[str]) -> None:
        """Start a pod of the worker's image, which has httpx."""
        container = {
            "name": "client",
            "image": f"dermis-worker:{self.release.tag}",
            "imagePullPolicy": "IfNotPresent",
            "command": command,
            "env": [{"name": "KEY", "value": self.key}],
            "securityContext": RESTRICTED,
            "resources": {"requests": {"cpu": "200m"}},  # without, what starts on a busy node leaves it none
            "volumeMounts": [{"name": "load", "mountPath": "/load"}, {"name": "tmp", "mountPath": str(STOP.parent)}],
        }
        spec = {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 1,
            "securityContext": POD_SECURITY,
            "containers": [container],
            "volumes": [{"name": "load", "configMap": {"name": "load"}}, {"name": "tmp", "emptyDir": {}}],
        }
        metadata = {"name": name, "namespace": self.namespace}
        kubectl("-n", self.namespace, "delete", "pod", name, "--ignore-not-found")
        apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})

    def result(self, name: str, *, patience_s: float) -> tuple[str, str]:
        """Wait until a pod has ended; return its phase and what it printed."""
        end = time.monotonic() + patience_s
        while time.monotonic() < end:
            phase = json.loads(kubectl("-n", self.namespace, "get", "pod", name, "-o", "json"))["status"]["phase"]
            if phase in ("Succeeded", "Failed"):
                return phase, kubectl("-n", self.namespace, "logs", name)
            time.sleep(0.5)
        raise RuntimeError(f"the client pod {name} did not end within {patience_s:g} s")

    def load(self, name: str, *, rate: float, seconds: float) -> "RunningLoad":
        words = ["python3", "/load/load.py", self.url, "--photos", "/load", "--rate", f"{rate:g}"]
        self.pod(name, [*words, "--seconds", f"{seconds:g}"])
        return RunningLoad(self, name)


class RunningLoad:
    """Cases that come while something is done to the system."""

    def __init__(self, clients: ClientPods, name: str) -> None:
        self._clients, self._name = clients, name

    def wait_first(self) -> None:
        """Wait until the first case is finished."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with suppress(RuntimeError):  # the container is still made
                if kubectl("-n", self._clients.namespace, "logs", self._name).strip():
                    return
            time.sleep(0.5)
        raise RuntimeError("no case was finished within a minute of the load's start")

    def stop(self) -> list[dict[str, Any]]:
        """End the load and return a record for each case (tests/system/cluster/load.py)."""
        kubectl("-n", self._clients.namespace, "exec", self._name, "--", "touch", str(STOP))
        return self.end()

    def end(self) -> list[dict[str, Any]]:
        """Wait for all cases and return a record for each."""
        phase, said = self._clients.result(self._name, patience_s=400)
        if phase != "Succeeded":
            raise RuntimeError(f"the load's pod {phase}: {said[-500:]}")
        return [json.loads(line) for line in said.splitlines()]
