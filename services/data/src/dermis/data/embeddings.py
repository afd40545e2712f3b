"""The embeddings of images, as `dermis data embed` writes them or as they come from elsewhere: an .npz."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dermis.shared.errors import DermisError, Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """`vectors` float[N, E], a row per key in `images`; `bundle`: what made them."""

    images: Sequence[str]
    vectors: npt.NDArray[np.floating[Any]]
    bundle: str

    def of(self, images: Sequence[str]) -> npt.NDArray[np.floating[Any]]:
        """Return the rows of `images`, a row of zeros, similar to none, for one that has no embedding."""
        place = {name: row for row, name in enumerate(self.images)}
        vectors = np.vstack([self.vectors, np.zeros((1, self.vectors.shape[1]), self.vectors.dtype)])
        return np.asarray(vectors[[place.get(name, -1) for name in images]])


def read_embeddings(path: Path) -> Embeddings:
    """Read an .npz with the arrays `image` [N], each once, and `embedding` [N, E], and if there `bundle`.

    INVALID if it has others.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in ("image", "embedding", "bundle") if name in archive}
    except (ValueError, OSError, AttributeError) as error:
        raise DermisError(Kind.INVALID, "EMBEDDINGS", f"{path.name} is no .npz of plain arrays ({error})") from error
    images, vectors = arrays.get("image"), arrays.get("embedding")
    if images is None or vectors is None or vectors.ndim != 2 or images.shape != vectors.shape[:1]:
        raise DermisError(
            Kind.INVALID, "EMBEDDINGS", f"{path.name} has to hold the arrays image [N] and embedding [N, E]"
        )
    if len(set(images.tolist())) != len(images) or not np.isfinite(vectors).all():
        raise DermisError(
            Kind.INVALID,
            "EMBEDDINGS",
            f"{path.name} names an image twice or holds a number that is not finite: embed again",
        )
    return Embeddings(
        images=[str(name) for name in images], vectors=vectors, bundle=str(arrays.get("bundle", "not told"))
    )
