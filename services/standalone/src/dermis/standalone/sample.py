"""The sample case of `dermis demo`, put through a dermis that is starting."""

import time
from typing import Any, cast

from dermis.client import Client, ShotType
from dermis.standalone import demo
from dermis.standalone.answers_file import read_answers
from dermis.standalone.core.answers import as_sent, self_report


def assess_sample(url: str, *, deadline: float) -> dict[str, Any]:
    """Return the sample case as the gateway at `url` shows it in the end; `deadline` on the monotonic clock."""
    images = sorted(demo.CASE.glob("*.jpg"))  # each named as its shot type
    answers = demo.CASE / "answers.json"
    report = self_report(read_answers(answers), source=str(answers))
    shot_types = cast(list[ShotType], [image.stem.upper() for image in images])
    with Client(url) as client:
        case = client.assess(images, shot_types=shot_types, report=as_sent(report), timeout=deadline - time.monotonic())
    return case.model_dump(mode="json")
