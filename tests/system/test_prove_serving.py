"""The logic of the proofs, with the twin in TensorFlow Serving's place.

This proves the script, not TensorFlow Serving.
"""

import subprocess
from pathlib import Path

import pytest

from tests.support.serving import run_twin
from tests.system import prove_gpu, prove_serving
from tests.system.proofs import NotProven, Proofs

LOG = """I tensorflow_serving/servables/tensorflow/saved_model_warmup_util.cc:241] Finished reading warmup data for \
model at /store/models/dermis/{version}/assets.extra/tf_serving_warmup_requests. Number of warmup records read: {count}\
. Elapsed time (microseconds): 9."""


@pytest.fixture
def docker_without_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `docker` that reaches no registry; returns the file that it writes its calls into."""
    calls = tmp_path / "calls"
    docker = tmp_path / "bin/docker"
    docker.parent.mkdir()
    docker.write_text(f'#!/bin/sh\necho "$1 $2" >> {calls}\necho "no such host" >&2\nexit 1\n')
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(docker.parent), prepend=":")
    return calls


def test_the_twin_shows_what_both_must_and_nothing_of_tensorflow_serving_alone(tmp_path: Path) -> None:
    prove_serving.roll_out(tmp_path, 1)
    proofs = Proofs()
    with run_twin(tmp_path) as twin:
        subject = prove_serving.Subject(address=twin.address, metrics_url="http://127.0.0.1:9/", log=lambda: "")
        prove_serving.prove(subject, tmp_path, proofs)
    assert dict(proofs.rows) == {
        "health and a first version": True,
        "every flag is taken": False,
        "Predict equals the twin's": True,
        "models.config is read again": True,
        "warm-up is run": False,
        "batching.config is in force": False,
        "metrics": False,
        "contract suite": True,
    }
    assert proofs.exit_code() == 1


def test_a_server_that_never_gets_ready_ends_the_proof(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prove_serving, "READY_S", 0.5)
    proofs = Proofs()
    subject = prove_serving.Subject(address="127.0.0.1:9", metrics_url="http://127.0.0.1:9/", log=lambda: "a\nb")
    prove_serving.prove(subject, tmp_path, proofs)
    assert proofs.rows == [("health and a first version", False)]


def test_answers_that_differ_are_not_equal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prove_serving, "TOLERANCE", -1.0)
    prove_serving.roll_out(tmp_path, 1)
    with run_twin(tmp_path) as twin:
        twin.wait_for(v1="AVAILABLE")
        with pytest.raises(NotProven, match="off the twin's"):
            prove_serving.equals_twin(twin)


@pytest.mark.parametrize(
    ("counts", "proven"), [((1, 1, 1, 1), True), ((1, 1), False), ((1, 0, 1, 1), False), ((), False)]
)
def test_warm_up_is_read_from_its_log(counts: tuple[int, ...], proven: bool) -> None:
    log = "\n".join(LOG.format(version=at, count=count) for at, count in enumerate(counts, start=1))
    proofs = Proofs()
    assert proofs.row("warm-up", lambda: prove_serving.warm_up_ran(log)) is proven


def test_a_flag_that_it_does_not_know_is_named() -> None:
    with pytest.raises(NotProven, match="enable_batchin"):
        prove_serving.flags_are_taken("unknown argument: --enable_batchin\nRunning gRPC ModelServer at 0.0.0.0:8500")


def test_without_the_image_nothing_is_touched(docker_without_images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prove_serving.main([]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("NOT: the image tensorflow/serving:2.19.1: image can't be had: docker pull --quiet ended")
    assert docker_without_images.read_text().splitlines() == ["image inspect", "pull --quiet"]


def test_without_docker_the_reason_is_that(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "")
    assert prove_serving.main([]) == 1
    assert "image can't be had" in capsys.readouterr().out


def test_without_a_gpu_nothing_is_touched(docker_without_images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (docker_without_images.parent / "bin/nvidia-smi").symlink_to("/bin/false")
    assert prove_gpu.main([]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("NOT: a GPU: no GPU can be had: nvidia-smi -L ended")
    assert not docker_without_images.exists()


@pytest.mark.parametrize(("seen", "code"), [([], 1), ([True], 0), ([True, False], 1)])
def test_all_rows_have_to_be_proven(seen: list[bool], code: int) -> None:
    assert Proofs(rows=[(str(at), each) for at, each in enumerate(seen)]).exit_code() == code


@pytest.mark.parametrize(("line", "proven"), [("3.1e-07", True), ("0.002", False), ("nan", False)])
def test_an_export_that_is_off_is_not_proven(line: str, proven: bool) -> None:
    output = f"largest difference of TensorFlow and OpenVINO to the trained model: {line}\n"
    assert Proofs().row("the export agrees", lambda: prove_gpu.agrees(output)) is proven


def test_a_machine_whose_image_ends_is_not_proven() -> None:
    def run(*words: str, gpus: bool, entrypoint: str | None = None) -> "subprocess.CompletedProcess[str]":
        return subprocess.CompletedProcess([*words, str(gpus), str(entrypoint)], 1, "", "no device driver")

    proofs = Proofs()
    prove_gpu.prove(run, proofs)
    assert [proven for _, proven in proofs.rows] == [False, False, False, False]
