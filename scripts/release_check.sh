#!/usr/bin/env bash
# Whether this tree can be released: clean, one version everywhere, CHANGELOG says what it brings, and the wheel works.
set -euo pipefail
cd "$(dirname "$0")/.."
built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT
fail() { echo "no release: $*" >&2; exit 1; }

version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
[[ -z $(git status --porcelain) ]] || fail "the tree has changes that are not committed"
grep -qE "^## $version - [0-9]{4}-[0-9]{2}-[0-9]{2}$" CHANGELOG.md || fail "CHANGELOG.md has no entry '## $version - YYYY-MM-DD'"
.venv/bin/python scripts/check_version.py

for project in . clients/*/pyproject.toml; do
  [[ -e $project ]] && .venv/bin/uv build -q --out-dir "$built" "$(dirname "$project/.")"
done
.venv/bin/twine check --strict "$built"/*.whl "$built"/*.tar.gz

.venv/bin/uv venv -q "$built/venv"
.venv/bin/uv pip install -q --python "$built/venv/bin/python" --require-hashes -r requirements/standalone.txt
.venv/bin/uv pip install -q --python "$built/venv/bin/python" --no-deps "$built/dermis-$version"-*.whl
"$built/venv/bin/dermis" --help >/dev/null
echo "dermis $version can be released"
