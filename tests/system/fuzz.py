"""schemathesis with all checks and links over the whole OpenAPI file, against real processes.

`python -m tests.system.fuzz`
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from dermis.shared.api_keys import Scope, make_key, put_key
from dermis.shared.stores import open_store
from tests.support import images
from tests.system import stack

KEYED = {"DERMIS_GATEWAY_KEYLESS": "false", "DERMIS_GATEWAY_RATE_PER_MINUTE": "0"}
ROOT = Path(__file__).parents[2]
CONFIG = Path(__file__).with_name("schemathesis.toml")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.system.fuzz", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--examples", type=int, default=100, help="most examples of each operation and phase (100)")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="dermis-fuzz-"))
    try:
        source = folder / "source"
        source.mkdir()
        for name in ("a.jpg", "b.jpg"):
            (source / name).write_bytes(images.encode(images.quarters(height=300, width=300), "JPEG"))
        settings = {**KEYED, "DERMIS_GATEWAY_BATCH_SOURCES": source.as_uri()}
        with stack.running(folder, quick=True, own_mount=False, **settings) as parts:
            key, token = make_key(name="fuzz", scopes=(Scope.ADMIN,), at=datetime.now(UTC))
            put_key(open_store(parts.store_url), key)
            command = [
                *(
                    str(Path(sys.executable).with_name("schemathesis")),
                    "--config-file",
                    str(CONFIG),
                    "run",
                    f"{parts.url}/openapi.json",
                ),
                *("--checks", "all", "--max-examples", str(options.examples)),
                *("--generation-deterministic", "--continue-on-failure", "--no-color"),
                *("--request-timeout", "60", "--warnings", "off"),
                *("--header", f"Authorization: Bearer {token}"),
            ]
            more = {
                "SCHEMATHESIS_HOOKS": "tests.system.fuzz_hooks",
                "DERMIS_FUZZ_SOURCE": source.as_uri(),
                "PYTHONPATH": str(ROOT),
            }
            return subprocess.run(command, check=False, cwd=folder, env=os.environ | more).returncode
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
