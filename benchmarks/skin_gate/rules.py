"""What the out-of-distribution rules of the bundles that ship with dermis refuse, photo by photo, after the gate."""

from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources import as_file
from pathlib import Path

import numpy as np

from dermis.metadata.core.encode import encode_batch
from dermis.shared.case import MAX_IMAGES
from dermis.shared.vocabulary import SelfReport
from dermis.trainer.evaluation.predict import Bundle, open_bundle
from dermis.worker.core import texture
from dermis.worker.core.prepare import Image, fit
from dermis.worker.core.texture import Textures

BUNDLES = {"drawings' bundle": "dermis.standalone.demo", "lesions bundle": "dermis.standalone.lesions"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """A bundle's rules on what it does not know, as the worker asks them: of embeddings, of textures or of both."""

    bundle: Bundle
    textures: Textures | None

    def refuse(self, working: Image) -> bool:
        """Return whether a case of this one photo, uint8[H,W,3], without answers is OUT_OF_DISTRIBUTION."""
        manifest = self.bundle.manifest
        size = manifest.image_size
        images, mask = np.zeros((1, MAX_IMAGES, size, size, 3), np.uint8), np.zeros((1, MAX_IMAGES), np.bool_)
        images[0, 0], mask[0, 0] = fit(working, size, manifest.image_fit), True
        rule = manifest.textures
        if rule and self.textures and self.textures.case_score(images[mask]) > rule.threshold:
            return True
        if manifest.outliers and self.bundle.outliers:
            embedding = self.bundle.run(images, mask, encode_batch(self.bundle.schema, [SelfReport()]))[1][0]
            return float(self.bundle.outliers.score(embedding)) > manifest.outliers.threshold
        return False


@cache
def shipped() -> dict[str, Rules]:
    """Return the rules of each bundle that ships, by its name."""
    rules = {}
    for name, package in BUNDLES.items():
        with as_file(resources.files(package).joinpath("bundle")) as folder:
            rules[name] = _rules(folder)
    return rules


def _rules(folder: Path) -> Rules:
    bundle = open_bundle(folder)
    rule = bundle.manifest.textures
    return Rules(bundle=bundle, textures=texture.from_bytes((folder / rule.file).read_bytes()) if rule else None)


def refusing(working: Image) -> tuple[str, ...]:
    """Name the bundles whose rule refuses a working image, uint8[H,W,3]."""
    return tuple(name for name, each in shipped().items() if each.refuse(working))
