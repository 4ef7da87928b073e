"""Alembic's scripts, packaged so that an installed Twinbox finds them. Running them is left to `sync.migrate`."""
