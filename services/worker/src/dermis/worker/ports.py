"""What the pipeline needs from outside."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from dermis.shared.manifest import Manifest
from dermis.shared.vocabulary import SelfReport


class Models(Protocol):
    def pinned(self) -> Manifest:
        """Return the manifest of the model that a case taken up now is to be answered with; UNAVAILABLE if none is."""
        ...


class Features(Protocol):
    def encode(self, schema_id: str, report: SelfReport) -> npt.NDArray[np.float32]:
        """Return float32[F] by the feature schema with this content id."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """One case as the model takes it: `images` uint8[3, S, S, 3], `image_mask` bool[3], `features` float32[F]."""

    images: npt.NDArray[np.uint8]
    image_mask: npt.NDArray[np.bool_]
    features: npt.NDArray[np.float32]


class Classifier(Protocol):
    def probabilities(self, manifest: Manifest, inputs: Inputs) -> npt.NDArray[np.float32]:
        """Return float32[K], uncalibrated, from exactly this version of the model."""
        ...


class Announcer(Protocol):
    def announce(self, case_id: str, fact: str) -> None:
        """Wake whoever waits for a fact of this case; a hint that may be lost."""
        ...

    def reply(self, scratch_id: str, report: bytes) -> None:
        """Answer whoever waits for this image's quality report; a hint that may be lost."""
        ...
