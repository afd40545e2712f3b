"""No malignant lesion that a person reports as a growth is shown below SOON, whatever the models make of its photo."""

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from dermis.gateway.guidance import guidance
from dermis.metadata.core.encode import encode
from dermis.serving.adapters.openvino import OpenVinoRunner
from dermis.shared.bundles import point, publish
from dermis.shared.case import OutcomeKind, Urgency
from dermis.shared.manifest import Manifest, VersionRef
from dermis.shared.stores.memory import MemoryStore
from dermis.shared.vocabulary import SelfReport
from dermis.shared.webhook_store import Outbox
from dermis.standalone import demo, lesions
from dermis.worker.adapters.models import StoreModels
from dermis.worker.bootstrap import load_gate, load_policy
from dermis.worker.core.answer_shares import AnswerWeights
from dermis.worker.pipeline import Pipeline
from dermis.worker.ports import Inputs, Outputs
from dermis.worker.strikes import Strikes

MALIGNANT = ("BCC", "MEL", "SCC")
URGENT = (Urgency.EMERGENCY, Urgency.TODAY, Urgency.SOON)
OUTPUTS = ("probabilities", "cam", "answers_logits", "embedding")


@dataclass
class Bundle:
    """A bundle that answers in this process: features, classifier and announcer of a worker."""

    folder: Path
    models: StoreModels = field(init=False)
    runner: OpenVinoRunner = field(init=False)

    def __post_init__(self) -> None:
        store = MemoryStore()
        manifest = publish(store, self.folder)
        point(store, VersionRef(name=manifest.name, version=manifest.version))
        self.models = StoreModels(store, available=lambda _: True)
        self.runner = OpenVinoRunner(self.folder)

    def encode(self, _schema_id: str, report: SelfReport) -> npt.NDArray[np.float32]:
        return encode(self.models.feature_schema(self.models.pinned()), report)

    def predict(self, _manifest: Manifest, inputs: Inputs) -> Outputs:
        named = {"images": inputs.images, "image_mask": inputs.image_mask, "features": inputs.features}
        results = self.runner.run({name: values[None] for name, values in named.items()}, OUTPUTS)
        return Outputs(**{name: values[0] for name, values in results.items()})

    def answer_weights(self, manifest: Manifest, columns: int) -> AnswerWeights:
        k = len(manifest.conditions)
        return AnswerWeights(bias=np.zeros(k, np.float32), weights=np.zeros((columns, k), np.float32))

    def announce(self, _case_id: str, _fact: str) -> None: ...

    def reply(self, _scratch_id: str, _report: bytes) -> None: ...

    def pipeline(self) -> Pipeline:
        store = MemoryStore()
        return Pipeline(
            store=store,
            models=self.models,
            features=self,
            classifier=self,
            announcer=self,
            policy=load_policy(),
            strikes=Strikes(store=store),
            outbox=Outbox(store),
            gate=load_gate(),
        )


def malignant_lesions(folder: Path) -> Iterator[tuple[Path, SelfReport]]:
    """Yield the photos of malignant lesions, each with what a person would report: a growth, and what it did."""
    with (folder / "manifest.csv").open(newline="") as rows:
        for row in csv.DictReader(rows):
            if row["label"] in MALIGNANT:
                signs = {"BLEEDING": row["bleed"], "INCREASING_SIZE": row["grew"], "ITCHING": row["itch"]}
                symptoms = [symptom for symptom, seen in signs.items() if seen == "True"]
                report = {"related_category": "GROWTH_OR_MOLE", "condition_symptoms": symptoms or None}
                yield folder / row["file"], SelfReport.model_validate(report)


@pytest.mark.nightly
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("folder", [demo.BUNDLE, lesions.BUNDLE], ids=["demo", "lesions"])
def test_none_is_shown_below_soon(folder: Path, real_data: Path) -> None:
    pipeline, kinds, below = Bundle(folder).pipeline(), Counter[OutcomeKind](), []
    for path, report in malignant_lesions(real_data / "photos/pad_ufes_20_large"):
        outcome, _ = pipeline.assess_row(path.name, [path.read_bytes()], report)
        kinds[outcome.kind] += 1
        if guidance().of_outcome(outcome, report).urgency not in URGENT:
            below.append(path.name)
    print(folder.parent.name, dict(kinds), len(below), "below SOON")
    assert sum(kinds.values()) > 100, "there are hardly any malignant lesions"
    assert below == []
