"""Painted images for real tables: SCIN's own rows, with drawn skin in place of the photos that they name."""

from collections.abc import Callable

import cv2

from dermis.data.data_source import DRAWINGS, scin_source, write_data_source
from dermis.data.generated.cases import case
from dermis.data.scin.columns import CASES_FILE, LABELS_FILE
from dermis.data.scin.source import Scin
from dermis.shared.ports import BlobStore


def image_keys(scin: Scin) -> list[str]:
    """Return the key of every image that the tables name, once, in their order."""
    return list(dict.fromkeys(key for images in scin.cases["images"] for key, _ in images))


def paint_images(
    scin: Scin, store: BlobStore, *, seed: int, longest: int, step: Callable[[], None] = lambda: None
) -> int:
    """Put the tables as they are and a painted PNG under each image's name into a store; return how many images.

    A picture shows nothing of its case: what learns from it is a rehearsal. The same again changes nothing;
    `BlobConflict` if there are others.
    """
    keys = image_keys(scin)
    for index, key in enumerate(keys):
        pixels = cv2.cvtColor(case(seed, index, longest=longest).images[0], cv2.COLOR_RGB2BGR)
        store.put_once(key, cv2.imencode(".png", pixels)[1].tobytes())
        step()
    tables = {file: scin.store.get(file) for file in (LABELS_FILE, CASES_FILE)}
    for file, data in tables.items():
        store.put_once(file, data)
    write_data_source(store, f"{scin_source(scin.store, scin.tables).name}'s tables with {DRAWINGS}", tables)
    return len(keys)
