"""Tells which cases a model learned from, by the run's record, and how many of a data set are among them."""

import hashlib
import json
from collections.abc import Mapping

from dermis.data.dataset import Dataset
from dermis.shared.evaluation import SeenInTraining
from dermis.shared.manifest import Manifest
from dermis.shared.ports import BlobNotFound, BlobStore
from dermis.trainer.records.facts import Learned
from dermis.trainer.records.runs import LEARNED_FILE, run_key

EVERY_CASE = "every case"


def case_keys(dataset: Dataset) -> list[str]:
    """Return a short digest for each case, of its id and its images' names.

    Of generated cases, which have no names, of the seed too.

    The same case has the same key in a part of its data set, in a copy of some of it, and in several sets trained
    together.
    """
    mixed, keys = {table.partition("/")[0] for table in dataset.tables if "/" in table}, []
    for sample in dataset.samples:
        head, _, rest = sample.id.partition("/")
        source, name = (head, rest) if rest and head in mixed else ("", sample.id)
        seed = dataset.tables.get(f"{source}/generated" if source else "generated", "").split(",")[0]
        text = json.dumps([seed, name, sorted(key.rpartition("/")[2] for key in sample.images)])
        keys.append(hashlib.sha256(text.encode()).hexdigest()[:16])
    return keys


def seen_in_training(
    manifest: Manifest, dataset: Dataset, *, whole: str, split: str | None, store: BlobStore | None
) -> SeenInTraining | None:
    """Return what is known of cases that the model was trained or calibrated on, None if nothing speaks for any.

    `cases`, `calibrated`: how many of the `of`, None where only the data set is known to be the same; `how`: by what.
    `whole`, `split`: digests of the data set that these are cases of, and of the split that chose them.
    """
    if record := _record(manifest, store):
        keys = case_keys(dataset)
        learned, calibrated = (
            sum(key in warning for key in keys)
            for warning in (
                {key for part in ("train", "validation") for key in record.parts.get(part, ())},
                set(record.parts.get("calibration", ())),
            )
        )
        how = f"by the record of {record.run_id}"
        return (
            SeenInTraining(cases=learned, calibrated=calibrated, of=len(dataset), how=how)
            if learned + calibrated
            else None
        )
    lineage: Mapping[str, str] = manifest.lineage
    if lineage.get("data") != whole or (
        split and split == lineage.get("split") and lineage.get("learned") != EVERY_CASE
    ):
        return None
    how = "the bundle says that it was made from this very data set"
    return SeenInTraining(cases=None, calibrated=None, of=len(dataset), how=how)


def warning(seen: SeenInTraining) -> str:
    if seen.cases is None:
        count = f"some or all of these {seen.of:,} cases were"
    elif not seen.cases:
        return (
            f"{seen.calibrated or 0:,} of {seen.of:,} cases calibrated this model ({seen.how}): "
            "its calibration and coverage show better than they are."
        )
    else:
        count = f"{seen.cases:,} of {seen.of:,} cases were"
    return (
        f"{count} in this model's training ({seen.how}): these figures tell how well it remembers them, not how good "
        "it is. Measure it on cases that it has not seen; what models that had not seen them scored stands in the "
        "bundle's own evaluation.json."
    )


def _record(manifest: Manifest, store: BlobStore | None) -> Learned | None:
    if store is None or "run" not in manifest.lineage:
        return None
    try:
        return Learned.model_validate_json(store.get(f"{run_key(manifest.lineage['run'])}/{LEARNED_FILE}"))
    except BlobNotFound:
        return None
