#!/usr/bin/env bash
# Drafts a migration: brings a throw-away SQLite database to the newest revision and writes what the models add to it.
# Read and tidy the result by hand; tests/integration/test_migrations.py then holds it to the models.
set -euo pipefail
cd "$(dirname "$0")/.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export TWINBOX_DATABASE_URL="sqlite:///$scratch/draft.db"

.venv/bin/alembic upgrade head
.venv/bin/alembic revision --autogenerate -m "$1"
.venv/bin/ruff check --quiet --fix migrations || true
.venv/bin/ruff format --quiet migrations
