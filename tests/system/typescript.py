"""The built TypeScript client against real processes: `python -m tests.system.typescript`.

`make client` has to build it first.
"""

import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from dermis.shared.api_keys import Scope, make_key, put_key
from dermis.shared.stores import open_store
from dermis.standalone import demo
from tests.system import stack

CLIENT = Path(__file__).parents[2] / "clients" / "typescript"


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="dermis-typescript-"))
    try:
        with stack.running(folder, quick=True, own_mount=False) as parts:
            key, token = make_key(name="smoke", scopes=(Scope.ADMIN,), at=datetime.now(UTC))
            put_key(open_store(parts.store_url), key)
            command = ["node", str(CLIENT / "smoke.mjs"), parts.url, str(demo.CASE / "close_up.jpg"), token]
            return subprocess.run(command, check=False, timeout=120).returncode
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
