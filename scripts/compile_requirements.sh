#!/usr/bin/env bash
# Compiles the pinned, hashed requirement files from pyproject.toml's extras; no file names a download address.
#   scripts/compile_requirements.sh            keep pins that still fit
#   scripts/compile_requirements.sh --upgrade  take the newest
#   scripts/compile_requirements.sh --check    fail if a file is not what this would write
set -euo pipefail
cd "$(dirname "$0")/.."
uv=${UV:-.venv/bin/uv}
out=requirements
extra=()
case ${1-} in
  --upgrade) extra=(--upgrade) ;;
  --check) out=$(mktemp -d); trap 'rm -rf "$out"' EXIT; cp requirements/*.txt "$out" ;;
  "") ;;
  *) echo "usage: $0 [--upgrade|--check]" >&2; exit 2 ;;
esac

# OpenVINO's telemetry reports to its vendor: it is left out, and OpenVINO then uses its stub.
# tensorflow-serving-api asks for `tensorflow`, crepes and fairlearn for pandas, scipy and scikit-learn; the environment that imports them has these (and tensorflow-cpu).
quiet=$(mktemp) override=$(mktemp)
echo 'openvino-telemetry ; python_version < "3"' | tee "$quiet" >"$override"
printf '%s ; python_version < "3"\n' tensorflow pandas scipy scikit-learn >>"$override"

compile() { # NAME [uv arguments]
  local name=$1; shift
  UV_CUSTOM_COMPILE_COMMAND=scripts/compile_requirements.sh "$uv" pip compile -q --universal --python-version 3.11 \
    --generate-hashes --no-emit-index-url --no-annotate --no-emit-package dermis-client --override "$quiet" "${extra[@]}" -o "$out/$name.txt" "$@"
}
compile uv - <<<"uv"
compile build - <<<$'cyclonedx-bom\nhatchling'
compile charts - <<<$'checkov\nhadolint-bin\nhelm-python-sdk\nhypothesis\nkubernetes-validate\npytest\npytest-timeout'
compile docs - <<<$'mkdocstrings-python\nzensical'
compile mobile --no-deps - <<<$'kotlin-jupyter-kernel\nopenapi-generator-cli' # their jars alone are used
compile runtime pyproject.toml --extra gateway --extra worker --extra metadata --extra serving --extra models --extra local --extra lan
for service in gateway worker metadata serving; do
  compile $service pyproject.toml --extra $service -c "$out/runtime.txt"
done
compile standalone pyproject.toml -c "$out/runtime.txt" # what every part needs, no more
compile sweep pyproject.toml --extra models -c "$out/runtime.txt" # an operator's commands run in its pod
compile trainer pyproject.toml --extra trainer -c "$out/runtime.txt"
compile dev pyproject.toml --extra dev -c "$out/runtime.txt" -c "$out/trainer.txt" --override "$override"
if [[ $out != requirements ]]; then diff -ru requirements "$out" && echo "requirements are fresh"; fi
