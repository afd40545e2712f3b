#!/usr/bin/env bash
# Takes the two JavaScript libraries of the documentation site out of their npm packages, each checked by its hash.
#   scripts/install_docs_assets.sh DIRECTORY
set -euo pipefail
out=$(realpath "${1:?usage: $0 DIRECTORY}")
packed=$(mktemp -d)
trap 'rm -rf "$packed"' EXIT

take() { # PACKAGE@VERSION SHA512 FILE...
  local package=$1 sha512=$2 archive; shift 2
  archive=$packed/$(cd "$packed" && npm pack --silent "$package")
  [[ $(openssl dgst -sha512 -binary "$archive" | base64 -w0) == "$sha512" ]] || { echo "$package is not what it was when it was pinned" >&2; exit 1; }
  for file in "$@"; do tar -xzf "$archive" -O "package/$file" >"$out/$(basename "$file")"; done
}

take mermaid@12.3.0 "4113TdXeLAsMruJ79OpFL5O8+LTFXhQqZ260rF3tgUmiNAtRm4Uume04I+65PRN6yZ69J4f8rVYWW8zRk65UYw==" dist/mermaid.min.js
take swagger-ui-dist@5.35.0 "U06rpMtW9V3XPGOBeamTUSr0Z09jMX4IJuANpE/EZbAhw0G8CgwrzU4YmXkn/h0wCDNsXdGarTNNHC3sU8yVUQ==" swagger-ui-bundle.js swagger-ui.css
