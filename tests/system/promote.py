"""Promote and roll back under load, `python -m tests.system.promote --rounds 10`.

No case fails, and none mixes two vocabularies.

Version 2 is the demo bundle again with other names for its conditions, so that an outcome shows whose words it used.
The commands are those of an operator: `dermis promote`, which judges both versions on the same generated cases, and
`dermis rollback`.
"""

import argparse
import collections
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from dermis.data.generated.cases import cases
from dermis.metadata.core.encode import encode_batch
from dermis.serving.adapters.bundle import load_bundle
from dermis.shared.bundles import publish, read_current, read_feature_schema, read_manifest
from dermis.shared.case import MAX_IMAGES, PUBLIC_OWNER, Outcome, fact_key
from dermis.shared.manifest import MANIFEST_FILE, MODEL_NAME, Manifest, VersionRef
from dermis.shared.ports import BlobNotFound, BlobStore
from dermis.shared.stores import open_store
from dermis.standalone import demo
from dermis.trainer.evaluation.predictions import Predictions, to_bytes
from dermis.trainer.records.layout import evaluation_key
from dermis.worker.core.prepare import fit
from tests.system import stack, verify
from tests.system.clients import Clients

ONE, TWO = (VersionRef(name=MODEL_NAME, version=version) for version in (1, 2))
CASES_PER_S = 8
FOLLOW_LIMIT_S = 30
EVALUATED, SEED = 120, 9
WAIVED = ("monk_bin", "fitzpatrick_self", "fitzpatrick_estimated")


def publish_again(store: BlobStore, scratch: Path) -> Manifest:
    """Publish the demo bundle as version 2, each condition under another name."""
    folder = scratch / "again"
    shutil.copytree(demo.BUNDLE, folder)
    document = json.loads((folder / MANIFEST_FILE).read_text())
    document["version"] = TWO.version
    for condition in document["conditions"]:
        condition["name"] += " (version 2)"
    (folder / MANIFEST_FILE).write_text(json.dumps(document))
    return publish(store, folder)


def evaluate(store: BlobStore, ref: VersionRef) -> str:
    """Put what a version says of generated cases where `dermis promote` looks for it; return the data set's digest."""
    manifest, schema = read_manifest(store, ref), read_feature_schema(store, ref)
    drawn = list(cases(SEED, EVALUATED))
    images = np.zeros((len(drawn), MAX_IMAGES, manifest.image_size, manifest.image_size, 3), np.uint8)
    mask = np.zeros((len(drawn), MAX_IMAGES), bool)
    for row, case in enumerate(drawn):
        for slot, image in enumerate(case.images):
            images[row, slot], mask[row, slot] = fit(image, manifest.image_size), True
    inputs = {
        "images": images,
        "image_mask": mask,
        "features": encode_batch(schema, [case.self_report for case in drawn]),
    }
    outputs = load_bundle(store, ref).run(inputs, ("probabilities", "embedding"))
    names = [condition.name.removesuffix(" (version 2)") for condition in manifest.conditions]
    labels = np.array([names.index(case.condition) for case in drawn])
    digest = hashlib.sha256(f"generated {SEED} {EVALUATED}".encode()).hexdigest()
    predictions = Predictions(
        model=f"{ref.name}/{ref.version}",
        data=digest,
        ids=tuple(str(case.index) for case in drawn),
        groups=tuple(str(case.index) for case in drawn),
        conditions=manifest.conditions,
        target=np.eye(len(names))[labels],
        labels=labels,
        raw={"images and answers": outputs["probabilities"].astype(np.float32)},
        embedding=outputs["embedding"].astype(np.float32),
        slices={},
        fold=np.zeros(len(drawn), np.int64),
    )
    store.put_once(f"{evaluation_key(digest, ref)}/predictions.npz", to_bytes(predictions))
    return digest


class Run:
    def __init__(self, parts: stack.Stack, rounds: int) -> None:
        self._parts, self._rounds = parts, rounds
        self._store = open_store(parts.store_url)
        self._clients = Clients(parts.url, seed=1)
        self._begun = time.monotonic()
        self._offered = 0
        self._followed: list[float] = []
        self._answered: dict[str, Outcome] = {}
        self.bad: list[str] = []

    def go(self, scratch: Path) -> None:
        manifests = {1: read_manifest(self._store, ONE), 2: publish_again(self._store, scratch)}
        data = {evaluate(self._store, ref) for ref in (ONE, TWO)}
        assert len(data) == 1
        self._clients.start(3)
        try:
            self._until_answered_by(1)
            for number in range(1, self._rounds + 1):
                waivers = [word for scale in WAIVED for word in ("--waive", scale)]
                self._dermis("promote", "2", *waivers, "--reason", "a trial on generated cases")
                self._until_answered_by(2)
                self._dermis("rollback")
                self._until_answered_by(1)
                print(
                    f"{self._now():6.1f} s  round {number}: followed after {self._followed[-2]:.1f} s and "
                    f"{self._followed[-1]:.1f} s",
                    flush=True,
                )
            # And without a wait: the worker never comes to rest.
            for _ in range(self._rounds):
                self._dermis("rollback")
                self._offer(0.3)
            self._drain()
        finally:
            self._clients.stop.set()
        self._check(manifests)

    def _now(self) -> float:
        return time.monotonic() - self._begun

    def _dermis(self, *words: str) -> None:
        command = [sys.executable, "-m", "dermis.standalone", *words, "--store", self._parts.store_url]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=_environment()
        )
        while process.poll() is None:
            self._offer(0.1)
        if process.returncode:
            self.bad.append(
                f"dermis {' '.join(words)}: exit {process.returncode}: "
                f"{process.stdout.read() if process.stdout else ''}"
            )

    def _offer(self, seconds: float) -> None:
        """Submit cases at a steady rate for a while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            while self._offered < self._now() * CASES_PER_S:
                self._clients.todo.put(f"case-{self._offered}")
                self._offered += 1
            time.sleep(0.02)

    def _until_answered_by(self, version: int) -> None:
        """Keep the load up until a case that came later is answered by `version`, which is what the pointer says."""
        assert read_current(self._store).current.version == version
        begun, before = time.monotonic(), set(self._clients.accepted.values())
        while time.monotonic() - begun < FOLLOW_LIMIT_S:
            self._offer(0.1)
            for case_id in set(self._clients.accepted.values()) - before:
                if (outcome := self._outcome(case_id)) and outcome.model and outcome.model.version == version:
                    self._followed.append(time.monotonic() - begun)
                    return
        self.bad.append(f"no case was answered by version {version} within {FOLLOW_LIMIT_S} s")
        self._followed.append(float("inf"))

    def _outcome(self, case_id: str) -> Outcome | None:
        if case_id not in self._answered:
            try:
                fact = self._store.get(fact_key(PUBLIC_OWNER, case_id, "outcome"))
            except BlobNotFound:
                return None
            self._answered[case_id] = Outcome.model_validate_json(fact)
        return self._answered[case_id]

    def _drain(self) -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and (self._clients.todo.unfinished_tasks or any(self._store.list("open/"))):
            time.sleep(0.2)

    def _check(self, manifests: dict[int, Manifest]) -> None:
        accepted = list(self._clients.accepted.values())
        self.bad += self._clients.surprises + verify.wrong_cases(self._store, accepted, [])
        by_version: collections.Counter[int] = collections.Counter()
        for case_id in accepted:
            outcome = self._outcome(case_id)
            if outcome is None or outcome.model is None:
                continue  # told by `wrong_cases`
            by_version[outcome.model.version] += 1
            words = {(condition.id, condition.name) for condition in manifests[outcome.model.version].conditions}
            if {(ranked.condition, ranked.name) for ranked in outcome.differential} != words:
                self.bad.append(f"{case_id}: version {outcome.model.version} in the words of another")
        if min(by_version[version] for version in manifests) < self._rounds:
            self.bad.append(f"answers by version {dict(by_version)}: too few to show anything")
        if len(set(accepted)) != self._offered:
            self.bad.append(f"{len(set(accepted))} cases accepted of {self._offered}")
        records = collections.Counter(
            json.loads(self._store.get(key))["action"] for key in self._store.list("promotions/")
        )
        print(
            f"\n{len(accepted)} cases accepted at {CASES_PER_S}/s ({self._clients.retries} requests sent "
            f"again), {self._now():.0f} s"
        )
        print(f"answered by version: {dict(sorted(by_version.items()))}; records under promotions/: {dict(records)}")
        finite = [seconds for seconds in self._followed if seconds < FOLLOW_LIMIT_S]
        if finite:
            print(f"pointer moved to first answer by it: median {np.median(finite):.1f} s, longest {max(finite):.1f} s")


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("DERMIS_")}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.system.promote", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10, help="times to promote and roll back (10)")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="dermis-promote-"))
    bad = ["it did not come to its end"]
    try:
        with stack.running(folder, quick=False, own_mount=False) as parts:
            run = Run(parts, options.rounds)
            run.go(folder)
            bad = run.bad
    finally:
        if bad:
            print(f"store and logs: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    for line in bad[:20]:
        print(f"BAD  {line}")
    print("FAILED" if bad else "every accepted case has one outcome, in the words of the version it names")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
