"""The built TypeScript client against real processes: `python -m tests.system.typescript`.

`make client` has to build it first.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2

from dermis.shared.api_keys import Scope, make_key, put_key
from dermis.shared.stores import open_store
from dermis.standalone import demo
from tests.support.client_scenarios import CLIENTS, KEYS, SCENARIOS, scenario_runner
from tests.system import stack
from tests.system.proxy import Proxy

CLIENT = CLIENTS / "typescript"
LOOPBACK = {"DERMIS_WORKER_WEBHOOK_NETWORKS": "127.0.0.0/8"}
IMAGE = demo.CASE / "close_up.jpg"


def new_token(
    store_url: str, *, livemode: bool, scopes: tuple[Scope, ...] = (Scope.ADMIN,), owner: str | None = None
) -> str:
    key, token = make_key(name="smoke", scopes=scopes, at=datetime.now(UTC), livemode=livemode, owner=owner)
    put_key(open_store(store_url), key)
    return token


def scenario_keys(store_url: str) -> dict[str, str]:
    key, other = (new_token(store_url, livemode=False) for _ in range(2))
    owner = key.partition(".")[0]
    publishable = new_token(store_url, livemode=False, scopes=(Scope.CASES_CREATE,), owner=owner)
    return dict(zip(KEYS, (key, other, publishable), strict=True))


def run_scenarios(url: str, keys: Mapping[str, str], folder: Path) -> int:
    """Return how many scenarios came out otherwise than expected, and say which."""
    failed = 0
    with scenario_runner(["node", str(CLIENT / "scenarios.mjs")], url, keys, folder, IMAGE) as runner:
        for scenario in SCENARIOS:
            if problems := runner.faults_of(scenario):
                failed += 1
                print(f"{scenario['name']}: {'; '.join(problems)}")
    print(f"TypeScript client: {len(SCENARIOS) - failed} of {len(SCENARIOS)} scenarios as expected")
    return failed


def build_app() -> None:
    """Compile the blocks of docs/how-to/mobile.md as one file, which imports the client by its name."""
    page = (CLIENTS.parent / "docs" / "how-to" / "mobile.md").read_text(encoding="utf-8")
    app = CLIENT / "dist" / "app" / "mobile.ts"
    app.parent.mkdir(exist_ok=True)
    app.write_text("\n".join(re.findall(r"```ts\n(.*?)```", page, re.DOTALL)), encoding="utf-8")
    options = [
        "--strict",
        "--target",
        "es2022",
        "--module",
        "nodenext",
        "--types",
        "node",
        "--lib",
        "es2022,dom,dom.iterable",
    ]
    subprocess.run(["npx", "tsc", *options, str(app)], check=True, cwd=CLIENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class AppKeys:
    """What the app of mobile.md is built with, and what its server has."""

    app: str
    server: str


def app_keys(store_url: str) -> AppKeys:
    app = new_token(store_url, livemode=True, scopes=(Scope.CASES_CREATE,))
    scopes = (Scope.CASES_READ, Scope.WEBHOOKS_WRITE)
    return AppKeys(app=app, server=new_token(store_url, livemode=True, scopes=scopes, owner=app.partition(".")[0]))


def run_app(url: str, keys: AppKeys, folder: Path) -> int:
    """Run the app over a network that is slow and cut three times while the photo goes up; return 1 if it fails."""
    photo = folder / "photo.jpg"
    pixels = cv2.resize(cv2.imread(str(IMAGE)), (4000, 3000), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(photo), pixels, [cv2.IMWRITE_JPEG_QUALITY, 97])
    size = photo.stat().st_size
    proxy = Proxy(url.partition("//")[2])
    proxy.slow_s = 0.02
    cuts: list[int] = []
    cutter = threading.Thread(target=_cut_three_times, args=(proxy, size, cuts), daemon=True)
    try:
        cutter.start()
        arguments = (f"http://{proxy.address}", keys.app, url, keys.server, str(photo))
        command = ["node", str(CLIENT / "mobile.mjs"), *arguments]
        done = subprocess.run(command, check=False, timeout=180, capture_output=True, text=True)
        cutter.join(5)
    finally:
        proxy.stop()
    print(f"the app of mobile.md, {size:,} bytes of photo: {done.stdout.strip() or done.stderr}")
    print(f"  {proxy.passed:,} bytes came from the app, {len(cuts)} cuts of {cuts} open connections")
    return int(bool(done.returncode) or not _is_as_the_page_says(json.loads(done.stdout), cuts))


def _is_as_the_page_says(result: dict[str, Any], cuts: list[int]) -> bool:
    ends = (result["verdict"], bool(result["kind"]), result["shared"], result["withTheKeyOfTheApp"], result["gone"])
    notices = {name: (data["case_id"], data["livemode"]) for name, data in result["webhooks"].items()}
    return (
        len(cuts) == 3
        and min(cuts) >= 1
        and result["percents"][0] == 0
        and result["percents"][-1] == 100
        and ends == ("USABLE", True, 303, 403, 404)
        and result["forged"] == 400
        and notices == dict.fromkeys(("case.finished", "case.erased"), (result["case"], True))
    )


def _cut_three_times(proxy: Proxy, size: int, cuts: list[int]) -> None:
    """Cut while a photo of `size` bytes goes up: after a fifth, two and three of it have passed, some of them again."""
    for fifth in (1, 2, 3):
        while proxy.passed < fifth * size / 5:
            time.sleep(0.01)
        cuts.append(proxy.cut_now())
        time.sleep(0.3)
        proxy.cut = False


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="dermis-typescript-"))
    try:
        with stack.running(folder, quick=True, own_mount=False, **LOOPBACK) as parts:
            token = new_token(parts.store_url, livemode=True)
            command = ["node", str(CLIENT / "smoke.mjs"), parts.url, str(IMAGE), token]
            smoke = subprocess.run(command, check=False, timeout=120).returncode
            failed = run_scenarios(parts.url, scenario_keys(parts.store_url), folder)
            build_app()
            return smoke or failed or run_app(parts.url, app_keys(parts.store_url), folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
