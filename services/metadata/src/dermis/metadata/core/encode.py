"""Encodes self-reports as feature vectors: one-hot columns, of which one stands for "absent"."""

import enum
import typing
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from dermis.shared.answers import Answers, answers_of
from dermis.shared.errors import DermisError, Kind
from dermis.shared.manifest import FeatureSchema
from dermis.shared.vocabulary import ScinAnswers, SelfReport

Vector = npt.NDArray[np.float32]


def _values_of(annotation: Any) -> frozenset[str]:
    if isinstance(annotation, type) and issubclass(annotation, enum.StrEnum):
        return frozenset(annotation)
    return frozenset().union(*(_values_of(part) for part in typing.get_args(annotation)))


VOCABULARY: Mapping[str, frozenset[str]] = {
    name: _values_of(field.annotation) for name, field in ScinAnswers.model_fields.items()
}


class Encoder:
    """A feature schema made ready: each answer's columns looked up once."""

    def __init__(self, schema: FeatureSchema) -> None:
        self.columns = schema.columns
        position = {column: index for index, column in enumerate(self.columns)}
        self._choices: dict[str, dict[str, int]] = {}
        self._absent = [position[f"{field.name}=ABSENT"] for field in schema.fields]
        firsts = [0, *(absent + 1 for absent in self._absent[:-1])]
        self._bounds = [bound for pair in zip(firsts, self._absent, strict=True) for bound in pair]
        """Where each field's values and its "absent", the last of its columns, begin."""
        for field in schema.fields:
            # A value that the vocabulary has and this schema has not was unknown to the model: absent to it.
            values = VOCABULARY[field.name] - set(field.absent_values)
            columns = {
                value: position[f"{field.name}={value}"] for value in values if f"{field.name}={value}" in position
            }
            self._choices[field.name] = columns

    def encode(self, reports: Sequence[Answers]) -> npt.NDArray[np.float32]:
        """Return float32[N, F]; INVALID names the row, field and value of an answer outside the vocabulary."""
        columns: list[int] = []
        counts: list[int] = []
        seen: dict[tuple[str, tuple[str, ...]], list[int]] = {}
        for row, answers in enumerate(reports):
            before = len(columns)
            for answer in answers.items():
                encoded = seen.get(answer)
                if encoded is None:
                    encoded = seen[answer] = self._columns_of(*answer, row, len(reports))
                columns += encoded
            counts.append(len(columns) - before)
        matrix = np.zeros((len(reports), len(self.columns)), np.float32)
        matrix[np.repeat(np.arange(len(reports)), counts), columns] = 1
        # Next to a real choice, a value that counts as absent says nothing.
        matrix[:, self._absent] = np.maximum.reduceat(matrix, self._bounds, axis=1)[:, ::2] == 0
        return matrix

    def _columns_of(self, name: str, values: tuple[str, ...], row: int, rows: int) -> list[int]:
        vocabulary = VOCABULARY.get(name)
        if vocabulary is None:
            raise DermisError(Kind.INVALID, "UNKNOWN_FIELD", f"{name!r} is no answer of a self-report")
        if not vocabulary.issuperset(values):
            raise _unknown_value(name, next(value for value in values if value not in vocabulary), row, rows)
        columns = self._choices.get(name, {})
        return [columns[value] for value in values if value in columns]


@lru_cache(maxsize=64)
def encoder(schema: FeatureSchema) -> Encoder:
    return Encoder(schema)


def encode(schema: FeatureSchema, report: SelfReport) -> Vector:
    """Return float32[F] of one self-report."""
    vector: Vector = encode_batch(schema, [report])[0]
    return vector


def encode_batch(schema: FeatureSchema, reports: Iterable[SelfReport]) -> npt.NDArray[np.float32]:
    """Return float32[N, F], a row a self-report."""
    return encoder(schema).encode([answers_of(report) for report in reports])


def _unknown_value(name: str, value: str, row: int, rows: int) -> DermisError:
    where = f"self_reports[{row}]." if rows > 1 else ""
    values = ", ".join(sorted(VOCABULARY[name]))
    return DermisError(
        Kind.INVALID,
        "UNKNOWN_VALUE",
        f"{where}{name}={value!r} is not in the vocabulary; use one of {values}",
        pointer=f"/{name}",
    )
