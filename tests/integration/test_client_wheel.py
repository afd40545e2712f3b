"""The client's wheel by itself.

What it brings along, what it owns, and the examples of docs/how-to/clients.md run by it.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from dermis.standalone import demo

ROOT = Path(__file__).parents[2]
UV = [str(Path(sys.executable).with_name("uv"))]
DERMIS = [sys.executable, "-m", "dermis.standalone"]
PAGE = (ROOT / "docs/how-to/clients.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
pytestmark = pytest.mark.timeout(300)


def run(*command: str, **more: object) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheels of the client and of the system."""
    folder = tmp_path_factory.mktemp("wheels")
    for project in (ROOT / "clients/python", ROOT):
        run(*UV, "build", "-q", "--wheel", "-o", str(folder), str(project))
    return folder


def wheel(wheels: Path, name: str) -> Path:
    (path,) = wheels.glob(f"{name}-*.whl")
    return path


def contents(path: Path) -> set[str]:
    return {name for name in zipfile.ZipFile(path).namelist() if name.startswith("dermis/")}


def test_no_file_is_in_both_wheels(wheels: Path) -> None:
    client, system = contents(wheel(wheels, "dermis_client")), contents(wheel(wheels, "dermis"))
    assert {"dermis/client/__init__.py", "dermis/client/py.typed"} <= client
    assert all(name.startswith("dermis/client/") for name in client)
    assert "dermis/standalone/cli.py" in system
    assert client & system == set()
    assert "dermis/__init__.py" not in client | system


def test_the_systems_wheel_carries_weights_with_their_licences(wheels: Path) -> None:
    with zipfile.ZipFile(wheel(wheels, "dermis")) as archive:
        names = set(archive.namelist())
        (notice,) = (name for name in names if name.endswith(".dist-info/licenses/NOTICE"))
        assert archive.read(notice) == (ROOT / "NOTICE").read_bytes()
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    for bundle in ("demo", "lesions"):
        folder = f"dermis/standalone/{bundle}/bundle"
        assert {f"{folder}/model_card.md", f"{folder}/variables/variables.data-00000-of-00001"} <= names
    assert "dermis/worker/skin_gate.tflite" in names


def test_the_systems_wheel_says_whose_the_bundle_of_growths_is(wheels: Path) -> None:
    with zipfile.ZipFile(wheel(wheels, "dermis")) as system:
        (about,) = (name for name in system.namelist() if name.endswith(".dist-info/METADATA"))
        (notice,) = (name for name in system.namelist() if name.endswith(".dist-info/licenses/NOTICE"))
        card = system.read("dermis/standalone/lesions/bundle/model_card.md").decode()
        texts = [system.read(notice).decode(), card]
        metadata = system.read(about).decode()
    assert "License-Expression: Apache-2.0 AND CC-BY-4.0" in metadata
    for text in texts:
        assert "CC BY 4.0" in text
        assert "Apache" in text
        assert "10.17632/zr7vgbcyr2.1" in text


def test_it_needs_few_packages_and_puts_a_case_through(wheels: Path, tmp_path: Path) -> None:
    python = tmp_path / "venv/bin/python"
    run(*UV, "venv", "-q", "--python", sys.executable, str(tmp_path / "venv"))
    pins = str(ROOT / "requirements/runtime.txt")
    run(*UV, "pip", "install", "-q", "--python", str(python), "-c", pins, str(wheel(wheels, "dermis_client")))
    packages = run(*UV, "pip", "freeze", "--python", str(python)).split("\n")[:-1]
    installed = sum(path.stat().st_size for path in (tmp_path / "venv/lib").rglob("*") if path.is_file()) / 1e6
    documented = re.search(r"\((\d+) packages, (\d+) MB", PAGE)
    assert documented
    assert len(packages) <= int(documented[1])
    assert installed <= int(documented[2]) + 2, "with another Python or platform it may be a little more"
    names = {re.split(r"==| @ ", package)[0] for package in packages}
    assert {"dermis-client", "httpx", "pydantic"} <= names

    environment = {name: value for name, value in os.environ.items() if not name.startswith("DERMIS_")}
    command = [*DERMIS, "up", "--state", str(tmp_path / "state"), "--port", "0"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as up:
        assert up.stdout
        try:
            url = next(ready[1] for line in up.stdout if (ready := re.search(r"^ready in .* s: (http://\S+)", line)))
            shutil.copy(demo.CASE / "close_up.jpg", tmp_path / "arm.jpg")
            examples = [example.replace("http://127.0.0.1:8080", url) for example in EXAMPLES]
            printed = [run(str(python), "-I", "-c", example, cwd=tmp_path).split() for example in examples]
        finally:
            up.send_signal(signal.SIGINT)
            up.stdout.read()
    assert len(printed) == 2
    assert printed[0][0] in ("DIFFERENTIAL", "ABSTENTION")
    assert (printed[1][0], printed[1][-1]) == ("received", "outcome")
