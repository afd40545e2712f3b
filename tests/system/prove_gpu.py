"""Prove that the trainer's image trains on a GPU, `python -m tests.system.prove_gpu`.

Needs a machine with an NVIDIA GPU, Docker with the NVIDIA container toolkit, and the image that
services/trainer/Dockerfile takes for GPUs. Each row is PROVEN or NOT, with what was seen; the exit code is 0 where all
are proven. Without a GPU there is one row, NOT, and nothing is touched.
"""

import argparse
import re
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

from tests.system.proofs import NotProven, Proofs, command, need_image

ROOT = Path(__file__).parents[2]
IMAGE = "tensorflow/tensorflow:2.20.0-gpu"
TRAIN = ("train", "tutorial", "--data", "generated:7:60", "--store", "file:///tmp/store", "--cache", "/tmp/cache")  # noqa: S108 - the container's
TRAIN_ON_GPU = (*TRAIN, "--gpus", "1")
TOLERANCE = 1e-4
RETRYABLE = 75
Run = Callable[..., "subprocess.CompletedProcess[str]"]
"""Runs `dermis WORDS`, with `gpus` or without them in sight; or another program, `entrypoint`."""


def in_docker(image: str) -> Run:
    def run(*words: str, gpus: bool, entrypoint: str | None = None) -> "subprocess.CompletedProcess[str]":
        options = ["--gpus", "all"] if gpus else []
        options += ["--entrypoint", entrypoint] if entrypoint else []
        return subprocess.run(
            ["docker", "run", "--rm", "--cap-drop", "ALL", "--shm-size", "1g", *options, image, *words],
            capture_output=True,
            text=True,
            timeout=1800,
            check=False,
        )

    return run


def build(base: str, name: str) -> str:
    words = ("--build-arg", f"BASE={base}", "--build-arg", "TENSORFLOW=base", "--tag", name)
    command("docker", "build", "--quiet", "-f", "services/trainer/Dockerfile", *words, str(ROOT), timeout_s=1800)
    return "services/trainer/Dockerfile builds on it"


def sees_a_gpu(run: Run) -> str:
    look = "import tensorflow as tf; print(tf.__version__, len(tf.config.list_physical_devices('GPU')))"
    version, count = _output(run("-c", look, gpus=True, entrypoint="python3")).splitlines()[-1].split()
    if not int(count):
        raise NotProven(f"TensorFlow {version} of the image sees no GPU; is the NVIDIA container toolkit there?")
    return f"TensorFlow {version} sees {count}"


def refuses_without(run: Run) -> str:
    """Asked for a GPU, with none in sight, it must not train on processors instead."""
    done = run(*TRAIN_ON_GPU, gpus=False)
    if done.returncode != RETRYABLE or "TensorFlow sees 0" not in done.stdout + done.stderr:
        raise NotProven(f"it ended with {done.returncode}: {_last_line(done)}")
    return f"it ended with {done.returncode}: {_last_line(done)}"


def trains(run: Run, output: list[str]) -> str:
    """Train as the tutorial does, and keep what it wrote."""
    output.append(_output(run(*TRAIN_ON_GPU, gpus=True)))
    return output[-1].splitlines()[-1]


def agrees(output: str) -> str:
    """The exported model, run by TensorFlow and by OpenVINO, answers as the trained one did."""
    line = re.search(r"largest difference of TensorFlow and OpenVINO to the trained model: (\S+)", output)
    if not line:
        raise NotProven("no training named the difference")
    if not float(line[1]) <= TOLERANCE:
        raise NotProven(f"the export is {line[1]} off; {TOLERANCE:g} is allowed")
    return f"the export is within {line[1]} of the trained model"


def _output(done: "subprocess.CompletedProcess[str]") -> str:
    if done.returncode:
        raise NotProven(f"it ended with {done.returncode}: {_last_line(done)}")
    return done.stdout


def _last_line(done: "subprocess.CompletedProcess[str]") -> str:
    return ((done.stdout + done.stderr).strip() or "without a word").splitlines()[-1]


def prove(run: Run, proofs: Proofs) -> None:
    output: list[str] = []
    proofs.row("TensorFlow sees a GPU", lambda: sees_a_gpu(run))
    proofs.row("no GPU, no training", lambda: refuses_without(run))
    proofs.row("it trains", lambda: trains(run, output))
    proofs.row("the export agrees", lambda: agrees("".join(output)))


def need_gpu() -> str:
    try:
        return command("nvidia-smi", "-L").splitlines()[0]
    except (NotProven, IndexError) as error:
        raise NotProven(f"no GPU can be had: {error}") from error


def main(argv: list[str] | None = None) -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--image", default=IMAGE, help="TensorFlow's image for GPUs (%(default)s)")
    base = options.parse_args(argv).image
    proofs, name = Proofs(), f"dermis-prove-{uuid.uuid4().hex[:8]}"
    if not proofs.row("a GPU", need_gpu) or not proofs.row(f"the image {base}", lambda: need_image(base)):
        return proofs.exit_code()
    try:
        if proofs.row("our image", lambda: build(base, name)):
            prove(in_docker(name), proofs)
    finally:
        subprocess.run(["docker", "image", "rm", "--force", name], capture_output=True, check=False)
    return proofs.exit_code()


if __name__ == "__main__":
    sys.exit(main())
