"""Write the OpenAPI description of the gateway to tests/contract/openapi.json, or see with --check that it is fresh."""

import json
import sys
from pathlib import Path

from dermis.gateway.bootstrap import build
from dermis.gateway.settings import GatewaySettings

GOLDEN = Path(__file__).parent.parent / "tests" / "contract" / "openapi.json"


def rendered() -> str:
    app = build(GatewaySettings(store_url="file:///nowhere"))
    return json.dumps(app.openapi(), indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    if "--check" not in sys.argv:
        GOLDEN.write_text(rendered(), encoding="utf-8")
    elif GOLDEN.read_text(encoding="utf-8") != rendered():
        sys.exit(f"{GOLDEN.name} is stale; run {Path(__file__).name}")


if __name__ == "__main__":
    main()
