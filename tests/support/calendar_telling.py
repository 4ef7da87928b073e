"""Notes down what people do to a scene of calendars, on whichever side, by looking before and after; and picks words.
What they do is `calendar_steps_google` and `calendar_steps_crm`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date

from tests.support.calendar_oracle import Known
from tests.support.calendar_reading import Reading, derived
from tests.support.calendar_scene import CYD, MachineScene
from tests.support.calendar_world import ANN, BERLIN, BOB
from tests.support.ledger import Facts

Step = tuple[str, int, int]
GUESTS = ((), (BOB,), (ANN, BOB), (CYD,), (ANN,), ("guest@elsewhere.example",), (BOB, CYD), ())
DAYS = (*(date(2026, 3, day) for day in (10, 12, 17, 5, 27, 29)), date(2026, 2, 25), date(2026, 4, 3))
RULES = (
    ("RRULE:FREQ=WEEKLY",),
    ("RRULE:FREQ=DAILY;COUNT=5",),
    ("RRULE:FREQ=WEEKLY;INTERVAL=2;COUNT=4",),
    ("RDATE;TZID=Europe/Berlin:20260319T100000,20260402T100000",),
)
ZONES = (BERLIN, "America/New_York")


@dataclass
class Telling:
    """A scene in which what people do is noted down.

    `private` are the meetings that were private at any time, `hushed` the words that were said of one while it was,
    with its name, as long as nobody made it public.
    """

    scene: MachineScene
    ledger: Facts = field(default_factory=Facts)
    made: int = 0
    steps: list[Step] = field(default_factory=list)
    private: set[str] = field(default_factory=set)
    hushed: dict[str, str] = field(default_factory=dict)
    reading: Reading = field(init=False)

    def __post_init__(self) -> None:
        self.reading = Reading(self.scene)

    @contextmanager
    def _told(self, side: str) -> Iterator[None]:
        """What a person does within the block is noted down."""
        counting, self.scene.breaks.counting = self.scene.breaks.counting, False
        read = self.reading.google if side == "provider" else self.reading.crm
        before = read()
        try:
            yield
            self._note(side, before, read())
        finally:
            self.scene.breaks.counting = counting

    def _note(self, side: str, before: dict[str, Known], after: dict[str, Known]) -> None:
        now = self.scene.clock.now
        for key, one in after.items():
            was = before.get(key)
            # In the CRM an occurrence is written whole; at Google only what differs from its series is.
            old = was.facts if was else derived(one, before) if side == "provider" else {}
            record = (side, key)
            if was is None or was.at != one.at:
                self.ledger.texts[record].append(now)
            if old != one.facts:
                self.ledger.told(record, old, one.facts, now)
            if (was.living if was else bool(one.original)) != one.living:
                self.ledger.placed(record, 1 if one.living else -1)
                if not one.living:
                    self.ledger.given_up[record] = len(self.ledger.edits)
            self._privacy(one, was)

    def _privacy(self, one: Known, was: Known | None) -> None:
        if one.original:
            return
        if is_private(one):
            self.private.add(one.key)
        elif was is not None and is_private(was):
            self.hushed = {word: tag for word, tag in self.hushed.items() if tag != one.key}

    def _tick(self, number: int) -> None:
        self.scene.clock.advance(seconds=number % 3)

    def _tag(self) -> str:
        self.made += 1
        return f"m{self.made}"

    def _word(self, one: Known | None, *, private: bool = False) -> str:
        """Something that was never said before."""
        self.made += 1
        hush = private or (one is not None and is_private(one))
        word = f"hush{self.made}x" if hush else f"w{self.made}"
        if hush and one is not None:
            self.hushed[word] = one.tag
        return word


def is_private(one: Known) -> bool:
    """Whether it is now, on its side."""
    return one.facts.get(("visibility", "")) in ("private", "confidential")
