"""What `dermis train` was asked to do, and where training keeps what it does."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dermis.trainer.records.runs import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """The options of `dermis train`, as its help describes them; `on_all`: folds, None for the training part."""

    config: str
    store: str
    data: Sequence[str] = ()
    mapping: str | None = None
    policy: str | None = None
    duplicates: str | None = None
    split: str | None = None
    on_all: int | None = None
    settings: Sequence[str] = ()
    grid: Sequence[str] = ()
    resume: str | None = None
    cache: Path = Path(".dermis-cache")
    tensorboard: Path | None = None
    quiet: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """Where training keeps what it does: `cache` of features and images, the `run`'s records, TensorBoard's folder."""

    cache: Path
    run: Run | None = None
    tensorboard: Path | None = None
    quiet: bool = False
