"""What a training run says of itself: immutable facts, and its state, a pure fold over them.

Frozen like the facts of a case: fields are added with a default, never removed, renamed or given another meaning.
"""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from dermis.shared.case import Fact
from dermis.shared.manifest import VersionRef


class RunConfig(Fact):
    """What a run depends on. `data` and `split`: digests, by name; `parameters`: the config's values, as JSON."""

    name: str
    purpose: str
    parameters: dict[str, Any] = Field(default_factory=dict)
    data: dict[str, str] = Field(default_factory=dict)
    split: str | None = None
    seeds: dict[str, int] = Field(default_factory=dict)


class Started(Fact):
    """`started.json`. `code`: version and digest of the code that trains."""

    run_id: str
    started_at: datetime
    config: RunConfig
    code: str
    hardware: str


class Learned(Fact):
    """`learned.json`: the cases of each part (train, validation, calibration) as `learned.case_keys` names them.

    It stays in the store.
    """

    run_id: str
    parts: dict[str, tuple[str, ...]]


class Resumed(Fact):
    """`resumed/<attempt>.json`: attempt 2 or later begins, after epoch `after`."""

    run_id: str
    attempt: int
    resumed_at: datetime
    after: int
    code: str
    hardware: str


class Epoch(Fact):
    """`epochs/<k>.json`, k from 1."""

    run_id: str
    epoch: int
    ended_at: datetime
    metrics: dict[str, float]
    stage: str = ""
    of: int | None = None


class Ended(Fact):
    """`stopped/<attempt>.json`: someone stopped it; `failed/<attempt>.json`: it could not go on.

    Both can be resumed.
    """

    run_id: str
    attempt: int
    ended_at: datetime
    reason: str
    detail: str = ""


class RunStopped(Ended):
    pass


class RunFailed(Ended):
    pass


class RunFinished(Fact):
    """`finished.json`: the version that came of it."""

    run_id: str
    finished_at: datetime
    version: VersionRef


class Checkpoint(Fact):
    """`checkpoints/<k>/complete.json`: every file of the checkpoint after epoch k with its SHA-256."""

    epoch: int
    files: dict[str, str]


class RunStatus(StrEnum):
    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    STOPPED = "STOPPED"


AnyRunFact = Started | Resumed | Epoch | RunStopped | RunFailed | RunFinished


class RunState(BaseModel):
    """A run by its facts. `last_sign`: when it last wrote one; a killed run stays RUNNING and writes no more."""

    model_config = ConfigDict(frozen=True)

    started: Started | None = None
    resumed: Resumed | None = None
    epoch: Epoch | None = None
    ended: RunStopped | RunFailed | None = None
    finished: RunFinished | None = None

    @property
    def attempt(self) -> int:
        return self.resumed.attempt if self.resumed else 1

    @property
    def status(self) -> RunStatus | None:
        """What the facts imply, None without any; the end of an attempt no longer counts once the next has begun."""
        if self.finished:
            return RunStatus.FINISHED
        if self.ended and self.ended.attempt >= self.attempt:
            return RunStatus.FAILED if isinstance(self.ended, RunFailed) else RunStatus.STOPPED
        return RunStatus.RUNNING if self.started or self.resumed or self.epoch else None

    @property
    def last_sign(self) -> datetime | None:
        signs = (
            self.started and self.started.started_at,
            self.resumed and self.resumed.resumed_at,
            self.epoch and self.epoch.ended_at,
            self.ended and self.ended.ended_at,
            self.finished and self.finished.finished_at,
        )
        return max((sign for sign in signs if sign), default=None)


def fold_run(facts: Iterable[AnyRunFact]) -> RunState:
    """Fold facts, in any order and however often repeated, into the state of a run.

    The last epoch and attempt count.
    """
    state: dict[str, AnyRunFact] = {}

    def keep(name: str, fact: AnyRunFact, order: tuple[int, ...]) -> None:
        if name not in state or order > _order(state[name]):
            state[name] = fact

    for fact in facts:
        match fact:
            case Started():
                keep("started", fact, _order(fact))
            case RunFinished():
                keep("finished", fact, _order(fact))
            case Resumed():
                keep("resumed", fact, _order(fact))
            case Epoch():
                keep("epoch", fact, _order(fact))
            case RunStopped() | RunFailed():
                keep("ended", fact, _order(fact))
    return RunState.model_validate(state)


def _order(fact: AnyRunFact) -> tuple[int, ...]:
    """Of two facts of one kind the later one; of an attempt that was stopped and failed, the failure."""
    if isinstance(fact, Epoch):
        return (fact.epoch,)
    return (fact.attempt, isinstance(fact, RunFailed)) if isinstance(fact, Resumed | RunStopped | RunFailed) else ()
