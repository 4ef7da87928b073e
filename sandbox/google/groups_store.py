"""PRETENDS the truth about one user's labels (contact groups): system ones, own ones, their versions.
Who is in them is known to `people_store`; what a call may do with them is decided by `groups_calls`."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sandbox.google.api_feed import Feed
from sandbox.google.people_knobs import PeopleKnobs
from sandbox.google.people_records import OPEN_SYSTEM_LABELS, SYSTEM_LABELS, Label
from sandbox.google.people_tokens import source_etag
from sandbox.google.people_wire import Json


class LabelStore:
    """All labels of one user. The caller holds the book's lock."""

    def __init__(
        self, now: Callable[[], datetime], rng: random.Random, knobs: PeopleKnobs, number: Callable[[], int]
    ) -> None:
        """`number` gives the running number of the next version in this book."""
        self.feed: Feed[Label] = Feed()
        self.living: dict[str, Label] = {}
        self._now = now
        self._rng = rng
        self._knobs = knobs
        self._number = number
        for name in SYSTEM_LABELS:
            self.put(Label(name, 0, name.partition("/")[2], now(), system=True))

    def create(self, title: str, client_data: tuple[Json, ...] = ()) -> Label:
        """A new label under a new name, even if one of this title existed before."""
        name = f"contactGroups/{self._rng.randrange(16**13, 16**14):x}"
        usable = self._now() + timedelta(seconds=self._knobs.group_settle)
        return self.put(Label(name, 0, title, self._now(), client_data=client_data, usable=usable))

    def put(self, label: Label, **changes: Any) -> Label:
        """A new version of `label` with these changes."""
        now, number = self._now(), self._number()
        fresh = replace(
            label, number=number, updated=now, etag=source_etag(label.name, number).removeprefix("#"), **changes
        )
        if fresh.deleted:
            self.living.pop(fresh.name, None)
        else:
            self.living[fresh.name] = fresh
        self.feed.write(fresh, now + timedelta(seconds=self._knobs.group_list_lag))
        return fresh

    def titled(self, title: str) -> Label | None:
        """The living label of exactly this title."""
        return next((label for label in self.living.values() if label.title == title), None)

    def accepts(self, name: str) -> bool:
        """Whether contacts may be put under this label now."""
        label = self.living.get(name)
        if label is None or (label.system and name not in OPEN_SYSTEM_LABELS):
            return False
        return label.usable is None or label.usable <= self._now()
