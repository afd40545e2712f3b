"""The sample case of `dermis demo`, put through a dermis that is starting."""

from typing import Any

from dermis.standalone import demo
from dermis.standalone.answers_file import read_answers
from dermis.standalone.client import Api
from dermis.standalone.core.answers import self_report


def assess_sample(url: str, *, deadline: float) -> dict[str, Any]:
    """Return the sample case as the gateway at `url` shows it in the end; `deadline` on the monotonic clock."""
    answers = demo.CASE / "answers.json"
    report = self_report(read_answers(answers), source=str(answers))
    api = Api(url)
    return api.follow(api.submit(sorted(demo.CASE.glob("*.jpg")), shot_types=(), report=report, deadline=deadline), deadline=deadline)
