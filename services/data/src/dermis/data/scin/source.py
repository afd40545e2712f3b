"""SCIN where it lives: open a source, look at its tables, read its images.

The front door for notebooks and for the commands.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from dermis.data.defaults import POLICY, PUBLIC
from dermis.data.scin.attributes import Answers
from dermis.data.scin.columns import CASES_FILE, LABELS_FILE, PERSONS_FILE
from dermis.data.scin.label_policy import LabelPolicy, Labels, apply_policy
from dermis.data.scin.tables import ScinTables, read_tables
from dermis.data.shipped import load
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ports import BlobNotFound, BlobStore
from dermis.shared.stores import open_store

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Image = npt.NDArray[np.uint8]
_READERS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Scin:
    """A SCIN data set: its tables, read, and its images, read when asked for. `source` is the URL it was opened by."""

    source: str
    store: BlobStore
    tables: ScinTables

    @property
    def original(self) -> pd.DataFrame:
        """Every cell as it was written: a row per case, all columns as text."""
        return self.tables.original

    @property
    def cases(self) -> pd.DataFrame:
        """The same rows, typed; the columns are those of `ScinTables`."""
        return self.tables.cases

    def labels(self, policy: str | LabelPolicy = POLICY) -> Labels:
        """Return the label of every case under a policy: its name, the path of its file, or itself."""
        return apply_policy(policy if isinstance(policy, LabelPolicy) else load_policy(policy), self.cases)

    def labelled(self, policy: str | LabelPolicy = POLICY) -> pd.DataFrame:
        """Return the typed rows of the cases that have a label, with `top` and `differential`."""
        labels = self.labels(policy)
        joined = self.cases.merge(labels.frame[["case_id", "top", "differential"]], on="case_id", validate="one_to_one")
        return joined[labels.has_label]

    def image_paths(self, case_id: str) -> list[str]:
        """Return the keys of a case's images, in slot order; NOT_FOUND for an unknown case."""
        rows = self.cases.loc[self.cases["case_id"] == case_id, "images"]
        if rows.empty:
            raise DermisError(
                Kind.NOT_FOUND, "CASE", f"no case {case_id!r} in {self.source}: give a case_id of the table, as text"
            )
        return [key for key, _ in rows.iloc[0]]

    def read_image(self, key: str) -> Image:
        """Return an image as uint8 [height, width, 3] RGB.

        NOT_FOUND if it is not in the store, INVALID if it can't be decoded.
        """
        data = np.frombuffer(self.store.get(key), np.uint8)
        pixels = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
        if pixels is None:
            raise DermisError(
                Kind.INVALID, "IMAGE", f"{key} in {self.source} is no image that can be decoded: fetch it again"
            )
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)

    def read_images(self, keys: Sequence[str]) -> Iterator[tuple[str, Image | None]]:
        """Yield (key, image) in order, read ahead by a few threads and never all in memory.

        None if the image is not in the store.
        """
        with ThreadPoolExecutor(_READERS) as pool:
            for start in range(0, len(keys), _READERS):
                batch = keys[start : start + _READERS]
                yield from zip(batch, pool.map(self._if_there, batch), strict=True)

    def _if_there(self, key: str) -> Image | None:
        try:
            return self.read_image(key)
        except BlobNotFound:
            return None

    def show_case(self, case_id: str) -> "Figure":
        """Return a figure with a case's images side by side and its reference differential; a missing image says so."""
        from matplotlib.figure import Figure

        case = self.cases[self.cases["case_id"] == case_id]
        keys = self.image_paths(case_id)
        figure = Figure(figsize=(4 * max(1, len(keys)), 4.4), layout="constrained")
        panels = figure.subplots(1, max(1, len(keys)), squeeze=False)[0]
        for panel, (key, image), (_, shot) in zip(panels, self.read_images(keys), case["images"].iloc[0], strict=False):
            panel.set_axis_off()
            panel.set_title((shot or "shot type not given") if image is not None else f"{key} is missing", fontsize=9)
            if image is not None:
                panel.imshow(image)
        named = ", ".join(f"{name} {weight:.2f}" for name, weight in case["weights"].iloc[0].items())
        figure.suptitle(f"case {case_id}\n{named or 'no reference differential'}", fontsize=9, wrap=True)
        return figure


def open_scin(source: str = PUBLIC) -> Scin:
    """Open the data set at a store URL (file:///folder or gs://bucket/prefix) that holds the two tables and images/."""
    store = open_store(source)
    try:
        data = {file: store.get(file) for file in (CASES_FILE, LABELS_FILE)}
    except BlobNotFound as error:
        raise DermisError(
            Kind.NOT_FOUND,
            "SCIN_TABLE",
            f"{error.detail} in {source}: name the folder that holds {CASES_FILE}, {LABELS_FILE} and images/",
        ) from error
    tables = read_tables(data[CASES_FILE], data[LABELS_FILE], persons=read_persons(store))
    return Scin(source=source, store=store, tables=tables)


def read_persons(store: BlobStore) -> bytes | None:
    """Return the file that says which cases are of one person, None without one."""
    try:
        return store.get(PERSONS_FILE)
    except DermisError as error:
        if error.kind in (Kind.NOT_FOUND, Kind.PERMISSION):  # a bucket whose keys can't be listed answers so
            return None
        raise


def load_policy(name: str) -> LabelPolicy:
    """Return the policy that comes with dermis under `name`, or the one in the file of that name."""
    return load(name, LabelPolicy, folder="policies", word="label policy")


def to_binary(answers: Answers, values: Sequence[str]) -> pd.DataFrame:
    """Return a column of 1 and 0 per value; a case without a response is missing (<NA>) in all of them, never 0."""
    rows = [
        [pd.NA] * len(values) if answer is None else [int(value in answer) for value in values] for answer in answers
    ]
    return pd.DataFrame(rows, columns=list(values), dtype="Int8")
