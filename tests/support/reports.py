"""Self-reports at random, from a seed."""

import random
from enum import StrEnum
from typing import Any, get_args, get_origin

from dermis.shared.vocabulary import SelfReport


def random_reports(count: int, *, seed: int = 0) -> list[SelfReport]:
    rng = random.Random(seed)  # noqa: S311 - no secret
    return [_report(rng) for _ in range(count)]


def _report(rng: random.Random) -> SelfReport:
    answers = {
        name: _answer(field.annotation, rng) for name, field in SelfReport.model_fields.items() if rng.random() < 0.5
    }
    return SelfReport.model_validate(answers)


def _answer(annotation: Any, rng: random.Random) -> Any:
    kind = next(arm for arm in get_args(annotation) if arm is not type(None))
    if kind is bool:
        return rng.random() < 0.5
    if get_origin(kind) is tuple:
        values: list[StrEnum] = list(get_args(kind)[0])
        return rng.sample(values, rng.randint(0, min(3, len(values))))
    return rng.choice(list(kind))
