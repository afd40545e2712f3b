#!/usr/bin/env bash
# Builds what a release would publish into a temporary folder, checks it, and starts the wheel in a fresh environment.
set -euo pipefail
cd "$(dirname "$0")/.."
built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT

.venv/bin/python scripts/check_version.py
for project in pyproject.toml clients/*/pyproject.toml; do
  [[ ! -e $project ]] || .venv/bin/uv build -q --out-dir "$built/dist" "$(dirname "$project")"
done
.venv/bin/twine check --strict "$built"/dist/*.whl "$built"/dist/*.tar.gz

.venv/bin/uv venv -q "$built/venv"
install=(.venv/bin/uv pip install -q --no-deps --python "$built/venv/bin/python")
"${install[@]}" --require-hashes -r requirements/standalone.txt
"${install[@]}" "$built"/dist/*.whl
cd "$built"
venv/bin/dermis --help >/dev/null
venv/bin/dermis --version
