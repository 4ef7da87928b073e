"""Reads YAML as Compose and Prometheus do, but refuses a key that stands twice: they would take one of the two."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml


def read_yaml(path: Path) -> Any:
    """The one document of a file, anchors and merges resolved. Raises ValueError for a key that stands twice."""
    text = path.read_text(encoding="utf-8")
    twice = sorted(set(_twice(yaml.compose(text, yaml.SafeLoader))))
    if twice:
        raise ValueError(f"{path.name} has twice: {', '.join(twice)}")
    return yaml.safe_load(text)


def _twice(node: Any) -> Iterator[str]:
    if node.id == "mapping":
        keys = [key.value for key, _ in node.value]
        yield from (key for key in keys if keys.count(key) > 1)
        for _, value in node.value:
            yield from _twice(value)
    elif node.id == "sequence":
        for value in node.value:
            yield from _twice(value)
