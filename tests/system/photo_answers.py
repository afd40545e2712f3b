"""Puts a folder of files through every route that takes photos and prints one table: one answer a row.

`python -m tests.system.photo_answers FOLDER [--trainer-python .venv-trainer/bin/python]`

The routes: the API's `POST /v1/cases` (gateway and worker, in this process), the page's first call
`POST /v1/images:assess` with the file itself, a batch's row, `dermis data images`, and the trainer's `prepare`; the
last two run in the trainer's environment.
"""

import argparse
import asyncio
import json
import logging
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from dermis.gateway.settings import GatewaySettings
from dermis.shared.case import Assessed, fact_key
from dermis.shared.jobs import AssessImageJob, AssessJob
from dermis.shared.report import QualityReport
from dermis.shared.vocabulary import SelfReport
from tests.unit.gateway.conftest import Gateway
from tests.unit.worker.test_pipeline import World

ROOT = Path(__file__).parents[2]
TRAINER = """
import csv, json, pathlib, sys
from dermis.data.cli import data
from dermis.trainer.model.inputs import prepare
source, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
data.main(["images", "--data", f"file://{source}", "--prefix", "", "--store", f"file://{out / 'store'}", "--local",
           "--processes", "1", "--out", str(out / "images")], standalone_mode=False)
rows = {row["image"]: row for row in csv.DictReader((out / "images" / "images.csv").open())}
for path in sorted(source.iterdir()):
    row = rows[path.name]
    found = prepare(path.read_bytes(), 224)
    print("ANSWER " + json.dumps([path.name, row["phash"], row["fault"], found is not None]))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a route says of a photo: `phash` of the working image where it is taken, "" where the route tells none.

    Words where not.
    """

    taken: bool
    phash: str = ""
    words: str = ""

    def __str__(self) -> str:
        return f"taken {self.phash}".strip() if self.taken else self.words


class Remembering(World):
    """Ports of a worker that remember the last reply to who wants an image judged at once."""

    last: bytes | None = None

    def reply(self, _scratch_id: str, report: bytes) -> None:
        self.last = report


class Routes:
    """Gateway and worker in one process, over one store."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self.gateway = Gateway(runner)
        self.gateway.settings["max_image_bytes"] = GatewaySettings.model_fields["max_image_bytes"].default
        self.world = Remembering(store=self.gateway.store)
        self.pipeline = self.world.pipeline()
        self.gateway.broker.worker = self._assess
        self.gateway.broker.ask = self._ask  # type: ignore[method-assign]

    async def _assess(self, job: AssessJob) -> None:
        self.pipeline.assess(job)

    async def _ask(self, job: AssessImageJob, *, seconds: float) -> bytes | None:  # noqa: ARG002 - the port's name
        self.pipeline.assess_image(job)
        return self.world.last

    async def _work_done(self) -> None:
        await asyncio.gather(*self.gateway.broker.tasks)

    def api(self, data: bytes, name: str) -> Answer:
        answer = self.gateway.submit(data, names=name)
        if answer.status_code != 202:
            return _refusal(answer.status_code, answer.json())
        self.gateway.runner.run(self._work_done())
        key = fact_key("public", answer.json()["id"], "assessed")
        image = Assessed.model_validate_json(self.gateway.store.get(key)).images[0]
        return _judged(image.quality, image.phash)

    def page(self, data: bytes, name: str) -> Answer:
        answer = self.gateway.call("POST", "/v1/images:assess", files={"image": (name, data, "image/jpeg")})
        if answer.status_code != 200:
            return _refusal(answer.status_code, answer.json())
        return _judged(QualityReport.model_validate(answer.json()), None)

    def batch(self, data: bytes) -> Answer:
        _, (image,) = self.pipeline.assess_row("row", [data], SelfReport())
        return _judged(image.quality, image.phash)


def _refusal(status: int, problem: dict[str, Any]) -> Answer:
    return Answer(taken=False, words=f"{status} {problem['reason']}: {problem['detail']}")


def _judged(report: QualityReport, hashed: str | None) -> Answer:
    if report.measures is None:
        return Answer(taken=False, words=f"{report.reasons[0]}: {report.advice[0]}")
    return Answer(taken=True, phash=hashed or "")


def by_trainer(files: dict[str, bytes], python: Path) -> dict[str, tuple[Answer, Answer]]:
    """Return the answers of `dermis data images` and of the trainer's `prepare`.

    The files are all listed as `<name>.jpg`.
    """
    with tempfile.TemporaryDirectory(prefix="dermis-photos-") as folder:
        source, out = Path(folder, "source"), Path(folder, "out")
        source.mkdir()
        for name, data in files.items():
            (source / f"{name}.jpg").write_bytes(data)
        done = subprocess.run(
            [python, "-c", TRAINER, source, out], cwd=ROOT, check=False, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])
    answers = {}
    for line in done.stdout.splitlines():
        if line.startswith("ANSWER "):
            name, hashed, fault, prepared = json.loads(line.removeprefix("ANSWER "))
            answers[name.removesuffix(".jpg")] = (
                Answer(taken=bool(hashed), phash=hashed, words=fault),
                Answer(taken=prepared, words="not prepared"),
            )
    return answers


def answers(files: dict[str, bytes], *, trainer_python: Path | None) -> dict[str, dict[str, Answer]]:
    """Return each route's answer for each file."""
    trained = by_trainer(files, trainer_python) if trainer_python else {}
    table: dict[str, dict[str, Answer]] = {}
    with asyncio.Runner() as runner:
        routes = Routes(runner)
        for name, data in files.items():
            table[name] = {"API": routes.api(data, name), "page": routes.page(data, name), "batch": routes.batch(data)}
            if name in trained:
                table[name] |= dict(zip(("data images", "trainer"), trained[name], strict=True))
    return table


def agree(row: dict[str, Answer]) -> bool:
    """Whether all routes take a photo, as the same picture, or none does."""
    hashes = {answer.phash for answer in row.values() if answer.phash}
    return len({answer.taken for answer in row.values()}) == 1 and len(hashes) <= 1


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.system.photo_answers", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--trainer-python", type=Path, default=ROOT / ".venv-trainer" / "bin" / "python")
    options = parser.parse_args(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    files = {path.name: path.read_bytes() for path in sorted(options.folder.iterdir()) if path.is_file()}
    python = options.trainer_python if options.trainer_python.exists() else None
    if python is None:
        print(f"{options.trainer_python} is not there: `dermis data images` and the trainer are left out")
    table = answers(files, trainer_python=python)
    for name, row in table.items():
        first = next(iter(row.values()))
        print(f"{name:<42}{'one answer' if agree(row) else 'SEVERAL':<12}{', '.join(row)}: {first}")
        if not agree(row):
            print("\n".join(f"{'':<42}{route:<12}{answer}" for route, answer in row.items()))
    several = sum(not agree(row) for row in table.values())
    print(
        f"{len(table)} files, {sum(next(iter(row.values())).taken for row in table.values())} taken, "
        f"{several} with several answers"
    )
    return 1 if several else 0


if __name__ == "__main__":
    sys.exit(main())
