"""docs/tutorial/train-and-serve.md, every command of it in its order, as a reader types them."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from dermis.shared.bundles import read_current, read_manifest
from dermis.shared.case import Outcome
from dermis.shared.stores import open_store

pytestmark = [pytest.mark.trainer, pytest.mark.nightly]
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/tutorial/train-and-serve.md"
ABSTAINED = 3


def commands() -> list[str]:
    return [
        line for line in re.findall(r"^    (\S.*)$", PAGE.read_text(), re.MULTILINE) if not line.startswith("make ")
    ]


def environment(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DERMIS_")}
    room = {"DERMIS_GATEWAY_MIN_FREE_BYTES": str(8 << 20)}  # a machine that tests may have little left
    return kept | room | {"TMPDIR": str(tmp_path), "DERMIS_GATEWAY_PORT": "0", "PYTHONDONTWRITEBYTECODE": "1"}


def bash(command: str, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", command], cwd=ROOT, env=environ, capture_output=True, text=True, check=False)


@pytest.mark.timeout(900)
def test_every_command_of_the_tutorial(tmp_path: Path) -> None:
    environ = environment(tmp_path)
    exports = [command for command in commands() if command.startswith("export ")]
    rest = [command for command in commands() if command not in exports]
    told = bash("; ".join([*exports, "env -0"]), environ).stdout
    environ |= {
        name: value
        for name, _, value in (line.partition("=") for line in told.split("\0"))
        if name.startswith(("TRY", "DERMIS_"))
    }
    assert environ["DERMIS_STORE_URL"].startswith(f"file://{tmp_path}/"), "the tutorial writes outside of its folder"
    up = next(command for command in rest if command.endswith("dermis up"))
    before, after = rest[: rest.index(up)], rest[rest.index(up) + 1 :]
    said = {}
    for command in before:
        done = bash(command, environ)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        said[command.split("dermis ", 1)[1].split(" --")[0]] = done.stdout
    assert "published dermis/1" in said["train tutorial"]
    assert "FINISHED" in said["models"]
    assert "monk_bin=MST_7_10" in said["models show 1"]
    assert "PROMOTED: dermis 1" in said["promote 1"]
    store = open_store(environ["DERMIS_STORE_URL"])
    manifest = read_manifest(store, read_current(store).current)
    assert {"config", "data", "split", "code", "run"} <= set(manifest.lineage)
    with (tmp_path / "up.log").open("w") as log:
        server = subprocess.Popen(["bash", "-c", f"exec {up}"], cwd=ROOT, env=environ, stdout=log, stderr=log)
    try:
        end = time.monotonic() + 120
        while "ready in" not in (tmp_path / "up.log").read_text():
            assert server.poll() is None, (tmp_path / "up.log").read_text()
            assert time.monotonic() < end, (tmp_path / "up.log").read_text()
            time.sleep(0.2)
        [url] = re.findall(r"ready in .*?(http://[0-9.:]+)", (tmp_path / "up.log").read_text())
        assert after
        for command in after:
            done = bash(f"{command} --url {url}", environ)  # a reader's gateway has the port that assess looks at
            assert done.returncode in (0, ABSTAINED), f"{command}\n{done.stdout}\n{done.stderr}"
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(60)
    [answered] = [
        Outcome.model_validate_json(store.get(key)) for key in store.list("cases/") if key.endswith("/outcome.json")
    ]
    assert answered.model is not None
    assert (answered.model.version, answered.model.purpose) == (1, "demo")
    assert {ranked.condition for ranked in answered.differential} == {condition.id for condition in manifest.conditions}
