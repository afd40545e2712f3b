#!/usr/bin/env bash
# Prints the share of lines that the last `make coverage` ran, by part.
set -euo pipefail
cd "$(dirname "$0")/.."
share() { .venv/bin/coverage report --format=total "$@"; }
printf '%-12s %5s\n' part 'lines'
for folder in shared/src services/*/src clients/*/src; do
  part=$(ls "$folder/dermis" 2>/dev/null | grep -v __pycache__ | head -1) || continue
  printf '%-12s %3s %%\n' "$part" "$(share --include "$folder/*")"
done
printf '%-12s %3s %%\n' all "$(share)"
