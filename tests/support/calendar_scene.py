"""Three people of one workspace and their calendars at Google's double, in whose runs others may act between any two
calls. Breaking runs and going back to an earlier moment is `calendar_crash`; what happens is the tests' choice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from core.types import Channel
from providers.google.client import Http
from sandbox.google import InProcessHttp, access_token, scopes
from sync.account_rows import Grant, save_account
from sync.calendar_channel import CalendarChange, change_calendar
from tests.support.app_factory import TestClock, make_app, make_user
from tests.support.calendar_crash import REMEMBERED, BreakingHttp, CalendarScene, Frozen
from tests.support.calendar_world import ANN, BERLIN, BOB
from tests.support.crash import Faults, in_memory, memory
from tests.support.google_http import GoogleHttp

CYD = "cyd@example.com"  # has a calendar at Google, and is a user of the CRM who links it later or never
ZONES = {ANN: BERLIN, BOB: "Pacific/Honolulu", CYD: "Pacific/Apia"}
SINCE = date(2026, 3, 1)
TEN_YEARS = 10 * 365 * 86_400


@dataclass(slots=True)
class MachineScene(CalendarScene):
    """`hook` is called before and after each call of a run, with its method."""

    hook: Callable[[str, str], None] = field(default=lambda _name, _when: None)
    tokens: dict[str, str] = field(default_factory=dict)

    def meet(self, address: str) -> None:
        """A user of the CRM with a calendar at Google that is not linked yet."""
        self.store.knobs.access_token_lifetime = TEN_YEARS
        self.store.users.add(address, address.partition("@")[0].title())
        self.google.book(address).set_zone(ZONES[address])
        self.people[address] = make_user(self.app, address.replace("example.com", "crm.example"))

    def link(self, user: str, address: str = "") -> str:
        """One of them links the own calendar; the account's id."""
        who, address = self.people[user], address or user
        grant = Grant(who.workspace_id, who.user_id, "gmail", address, address, address, {Channel.CALENDAR: True})
        with self.app.db.transaction() as session:
            account = save_account(session, self.app, grant, []).id
        self.accounts[user], self.addresses[account] = account, address
        change_calendar(self.app, who.workspace_id, account, CalendarChange(since=SINCE))
        return account

    def http(self, address: str) -> Http:
        """Somebody's connection to Google, which may break, and between whose calls others act."""
        if address not in self.tokens:
            self.tokens[address] = access_token(self.store, address, scopes.CALENDAR_EVENTS)
        inner = InProcessHttp(self.google, self.tokens[address], self.faults)
        return MeddledHttp(BreakingHttp(GoogleHttp(inner, self.google_now), self.breaks), self)

    def memory(self) -> list[Any]:
        """What the database holds, but for runs, the channels' own rows, and what finds events: that is noted when they
        come to light in a listing, also of our own."""
        return memory(self.app.db, REMEMBERED - {"remote_keys"})

    def thaw(self, frozen: Frozen) -> None:
        """Go back to a moment, with a well provider whose clock nobody knows yet."""
        CalendarScene.thaw(self, frozen)
        self.knobs.list_lag_api = self.knobs.list_lag_hand = self.knobs.insert_settle = 0.0
        self.clients.clear()


class MeddledHttp:
    """A connection that lets others act before and after each call of a run."""

    def __init__(self, inner: Http, scene: MachineScene) -> None:
        self._inner = inner
        self._scene = scene

    def request(self, uri: str, method: str = "GET", body: Any = None, headers: Any = None) -> Any:
        """Carry out one request."""
        self._act(method, "before")
        answer = self._inner.request(uri, method, body, headers)
        self._act(method, "after")
        return answer

    def _act(self, method: str, when: str) -> None:
        if self._scene.breaks.counting:
            self._scene.hook(method, when)

    def close(self) -> None:
        """Nothing is open."""


@contextmanager
def machine_scene(folder: Path) -> Iterator[MachineScene]:
    """A scene in which Ann and Bob have linked empty calendars; migrated once, then in memory."""
    clock, breaks = TestClock(), Faults()
    made = make_app(folder, clock=clock)
    made.close()
    scene = MachineScene(in_memory(made, breaks), clock, breaks=breaks)
    try:
        for address in ZONES:
            scene.meet(address)
        scene.link(ANN)
        scene.link(BOB)
        yield scene
        scene.check()
    finally:
        scene.app.close()
