"""What `dermis benchmark scin` does: open the source, choose who competes, run, show."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dermis.trainer.benchmark import BASELINES, POLICY, Contender, Result, as_page, as_tables, make_task, run
from dermis.trainer.contenders import PAIRS, images_at_hand, with_answers, with_images
from dermis.trainer.data.core.groups import read_duplicates
from dermis.trainer.data.core.split import as_text, from_text
from dermis.trainer.inputs import open_dataset
from dermis.trainer.runs import code_version, this_machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    result: Result

    @property
    def text(self) -> str:
        """The tables, for a terminal."""
        lines = []
        for title, rows in as_tables(self.result).items():
            for row in rows:
                first, *rest = row.items()
                lines.append(f"{title}: {first[1]}")
                lines += [f"  {name:<40}{value}" for name, value in rest]
        return "\n".join(lines)

    @property
    def figures(self) -> dict[str, Any]:
        result = self.result
        return {
            "data": result.task.whole.digest,
            "split": result.task.split.digest,
            "conditions": [condition.name for condition in result.task.conditions],
            "cases": len(result.pooled.groups),
            "overall": {model: {name: asdict(figure) for name, figure in found.items()} for model, found in result.overall.items()},
            "by_tone": {
                model: {name: asdict(figure) if figure else None for name, figure in found.items()}
                for model, found in result.by_tone.items()
            },
            "differences": {
                f"{one} - {other}": {name: asdict(figure) for name, figure in found.items()}
                for (one, other), found in result.differences.items()
            },
        }

    def page(self, command: str) -> str:
        return as_page(self.result, command=command, hardware=this_machine(), code=code_version())


def run_scin(
    source: str,
    split: Path | None,
    *,
    duplicates: Path | None = None,
    folds: int,
    seed: int,
    cache: Path,
    images: bool = True,
    say: Callable[[str], None],
) -> Said:
    """Run it; a fold file that is not there yet is written, so that others can be held to the same folds.

    Contenders that see images take part if the source has some; `images=False` leaves them out.
    """
    groups = read_duplicates(duplicates.read_bytes()) if duplicates else None
    known = from_text(split.read_bytes()) if split and split.exists() else None
    task = make_task(open_dataset(source, policy=POLICY, duplicates=groups), known, seed=seed, folds=folds)
    if split and known is None:
        split.write_text(as_text(task.split), encoding="utf-8")
    contenders: dict[str, Contender] = {**BASELINES, **with_answers()}
    labelled = task.whole.labelled()
    if not images:
        say("skipped, as asked: contenders that see images")
    elif not images_at_hand(labelled):
        say(f"skipped: contenders that see images, as {source} has the tables and none of their images; `dermis data fetch` gets them")
    else:
        seeing, embedded = with_images(labelled, cache)
        contenders |= seeing
        say(f"{embedded.found:,} of {embedded.images:,} images are at hand")
    say(f"{len(labelled):,} labelled cases of {len(task.whole):,}, {task.split.folds} folds: {', '.join(contenders)}")
    return Said(result=run(task, contenders, versus=PAIRS, step=lambda name, fold: say(f"fold {fold + 1} of {task.split.folds}: {name}")))
