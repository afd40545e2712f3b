"""SCIN's ten most frequent conditions as a task: cases, conditions and folds."""

from collections import Counter
from dataclasses import dataclass, replace

from dermis.data.dataset import Dataset, conditions_of
from dermis.data.samples import Sample
from dermis.data.split.split import Split
from dermis.shared.errors import DermisError, Kind
from dermis.shared.manifest import Condition, FeatureSchema
from dermis.trainer.model.feature_schema import every_answer

POLICY = "scin-all"
CONDITIONS = 10
OTHER = "Any other condition"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """All cases, each condition beyond the ten most frequent ones put together in the last place, and their folds."""

    whole: Dataset
    conditions: tuple[Condition, ...]
    split: Split
    schema: FeatureSchema


def make_task(
    dataset: Dataset, split: Split | None = None, *, seed: int = 0, folds: int = 5, schema: FeatureSchema | None = None
) -> Task:
    """Return the task of a data set under `POLICY`; without a split it is split here. INVALID if conditions are too few or the split leaks.

    The ten conditions are those that are most often the top one, of all labelled cases: which they are is part of the protocol.
    """
    tops = Counter(sample.top for sample in dataset.samples if sample.top)
    ten = sorted(name for name, _ in sorted(tops.items(), key=lambda item: (-item[1], item[0]))[:CONDITIONS])
    if len(ten) < 2:
        detail = f"{dataset.name} has {len(ten)} conditions among its labelled cases: take more cases"
        raise DermisError(Kind.INVALID, "BENCHMARK", detail)
    samples = tuple(_merged(sample, set(ten)) for sample in dataset.samples)
    conditions = conditions_of([replace(samples[0], target=dict.fromkeys(ten, 1.0))])
    whole = replace(dataset, samples=samples)
    fold_file = split or whole.split(seed=seed, folds=folds)
    whole.fold(fold_file, 0)  # audits it
    return Task(
        whole=whole,
        conditions=(*conditions, Condition(id="OTHER", name=OTHER)),
        split=fold_file,
        schema=schema or every_answer(),
    )


def _merged(sample: Sample, ten: set[str]) -> Sample:
    target: dict[str, float] = {}
    for name, weight in sample.target.items():
        place = name if name in ten else OTHER
        target[place] = target.get(place, 0.0) + weight
    return replace(sample, target=target, top=sample.top if sample.top in ten or sample.top is None else OTHER)
