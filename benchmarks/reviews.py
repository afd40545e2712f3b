"""Whether a model that learns from clinicians' readings gets better: generated cases, simulated readers.

    make learn-from-reviews [CASES=200] [ARGS="--folder FOLDER"] [OUT=reviews.md]

A base model learns from few cases. Two simulated readers of stated error read other cases in a store, an adjudicator
those on which they disagree. The model learns again, from both. Both answer cases that neither saw. Run it again to go
on where it was stopped: each step's words stand in FOLDER/steps, and a step that has some is not run again.
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import cv2

from benchmarks.machine import about
from benchmarks.readers import ADJUDICATOR, AT, READERS, adjudication, disagree, review
from benchmarks.reviews_page import Measurement, as_page, draw_gains
from dermis.data.dataset import open_dataset
from dermis.data.generated.cases import GeneratedCase, cases
from dermis.shared.case import CASES_PREFIX, Consent, ModelRef, Outcome, Received, ReceivedImage, fact_key, image_key
from dermis.shared.ids import id_at
from dermis.shared.manifest import EVALUATION_FILE, VersionRef
from dermis.shared.ports import BlobConflict, BlobStore
from dermis.shared.promotions import Waiver
from dermis.shared.reviews import adjudication_key, review_key
from dermis.shared.stores import open_store
from dermis.trainer.evaluation.comparison import Comparison
from dermis.trainer.evaluation.predict import fetch_bundle, open_bundle, predict
from dermis.trainer.evaluation.predictions import SERVED
from dermis.trainer.registry.promote import PromotionRequest, judge_evaluations
from dermis.worker.core.differential import decide

DERMIS = Path(sys.executable).with_name("dermis")
OWNER = "clinic"
LONGEST = 160
BASE_SEED, READ_SEED, HELD_OUT_SEED, READERS_SEED = 11, 12, 13, 14
CONFIG = "tutorial"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How many cases: `base` that the first model learns from, `read` by the readers, `held_out`; `folder`: where."""

    base: int
    read: int
    held_out: int
    folder: Path

    @property
    def store(self) -> str:
        return (self.folder / "store").resolve().as_uri()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=200, help="cases that are read (default 200)")
    parser.add_argument("--base", type=int, default=60, help="cases that the base model learns from (default 60)")
    parser.add_argument("--held-out", type=int, default=600, help="cases that both are measured on (default 600)")
    parser.add_argument("--folder", type=Path, help="where to work; default: one by these numbers, in the system's")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page, and the plot beside it")
    options = parser.parse_args()
    numbers = f"{options.base}-{options.cases}-{options.held_out}"
    folder = options.folder or Path(tempfile.gettempdir(), f"dermis-reviews-{numbers}")
    plan = Plan(base=options.base, read=options.cases, held_out=options.held_out, folder=folder)
    load = os.getloadavg()
    result = measure(plan)
    page = as_page(result, about("benchmarks.reviews", load, packages=("tensorflow-cpu", "scikit-learn")))
    print(page)
    if options.write:
        options.write.write_text(page, encoding="utf-8")
        draw_gains(result).savefig(options.write.with_suffix(".svg"), metadata={"Date": None})
    return 0


def measure(plan: Plan) -> Measurement:
    """Run what has not run yet, and return what was measured."""
    steps, folder, store = StepFiles(plan.folder), plan.folder, open_store(plan.store)
    base, reviews = str(folder / "base"), str(folder / "reviews")
    numbers = ("--cases", str(plan.base), "--seed", str(BASE_SEED), "--longest", str(LONGEST))
    steps.command("base", "data", "generate", *numbers, base)
    steps.call("read", lambda: put_read_cases(store, plan.read))
    taken = steps.command("from-reviews", "data", "from-reviews", "--store", plan.store, "--out", reviews)
    train = (
        "train",
        CONFIG,
        "--policy",
        "scin-all",
        "--quiet",
        "--store",
        plan.store,
        "--cache",
        str(folder / "cache"),
    )
    data = {
        "base": ("--data", base),
        "reviews": ("--data", base, "--data", reviews),
        "truth": ("--data", base, "--data", f"generated:{READ_SEED}:{plan.read}:{LONGEST}"),
    }
    versions = {name: _version(steps.command(f"train-{name}", *train, *sets)) for name, sets in data.items()}
    steps.call("outcomes", lambda: put_outcomes(store, versions["base"], plan))
    agreement = steps.command("agreement", "data", "agreement", "--store", plan.store, "--policy", "scin-all")
    compared = {
        f"{name} against {other}": _compared(plan, steps, versions, (name, other))
        for name, other in (("reviews", "base"), ("truth", "reviews"))
    }
    waiver = Waiver(group="fitzpatrick_estimated", reason="nobody estimated the type of a drawing")
    request = PromotionRequest(ref=versions["reviews"], data=None, waivers=(waiver,))
    _, _, judgement = judge_evaluations(store, request, versions["base"])
    return Measurement(
        base=plan.base,
        read=plan.read,
        adjudicated=len(_adjudicated(store)),
        taken=taken,
        agreement=agreement,
        compared=compared,
        judgement=judgement,
        rates=_rates(plan.read),
        command=f"make learn-from-reviews CASES={plan.read}",
    )


class StepFiles:
    """Steps that run once: what each printed stands in a file, put there when it has ended well."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._words = folder, folder / "steps"
        self._words.mkdir(parents=True, exist_ok=True)

    def command(self, name: str, *arguments: str) -> str:
        """Return what a `dermis` command printed; CalledProcessError, with its last words, where it fails."""
        return self.call(name, lambda: self._run(arguments))

    def call(self, name: str, work: Callable[[], str]) -> str:
        file = self._words / f"{name}.txt"
        if not file.is_file():
            print(f"{name} ...", file=sys.stderr, flush=True)
            part = file.with_suffix(".part")
            part.write_text(work(), encoding="utf-8")
            part.rename(file)
        return file.read_text(encoding="utf-8")

    def _run(self, arguments: Sequence[str]) -> str:
        process = subprocess.run(
            [str(DERMIS), *arguments], cwd=self._folder, capture_output=True, text=True, check=False
        )
        if process.returncode:
            print(process.stderr[-3000:], file=sys.stderr)
            process.check_returncode()
        return process.stdout


def _version(words: str) -> VersionRef:
    name, number = re.findall(r"published (\S+)/(\d+) in", words)[-1]
    return VersionRef(name=name, version=int(number))


def case_id(case: GeneratedCase) -> str:
    return id_at("case", AT + timedelta(minutes=case.index), hashlib.sha256(f"read {case.index}".encode()).digest())


def put_read_cases(store: BlobStore, count: int) -> str:
    """Put generated cases whose owners agreed to everything, and what each reader and the adjudicator make of them."""
    for case in cases(READ_SEED, count, longest=LONGEST):
        name = case_id(case)
        _put(store, fact_key(OWNER, name, "received"), _received(store, case).model_dump_json())
        reviews = tuple(review(reader, case, name, seed=READERS_SEED) for reader in READERS)
        for each in reviews:
            _put(store, review_key(OWNER, name, each.reader), each.model_dump_json())
        if disagree(reviews):
            _put(store, adjudication_key(OWNER, name), adjudication(case, name, seed=READERS_SEED).model_dump_json())
    return f"{count} cases\n"


def _received(store: BlobStore, case: GeneratedCase) -> Received:
    images = []
    for n, (pixels, shot_type) in enumerate(zip(case.images, case.shot_types, strict=True), start=1):
        data = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes()
        store.put_once(image_key(OWNER, case_id(case), n, "original"), data)
        digest = hashlib.sha256(data).hexdigest()
        size = {"bytes": len(data), "width": pixels.shape[1], "height": pixels.shape[0]}
        images.append(ReceivedImage(n=n, content_type="image/png", sha256=digest, shot_type=shot_type, **size))
    return Received(
        case_id=case_id(case),
        owner=OWNER,
        received_at=AT,
        images=tuple(images),
        self_report=case.self_report,
        consent=Consent.KEEP_FOR_IMPROVEMENT,
        second_read=True,
    )


def _put(store: BlobStore, key: str, text: str) -> None:
    with suppress(BlobConflict):
        store.put_once(key, text.encode())


def put_outcomes(store: BlobStore, ref: VersionRef, plan: Plan) -> str:
    """Put what the base model answers to each case that was read, as its readers would have met it afterwards."""
    dataset = open_dataset(f"generated:{READ_SEED}:{plan.read}:{LONGEST}")
    with tempfile.TemporaryDirectory() as folder:
        bundle = open_bundle(fetch_bundle(store, ref, Path(folder)))
        predictions = predict(bundle, dataset, modalities=(SERVED,))
    model = ModelRef(name=ref.name, version=ref.version, purpose=bundle.manifest.purpose)
    for case, raw in zip(cases(READ_SEED, plan.read, painted=False), predictions.raw[SERVED], strict=True):
        decision = decide(raw, bundle.manifest, case.self_report.fitzpatrick_skin_type)
        outcome = Outcome(
            case_id=case_id(case),
            finished_at=AT,
            kind=decision.kind,
            reason=decision.reason,
            differential=decision.differential,
            coverage=decision.coverage,
            model=model,
        )
        _put(store, fact_key(OWNER, case_id(case), "outcome"), outcome.model_dump_json())
    return f"{len(dataset)} outcomes\n"


def _adjudicated(store: BlobStore) -> list[str]:
    return [key for key in store.list(CASES_PREFIX) if key.endswith("/adjudication.json")]


def _rates(count: int) -> dict[str, float]:
    """Return how often each reader's first condition was the true one, of the cases that each could grade."""
    rates = {}
    for reader in (*READERS, ADJUDICATOR):
        readings = [
            (review(reader, case, case_id(case), seed=READERS_SEED), case.condition)
            for case in cases(READ_SEED, count, painted=False)
        ]
        graded = [each.conditions[0].label == truth for each, truth in readings if each.conditions]
        rates[reader.name] = sum(graded) / len(graded)
    return rates


def _compared(plan: Plan, steps: StepFiles, versions: Mapping[str, VersionRef], names: tuple[str, str]) -> Comparison:
    """Return the paired differences of two versions on the held-out cases, by `dermis evaluate`."""
    this, other = (f"{versions[name].name}/{versions[name].version}" for name in names)
    out = plan.folder / f"evaluation-{names[0]}"
    data = ("--data", f"generated:{HELD_OUT_SEED}:{plan.held_out}:{LONGEST}", "--store", plan.store)
    steps.command(f"evaluate-{names[0]}", "evaluate", "--model", this, "--against", other, *data, "--out", str(out))
    return Comparison.model_validate(json.loads((out / EVALUATION_FILE).read_text(encoding="utf-8"))["comparison"])


if __name__ == "__main__":
    sys.exit(main())
