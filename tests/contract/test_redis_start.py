"""Compose and the chart start Redis in the same way, and a queue that can't be loaded keeps neither from starting."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


def of_compose() -> str:
    text = re.search(r"^  redis:\n(?:    .*\n)+", (ROOT / "docker-compose.yml").read_text(), re.MULTILINE)
    assert text
    shell, flag, script = yaml.safe_load(text[0])["redis"]["entrypoint"]
    assert (shell, flag) == ("sh", "-c")
    return str(script).replace("$$", "$")


def of_the_chart() -> str:
    kinds = yaml.safe_load_all((ROOT / "k8s" / "base" / "redis.yaml").read_text())
    (stateful,) = (each for each in kinds if each["kind"] == "StatefulSet")
    shell, flag, script = stateful["spec"]["template"]["spec"]["containers"][0]["command"]
    assert (shell, flag) == ("sh", "-c")
    return str(script)


def test_both_say_the_same() -> None:
    assert of_compose() == of_the_chart()


@pytest.mark.parametrize("damaged", [True, False])
def test_a_damaged_queue_is_moved_aside_and_a_sound_one_is_kept(tmp_path: Path, damaged: bool) -> None:
    programs, data = tmp_path / "bin", tmp_path / "data"
    for folder in (programs, data / "appendonlydir", data / "damaged"):
        folder.mkdir(parents=True)
    (data / "appendonlydir" / "appendonly.aof.manifest").write_text("file appendonly.aof.1.incr.aof seq 1 type i\n")
    for name, text in {"redis-check-aof": f"exit {int(damaged)}", "redis-server": 'echo "started $*"'}.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    environ = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "REDIS_FOLDER": str(data)}
    command = ["sh", "-c", of_compose(), "redis-server", "--appendonly", "yes"]
    result = subprocess.run(command, check=True, env=environ, capture_output=True, text=True)
    assert result.stdout == "started --appendonly yes\n"
    assert (data / "appendonlydir").exists() is not damaged
    assert (data / "damaged" / "appendonly.aof.manifest").exists() is damaged
