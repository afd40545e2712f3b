"""The cluster of KUBECONFIG and a release of the chart in it."""

import json
import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
CHART = ROOT / "helm/dermis"
NAME_LABEL = "kubernetes.io/metadata.name"
TRAININGS = "app.kubernetes.io/instance=dermis,app.kubernetes.io/component=trainer"
"""What a cluster since 1.21 writes on each namespace by itself."""


def run(command: Sequence[str], *, text: str | None = None, patience_s: float = 300) -> str:
    """Return what a command prints; fails with its last words."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=patience_s)
    if done.returncode:
        raise RuntimeError(f"{shlex.join(command)[:300]} ended with {done.returncode}: {done.stderr.strip()[-1500:]}")
    return done.stdout


def kubectl(*words: str, text: str | None = None, patience_s: float = 300) -> str:
    return run(["kubectl", *words], text=text, patience_s=patience_s)


def apply(*objects: dict[str, Any]) -> None:
    kubectl("apply", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))


def make_namespace(name: str) -> None:
    labels = {NAME_LABEL: name}
    apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})


def node_images() -> set[str]:
    """Return the names of the images that the nodes say they have, without registry."""
    nodes = json.loads(kubectl("get", "nodes", "-o", "json"))["items"]
    names = (name for node in nodes for image in node["status"].get("images", ()) for name in image["names"] or ())
    return {name.rpartition("/")[2] for name in names}


@dataclass(kw_only=True)
class Release:
    """dermis in a namespace of its own.

    With a `filter`, a command that rewrites manifests for a cluster older than the chart, the chart is rendered,
    filtered and applied; without one Helm installs it.
    """

    namespace: str
    tag: str
    filter: str = ""
    chart: Path = CHART
    values: tuple[str, ...] = ()
    manifests: list[str] = field(default_factory=list)
    """All that was applied through the filter, the newest last."""

    def kubectl(self, *words: str, text: str | None = None, patience_s: float = 300) -> str:
        return kubectl("-n", self.namespace, *words, text=text, patience_s=patience_s)

    def install(self, *values: str) -> None:
        """Install or upgrade, with more `values` (name=value) than the release's own."""
        flags = ["--values", str(self.chart / "examples/cpu-dev.yaml")]
        flags += [word for value in (f"image.tag={self.tag}", *self.values, *values) for word in ("--set", value)]
        if not self.filter:
            self._helm("upgrade", "--install", "dermis", str(self.chart), *flags)
            return
        # Helm takes the cluster's version for the one that the chart must fit, so it is told one that fits.
        rendered = self._helm("template", "dermis", str(self.chart), "--no-hooks", "--kube-version", "1.32", *flags)
        self.manifests.append(run(["sh", "-c", self.filter], text=rendered))
        self.kubectl("apply", "-f", "-", text=self.manifests[-1])

    def back(self) -> None:
        """Go back to what was installed before the last upgrade."""
        if not self.filter:
            self._helm("rollback", "dermis")
            return
        self.manifests.append(self.manifests[-2])
        self.kubectl("apply", "-f", "-", text=self.manifests[-1])

    def uninstall(self) -> None:
        """Uninstall, and wait until the pods are gone; those of trainings that were made by hand stay."""
        if self.filter:
            kept = "helm.sh/resource-policy: keep"
            parts = [each for each in self.manifests[-1].split("\n---\n") if kept not in each]
            self.kubectl("delete", "--ignore-not-found", "-f", "-", text="\n---\n".join(parts))
        else:
            self._helm("uninstall", "dermis")
        label = "app.kubernetes.io/instance=dermis,app.kubernetes.io/component!=trainer"
        self.kubectl("wait", "--for=delete", "pod", "-l", label, "--timeout=90s")

    def _helm(self, verb: str, *words: str) -> str:
        return run(["helm", "--namespace", self.namespace, verb, *words])

    def parts(self) -> list[str]:
        """Return all Deployments, as `deployment.apps/name`."""
        return self.kubectl("get", "deployments", "-l", "app.kubernetes.io/instance=dermis", "-o", "name").split()

    def wait_rolled(self, *parts: str, patience_s: int = 240) -> None:
        """Wait until each part has its new pods and no others; fails once a container falls again and again."""
        end = time.monotonic() + patience_s
        while pending := [part for part in parts if not self._is_rolled(part)]:
            if fallen := self._fallen():
                raise RuntimeError(fallen)
            if time.monotonic() > end:
                raise RuntimeError(f"{', '.join(pending)}: not rolled out within {patience_s} s: {self._waiting()}")
            time.sleep(0.5)

    def _is_rolled(self, part: str) -> bool:
        document = json.loads(self.kubectl("get", part, "-o", "json"))
        wanted, status = document["spec"]["replicas"], document["status"]
        counts = (status.get("replicas", 0), status.get("updatedReplicas", 0), status.get("readyReplicas", 0))
        return status.get("observedGeneration") == document["metadata"]["generation"] and counts == (wanted,) * 3

    def _pods(self) -> list[dict[str, Any]]:
        pods: list[dict[str, Any]] = json.loads(self.kubectl("get", "pods", "-o", "json"))["items"]
        return pods

    def _fallen(self) -> str:
        """Return the last words of a container that was restarted three times; empty: there is none."""
        for pod in self._pods():
            for each in pod["status"].get("containerStatuses", ()):
                if each["restartCount"] > 2 and not each["ready"]:
                    name = pod["metadata"]["name"]
                    return f"{name} falls again and again: {self.kubectl('logs', name, '--tail=5').strip()}"
        return ""

    def _waiting(self) -> str:
        conditions = (
            f"{pod['metadata']['name']}: {condition.get('message', condition['type'])}"
            for pod in self._pods()
            for condition in pod["status"].get("conditions", ())
            if condition["status"] != "True"
        )
        return "; ".join(conditions)

    def wait_gone(self, *, patience_s: float = 120) -> None:
        """Wait until no pod is leaving any more."""
        end = time.monotonic() + patience_s
        while time.monotonic() < end:
            if not any(pod["metadata"].get("deletionTimestamp") for pod in self._pods()):
                return
            time.sleep(1)
        raise RuntimeError(f"pods of {self.namespace} still leave after {patience_s:g} s")

    def inside(self, part: str, *command: str, patience_s: float = 300) -> str:
        """Run a command in a pod of a part."""
        return self.kubectl("exec", f"deployment/dermis-{part}", "--", *command, patience_s=patience_s)

    def restarts(self) -> dict[str, int]:
        """Return how often containers were restarted, by pod, where they were."""
        counts = {
            pod["metadata"]["name"]: sum(each["restartCount"] for each in pod["status"].get("containerStatuses", ()))
            for pod in self._pods()
        }
        return {name: count for name, count in counts.items() if count}

    def copy_store(self, folder: Path) -> None:
        """Copy the whole store into `folder`, as a backup does."""
        command = ["kubectl", "-n", self.namespace, "exec", "deployment/dermis-gateway", "--"]
        with tempfile.TemporaryFile() as archive:
            subprocess.run([*command, "tar", "-C", "/store", "-cf", "-", "."], stdout=archive, check=True, timeout=300)
            archive.seek(0)
            subprocess.run(["tar", "-C", str(folder), "-xf", "-"], stdin=archive, check=True)

    def restore_store(self, folder: Path) -> None:
        """Put what `copy_store` copied into the store, beside what is there."""
        command = ["kubectl", "-n", self.namespace, "exec", "-i", "deployment/dermis-gateway", "--"]
        with tempfile.TemporaryFile() as archive:
            # Files alone: the folders that stand already belong to whoever made them.
            pack = "find . -type f -print0 | tar --null --files-from=- -cf -"
            subprocess.run(["sh", "-c", pack], cwd=folder, stdout=archive, check=True)
            archive.seek(0)
            extract = ("tar", "-C", "/store", "-mxf", "-")
            subprocess.run([*command, *extract], stdin=archive, check=True, timeout=300)


def chosen_filter() -> str:
    """Return the command that rewrites manifests for the cluster, from DERMIS_CLUSTER_FILTER; empty: none."""
    return os.environ.get("DERMIS_CLUSTER_FILTER", "")
