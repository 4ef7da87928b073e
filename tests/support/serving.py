"""`twinbox serve` as a process of its own, on the installation of an app that a test has made."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from sync.app import App
from tests.support.app_factory import make_key


@contextmanager
def serving(app: App, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """The process, with further settings (`TWINBOX_...`). Fails if its log tells of a bug."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TWINBOX_")} | {
        "TWINBOX_DATA_DIR": str(app.settings.data_dir),
        "TWINBOX_KEYS": make_key(),
        "TWINBOX_ALLOW_NETWORKS": "127.0.0.0/8",
        **settings,
    }
    log = app.settings.data_dir / "serve.log"
    with log.open("ab") as file:
        process = subprocess.Popen([sys.executable, "-m", "cli.main", "serve"], env=environment, stderr=file)
        try:
            yield process
        finally:
            process.kill()
            process.wait()
    assert "Traceback" not in log.read_text()
