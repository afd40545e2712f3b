"""What the proof of the trainer on a GPU looks for, in a real training on processors: this proves the script alone."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.system import prove_gpu
from tests.system.proofs import NotProven

pytestmark = pytest.mark.trainer


@pytest.fixture
def run(tmp_path: Path) -> prove_gpu.Run:
    """The trainer of this environment, whose TensorFlow sees no GPU."""

    def start(*words: str, gpus: bool, entrypoint: str | None = None) -> "subprocess.CompletedProcess[str]":
        del gpus
        begin = [sys.executable] if entrypoint else [sys.executable, "-m", "dermis.standalone"]
        local = [word.replace("/tmp/", f"{tmp_path}/") for word in words]  # noqa: S108 - the container's own
        return subprocess.run([*begin, *local], capture_output=True, text=True, check=False)

    return start


def test_a_training_names_what_the_proof_reads(run: prove_gpu.Run) -> None:
    done = run(*prove_gpu.TRAIN, gpus=False)
    assert done.returncode == 0, done.stderr
    assert "is within" in prove_gpu.agrees(done.stdout)


def test_a_trainer_without_a_gpu_refuses_and_is_told_apart(run: prove_gpu.Run) -> None:
    assert prove_gpu.refuses_without(run).startswith("it ended with 75")
    with pytest.raises(NotProven, match="sees no GPU"):
        prove_gpu.sees_a_gpu(run)
    with pytest.raises(NotProven, match="ended with 75"):
        prove_gpu.trains(run, [])
