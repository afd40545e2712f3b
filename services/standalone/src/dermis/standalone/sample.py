"""The sample case of `dermis demo`, put through a dermis that is starting."""

from typing import Any

from dermis.shared.vocabulary import ShotType
from dermis.standalone import demo
from dermis.standalone.answers_file import read_answers
from dermis.standalone.client import Api
from dermis.standalone.core.answers import self_report


def assess_sample(url: str, *, deadline: float) -> dict[str, Any]:
    """Return the sample case as the gateway at `url` shows it in the end; `deadline` on the monotonic clock."""
    images = sorted(demo.CASE.glob("*.jpg"))  # each named as its shot type
    answers = demo.CASE / "answers.json"
    report = self_report(read_answers(answers), source=str(answers))
    api = Api(url)
    case = api.submit(images, shot_types=[ShotType(image.stem.upper()) for image in images], report=report, deadline=deadline)
    return api.follow(case, deadline=deadline).model_dump(mode="json")
