"""Tunes a process that is ours alone. Entry points call it; a library use or a test never does."""

from __future__ import annotations

import gc


def settle_in() -> None:
    """Collect garbage less often.

    A window of mail makes some hundred thousand short-lived objects without circles; by default the collector looks
    at them after each 700. Measured: 10 % less CPU time for a first sync.
    """
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
