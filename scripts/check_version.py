"""See that every file that states the version states pyproject.toml's; with --write put it there."""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# File -> what stands before the version. Generated files (OpenAPI, the chart's renders) have checks of their own.
STATED = {
    "helm/dermis/Chart.yaml": r'^(?:version: |appVersion: ")',
    "clients/typescript/package.json": r'^  "version": "',
    "Dockerfile": r"^ARG VERSION=",
    "services/trainer/Dockerfile": r"^ARG VERSION=",
    "services/serving/tfserving/Dockerfile": r"^ARG VERSION=",
    "tests/contract/openapi.json": r'^    "version": "',
}
PROJECTS = "clients/*/pyproject.toml"


def places() -> dict[Path, re.Pattern[str]]:
    stated = {ROOT / name: before for name, before in STATED.items()}
    stated |= dict.fromkeys(ROOT.glob(PROJECTS), r'^version = "')
    return {path: re.compile(f'({before})([0-9][^"\\s]*)', re.MULTILINE) for path, before in stated.items()}


def main() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    wrong = []
    for path, pattern in places().items():
        text = path.read_text(encoding="utf-8")
        versions = {match[2] for match in pattern.finditer(text)}
        if versions != {version}:
            wrong.append(f"{path.relative_to(ROOT)} states {', '.join(sorted(versions)) or 'none'}, not {version}")
        if "--write" in sys.argv:
            path.write_text(pattern.sub(rf"\g<1>{version}", text), encoding="utf-8")
    if wrong and "--write" not in sys.argv:
        sys.exit("\n".join([*wrong, "put it right: scripts/check_version.py --write"]))


if __name__ == "__main__":
    main()
