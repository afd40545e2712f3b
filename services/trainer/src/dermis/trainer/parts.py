"""Cases as the arrays that a model takes, made by the very functions that serve."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dermis.metadata.core.encode import encode_batch
from dermis.shared.case import MAX_IMAGES
from dermis.shared.manifest import FeatureSchema, FitzpatrickGroup
from dermis.shared.vocabulary import SelfReport
from dermis.trainer.data.generated import GeneratedCase
from dermis.worker.core.differential import FITZPATRICK_GROUPS
from dermis.worker.core.prepare import fit


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """N cases: `inputs` by the signature's names, `labels` int[N], and what slices are cut by."""

    inputs: dict[str, npt.NDArray[np.generic]]
    labels: npt.NDArray[np.int64]
    monk_skin_tones: tuple[str, ...]
    reports: tuple[SelfReport, ...]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def groups(self) -> tuple[FitzpatrickGroup | None, ...]:
        """Self-reported Fitzpatrick group of each case, None where not given."""
        return tuple(FITZPATRICK_GROUPS.get(report.fitzpatrick_skin_type) for report in self.reports)

    def without_images(self) -> dict[str, npt.NDArray[np.generic]]:
        return {**self.inputs, "image_mask": np.zeros_like(self.inputs["image_mask"])}

    def without_answers(self, schema: FeatureSchema) -> dict[str, npt.NDArray[np.generic]]:
        return {**self.inputs, "features": encode_batch(schema, [SelfReport()] * len(self))}


def collect(cases: Iterable[GeneratedCase], *, schema: FeatureSchema, conditions: Sequence[str], image_size: int) -> Part:
    """Prepare cases; `conditions` gives each condition's name its label."""
    images, masks, labels, tones, reports = [], [], [], [], []
    for case in cases:
        slots = np.zeros((MAX_IMAGES, image_size, image_size, 3), np.uint8)
        for slot, image in zip(slots, case.images, strict=False):
            slot[:] = fit(image, image_size)
        images.append(slots)
        masks.append([n < len(case.images) for n in range(MAX_IMAGES)])
        labels.append(conditions.index(case.condition))
        tones.append(case.monk_skin_tone.value)
        reports.append(case.self_report)
    inputs = {"images": np.stack(images), "image_mask": np.array(masks), "features": encode_batch(schema, reports)}
    return Part(inputs=inputs, labels=np.array(labels), monk_skin_tones=tuple(tones), reports=tuple(reports))
