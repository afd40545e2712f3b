#!/usr/bin/env bash
# Generates the committed Python stubs from proto/.
#   scripts/generate_protos.sh          write proto/gen
#   scripts/generate_protos.sh --check  fail if proto/gen is not what this would write
set -euo pipefail
cd "$(dirname "$0")/.."
out=proto/gen
if [[ ${1-} == --check ]]; then out=$(mktemp -d); trap 'rm -rf "$out"' EXIT; fi
mkdir -p "$out"
.venv/bin/python -m grpc_tools.protoc -I proto --python_out="$out" --pyi_out="$out" --grpc_python_out="$out" \
  proto/dermis/api/metadata/v1/features.proto
.venv/bin/python -m grpc_tools.protoc -I proto --python_out="$out" --pyi_out="$out" proto/dermis/api/serving/v1/serving.proto
if [[ $out != proto/gen ]]; then diff -ru -x __pycache__ proto/gen "$out" && echo "stubs are fresh"; fi
