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
from tests.support.client_scenarios import CLIENTS, SCENARIOS, scenario_runner
from tests.system import stack

CLIENT = CLIENTS / "typescript"
IMAGE = demo.CASE / "close_up.jpg"


def new_token(store_url: str, *, livemode: bool) -> str:
    key, token = make_key(name="smoke", scopes=(Scope.ADMIN,), at=datetime.now(UTC), livemode=livemode)
    put_key(open_store(store_url), key)
    return token


def run_scenarios(url: str, key: str, folder: Path) -> int:
    """Return how many scenarios came out otherwise than expected, and say which."""
    failed = 0
    with scenario_runner(["node", str(CLIENT / "scenarios.mjs")], url, key, folder, IMAGE) as runner:
        for scenario in SCENARIOS:
            if problems := runner.faults_of(scenario):
                failed += 1
                print(f"{scenario['name']}: {'; '.join(problems)}")
    print(f"TypeScript client: {len(SCENARIOS) - failed} of {len(SCENARIOS)} scenarios as expected")
    return failed


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="dermis-typescript-"))
    try:
        with stack.running(folder, quick=True, own_mount=False) as parts:
            token = new_token(parts.store_url, livemode=True)
            command = ["node", str(CLIENT / "smoke.mjs"), parts.url, str(IMAGE), token]
            smoke = subprocess.run(command, check=False, timeout=120).returncode
            return smoke or run_scenarios(parts.url, new_token(parts.store_url, livemode=False), folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
