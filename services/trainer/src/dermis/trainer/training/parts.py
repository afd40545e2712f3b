"""The cases of a run by what they are for, and the conditions that a model can learn from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dermis.data.cohort import cohort
from dermis.data.dataset import Dataset, conditions_of
from dermis.data.samples import Sample
from dermis.data.split.split import Split
from dermis.shared.errors import DermisError, Kind
from dermis.shared.evaluation import CohortStep
from dermis.shared.manifest import Condition
from dermis.trainer.config import Config
from dermis.trainer.evaluation.seen_in_training import case_keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The cases of a run.

    Without `validation` each stage runs to its end; `unlabelled` cases teach only where a stage says so. `samples`:
    every case of the data set; `part_of`: case id -> part of the split, None where all cases are in every part.
    """

    train: Dataset
    calibration: Dataset
    test: Dataset
    validation: Dataset | None = None
    unlabelled: Dataset | None = None
    samples: tuple[Sample, ...] = ()
    part_of: Mapping[str, str] | None = None

    def of(self, conditions: tuple[Condition, ...]) -> "Parts":
        """Return the cases that name one of these conditions."""
        names = [condition.name for condition in conditions]
        return replace(
            self,
            train=self.train.labelled(names),
            calibration=self.calibration.labelled(names),
            test=self.test.labelled(names),
            validation=self.validation.labelled(names) if self.validation else None,
        )

    def cohort(self, conditions: Sequence[str]) -> tuple[CohortStep, ...]:
        """Return the steps from the data set to the test cases that name one of these conditions."""
        return cohort(self.samples or self.test.samples, conditions, part_of=self.part_of, part="test")


def split_parts(dataset: Dataset, split: Split) -> Parts:
    """Return the parts of an audited split; only training cases teach without a label."""
    parts = {name: dataset.part(split, name) for name in ("train", "validation", "calibration", "test")}
    labelled, unlabelled = {name: part.labelled() for name, part in parts.items()}, parts["train"].unlabelled()
    return Parts(
        train=labelled["train"],
        calibration=labelled["calibration"],
        test=labelled["test"],
        validation=labelled["validation"] if len(labelled["validation"]) else None,
        unlabelled=unlabelled if len(unlabelled) else None,
        samples=dataset.samples,
        part_of={case.case_id: case.part for case in split.cases},
    )


def whole(dataset: Dataset) -> Parts:
    """Return every labelled case as training case; `build_bundle` then calibrates and evaluates by folds."""
    labelled = dataset.labelled()
    return Parts(train=labelled, calibration=labelled, test=labelled, samples=dataset.samples)


def training_record(parts: Parts, *, on_all: bool) -> dict[str, list[str]]:
    """Return which cases the model is made from, by part; cases without a label may teach too."""
    names = ("train",) if on_all else ("train", "validation", "calibration", "unlabelled")
    return {name: case_keys(part) for name in names if (part := getattr(parts, name)) is not None}


def known_conditions(training: Dataset, config: Config) -> tuple[Condition, ...]:
    """Return the conditions that at least `least_cases` training cases name; INVALID where fewer than two remain."""
    conditions = conditions_of(training.samples)
    counts = {
        condition: sum(condition.name in sample.target for sample in training.samples) for condition in conditions
    }
    frequent = tuple(condition for condition in conditions if counts[condition] >= config.least_cases)
    if len(frequent) < 2:
        detail = (
            f"{len(frequent)} conditions have {config.least_cases} training cases: lower least_cases, or bring "
            "more labelled cases"
        )
        raise DermisError(Kind.INVALID, "CONDITIONS", detail)
    return frequent
