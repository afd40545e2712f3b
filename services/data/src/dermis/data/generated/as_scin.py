"""Generated cases as a folder that is a SCIN source itself.

It has the two tables and images/, so that everything can be tried without the bucket.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from dermis.data.data_source import DRAWINGS, GENERATED_CELL, write_data_source
from dermis.data.generated.cases import GeneratedCase, cases
from dermis.data.scin.columns import (
    CASE_COLUMNS,
    CASES_FILE,
    LABEL_COLUMNS,
    LABELS_FILE,
    POOLS,
    YES,
)
from dermis.data.scin.rows import Row, answer_cells, as_csv, image_cells
from dermis.shared.ports import BlobStore
from dermis.shared.vocabulary import MonkSkinTone


def write_as_scin(
    store: BlobStore, *, seed: int, count: int, longest: int, step: Callable[[], None] = lambda: None
) -> int:
    """Put `count` generated cases of `seed` into a store as SCIN's tables and PNGs, and return the number of images.

    The same again changes nothing; `BlobConflict` if there are others. One dermatologist graded each case, and nobody
    estimated its Fitzpatrick type; both Monk pools saw the tone painted.
    """
    ids = np.random.default_rng(seed).integers(-(2**63), 2**63 - 1, 4 * count)
    rows, images = [], 0
    for case in cases(seed, count, longest=longest):
        numbers = [int(number) for number in ids[4 * case.index : 4 * case.index + 4]]
        rows.append(_row(case, numbers[0], numbers[1:]))
        for number, image in zip(numbers[1:], case.images, strict=False):
            _, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
            store.put_once(f"images/{number}.png", data.tobytes())
            images += 1
        step()
    columns = {LABELS_FILE: LABEL_COLUMNS, CASES_FILE: CASE_COLUMNS}
    tables = {file: as_csv(rows, list(names)) for file, names in columns.items()}
    for file, content in tables.items():
        store.put_once(file, content)
    write_data_source(store, DRAWINGS, tables)
    return images


def _row(case: GeneratedCase, case_id: int, images: Sequence[int]) -> Row:
    cells = {"case_id": str(case_id), "source": GENERATED_CELL, "release": "1.0.0", "year": "2023"}
    photos = [(str(image), shot) for image, shot in zip(images, case.shot_types, strict=False)]
    cells |= answer_cells(case.self_report) | image_cells(photos)
    tone = str(tuple(MonkSkinTone).index(case.monk_skin_tone) + 1)
    cells |= {f"gradable_for_monk_skin_tone_{pool}": "True" for pool in POOLS}
    cells |= {f"monk_skin_tone_label_{pool}": tone for pool in POOLS}
    return cells | {
        "dermatologist_gradable_for_skin_condition_1": YES,
        "dermatologist_skin_condition_on_label_name": repr([case.condition]),
        "dermatologist_skin_condition_confidence": "[5]",
        "weighted_skin_condition_label": repr({case.condition: 1.0}),
    }
