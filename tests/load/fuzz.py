"""schemathesis with all checks and links over the whole OpenAPI file, against real processes: `python -m tests.load.fuzz`."""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.load import stack

CONFIG = Path(__file__).with_name("schemathesis.toml")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.load.fuzz", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--examples", type=int, default=100, help="most examples of each operation and phase (100)")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="dermis-fuzz-"))
    try:
        with stack.running(folder, quick=True, own_mount=False) as parts:
            command = [
                *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(CONFIG), "run", f"{parts.url}/openapi.json"),
                *("--checks", "all", "--max-examples", str(options.examples)),
                *("--generation-deterministic", "--continue-on-failure", "--no-color"),
                *("--request-timeout", "60", "--warnings", "off"),
            ]
            return subprocess.run(command, check=False, cwd=folder).returncode
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
