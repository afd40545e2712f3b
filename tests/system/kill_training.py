"""`python -m tests.system.kill_training --kills 3`: kill -9 `dermis train` in mid-training.

The same command is let go on, and compared with runs left alone.

Shown: every kill came before the last epoch, and the run went on after an epoch that it had kept; its epochs are those
of the run left alone with the same seed, so its batches came in the same order; its last validation loss lies within
the spread of three seeds. A kill that came too late is a failure of this test. Needs the trainer's environment;
generated cases only.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from dermis.shared.stores import open_store
from dermis.trainer.records.runs import read_run, run_ids

ROOT = Path(__file__).parents[2]
DERMIS = ROOT / ".venv-trainer/bin/dermis"
CONFIG = """
import dataclasses
from dermis.trainer.training import loop
from dermis.trainer.configs import demo
from dermis.trainer.config import Stage
loop.CHECKPOINT_S = 0.0
STAGES = (
    Stage(epochs={head}, learning_rate=3e-3),
    Stage(after="", epochs={fine}, learning_rate=1e-3, images="augmented"),
)
CONFIG = dataclasses.replace(demo.CONFIG, seed={seed}, image_size=48, stages=STAGES, patience=None)
"""


def command(folder: Path, name: str, seed: int, epochs: tuple[int, int]) -> list[str]:
    page = folder / f"seed{seed}.py"
    page.write_text(CONFIG.format(seed=seed, head=epochs[0], fine=epochs[1]))
    store = (folder / name).as_uri()
    fixed = ["--data", "generated:31:150:48", "--store", store, "--cache", str(folder / "cache"), "--quiet"]
    return [str(DERMIS), "train", str(page), *fixed]


def epochs_of(folder: Path, name: str) -> list[dict[str, float]]:
    """Return the metrics of every epoch of a store's one run."""
    store = open_store((folder / name).as_uri())
    (run_id,) = run_ids(store)
    keys = sorted(
        store.list(f"runs/{run_id}/epochs/"), key=lambda key: int(key.rpartition("/")[2].removesuffix(".json"))
    )
    return [json.loads(store.get(key))["metrics"] for key in keys]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3, help="how many runs are left alone, for the spread")
    parser.add_argument("--epochs", type=int, nargs=2, default=(10, 10), help="of the head, of the whole")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    given = parser.parse_args()
    moments = random.Random(given.seed)  # noqa: S311
    epochs, environment = tuple(given.epochs), os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    with tempfile.TemporaryDirectory(prefix="dermis-kill-") as scratch:
        folder = Path(scratch)
        for seed in range(given.seeds):
            subprocess.run(
                command(folder, f"alone{seed}", seed, epochs), env=environment, check=True, stdout=subprocess.DEVNULL
            )
        alone = [epochs_of(folder, f"alone{seed}") for seed in range(given.seeds)]
        after: list[int] = []
        for at in sorted(moments.sample(range(2, len(alone[0]) - 1), given.kills)):
            process = subprocess.Popen(command(folder, "killed", 0, epochs), env=environment, stdout=subprocess.DEVNULL)
            while process.poll() is None and done(folder) < max([at, *(kept + 1 for kept in after[-1:])]):
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
            process.wait()
            after.append(done(folder))
        subprocess.run(command(folder, "killed", 0, epochs), env=environment, check=True, stdout=subprocess.DEVNULL)
        resumed = epochs_of(folder, "killed")
        store = open_store((folder / "killed").as_uri())
        state = read_run(store, run_ids(store)[0])
        resumptions = [
            json.loads(store.get(key))["after"] for key in sorted(store.list(f"runs/{run_ids(store)[0]}/resumed/"))
        ]
    losses = [run[-1]["validation_loss"] for run in alone]
    off = max(abs(one[name] - other[name]) for one, other in zip(alone[0], resumed, strict=True) for name in one)
    print(
        f"killed -9 after epochs {after} of {len(resumed)}, went on after {resumptions}; attempts "
        f"{state.attempt}, {state.status}"
    )
    print(f"largest difference of any epoch's metrics to the run left alone: {off:.2g}")
    spread = f"{min(losses):.4f} to {max(losses):.4f}"
    print(
        f"last validation loss {resumed[-1]['validation_loss']:.4f}; of runs left alone, {given.seeds} seeds: {spread}"
    )
    in_time = (
        max(after) < len(resumed)
        and state.attempt == given.kills + 1
        and all(0 < at <= k for at, k in zip(resumptions, after, strict=True))
    )
    return (
        0
        if in_time and off < 1e-3 and min(losses) - 1e-3 <= resumed[-1]["validation_loss"] <= max(losses) + 1e-3
        else 1
    )


def done(folder: Path) -> int:
    """Return how many epochs the run to be killed has told of."""
    if not (folder / "killed").exists():
        return 0
    return sum("/epochs/" in key for key in open_store((folder / "killed").as_uri()).list("runs/"))


if __name__ == "__main__":
    sys.exit(main())
