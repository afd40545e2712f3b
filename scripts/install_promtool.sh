#!/usr/bin/env bash
# Makes sure that ENV (a virtual environment) has promtool: the one on PATH, else the binary out of Debian's package, without the server.
#   scripts/install_promtool.sh .venv
set -euo pipefail
env=$(realpath "${1:?usage: $0 ENV}")
if [[ -x $env/bin/promtool ]]; then exit 0; fi
if command -v promtool >/dev/null; then ln -sf "$(command -v promtool)" "$env/bin/promtool"; exit 0; fi
command -v apt-get >/dev/null || { echo "no promtool on PATH and no apt-get: install Prometheus' promtool" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
cd "$work"
apt-get download -qq prometheus 2>/dev/null || { apt-get update -qq && apt-get download -qq prometheus; }
dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool
install -m 755 usr/bin/promtool "$env/bin/promtool"
