#!/usr/bin/env bash
# Pins every dependency with hashes and without index addresses, so that plain pip can install it from any mirror.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v uv >/dev/null || {
    echo "uv is missing: pipx install uv" >&2
    exit 1
}

pin() {
    uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
        --no-header --quiet "$@"
}

pin -o requirements.lock
pin --extra dev -o requirements-dev.lock
