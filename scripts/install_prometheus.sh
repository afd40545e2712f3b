#!/usr/bin/env bash
# Makes sure that ENV (a virtual environment) has prometheus and promtool: those on PATH, else the binaries out of Debian's package.
#   scripts/install_prometheus.sh .venv
set -euo pipefail
env=$(realpath "${1:?usage: $0 ENV}")
missing=()
for name in promtool prometheus; do
  if [[ -x $env/bin/$name ]]; then continue; fi
  if command -v "$name" >/dev/null; then ln -sf "$(command -v "$name")" "$env/bin/$name"; else missing+=("$name"); fi
done
if [[ ${#missing[@]} -eq 0 ]]; then exit 0; fi
command -v apt-get >/dev/null || { echo "no ${missing[*]} on PATH and no apt-get: install Prometheus" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
cd "$work"
apt-get download -qq prometheus 2>/dev/null || { apt-get update -qq && apt-get download -qq prometheus; }
for name in "${missing[@]}"; do
  dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x "./usr/bin/$name"
  install -m 755 "usr/bin/$name" "$env/bin/$name"
done
