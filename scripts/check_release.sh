#!/usr/bin/env bash
# Whether this tree may be tagged: nothing uncommitted, and CHANGELOG dates the version that pyproject.toml states.
set -euo pipefail
cd "$(dirname "$0")/.."
fail() { echo "no release: $*" >&2; exit 1; }

version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
[[ -z $(git status --porcelain) ]] || fail "the tree has changes that are not committed"
grep -qE "^## ${version//./\\.} - [0-9]{4}-[0-9]{2}-[0-9]{2}$" CHANGELOG.md || fail "CHANGELOG.md has no entry '## $version - YYYY-MM-DD'"
git rev-parse -q --verify "refs/tags/v$version" >/dev/null && fail "the tag v$version is there already"
echo "dermis $version can be released"
