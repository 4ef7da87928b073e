"""PRETENDS nothing yet: the knobs by which tests choose among the ways Google's Calendar is known to behave.
Who reads a knob decides what it means; every default is the tame variant unless a client must live with the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class CalendarKnobs:
    """Behaviour that differs between accounts and days; tests turn these at any time. Times are seconds.

    Lags (read when something is written): `list_lag_api` and `list_lag_hand` delay the moment a write shows up in
    events.list; `fan_out_lag` the moment other people's copies follow; `insert_settle` is how long a new event of
    the API is 404 to everything but lists; `conference_lag` how long a conference stays `pending` (0: until the
    next call).

    Sync tokens: `sync_token_days` is their age, `updated_min_days` how far back updatedMin reaches. With
    `cancelled_hidden` cancelled occurrences need showDeleted in a full listing, as clients report (google.md, C.2);
    without, they come unasked, as the reference says. `window_leaks` lets changes outside the token's window
    through. `bare_tombstones` leaves no more than is promised in deleted events of organizers, too.

    Listings: `empty_pages` come before the first that is not; `page_cap` holds pages below maxResults;
    `shuffle_seed` draws their order; `horizon_days` is how far endless series are expanded with singleEvents.

    Writes: `revive` lets PUT bring back a deleted event, else it is 403; `ui_rewrites_html` lets the pages of
    Google rewrite descriptions as HTML.

    Limits: `requests_per_minute` per user, refused as `rate_reason` with `rate_status`; `read_only` are addresses
    whose writes are `quotaExceeded`; `guest_limit` is how many guests a user may write before the same happens for
    `guest_pause` seconds. `no_calendar` are addresses without Google Calendar. `service_disabled`: the whole project.

    Watch channels: `lose_notifications` drops them silently; `channel_days` is their longest life.

    `on_call(operation, email)` runs before each authorized call, outside the lock: it may edit by hand or block.
    """

    list_lag_api: float = 0.0
    list_lag_hand: float = 0.0
    fan_out_lag: float = 0.0
    insert_settle: float = 0.0
    conference_lag: float = 0.0
    sync_token_days: float = 30.0
    updated_min_days: float = 28.0
    cancelled_hidden: bool = True
    window_leaks: bool = True
    bare_tombstones: bool = False
    empty_pages: int = 0
    page_cap: int | None = None
    shuffle_seed: int | None = None
    horizon_days: float = 365.0 * 5
    revive: bool = True
    ui_rewrites_html: bool = True
    requests_per_minute: int | None = None
    rate_reason: str = "userRateLimitExceeded"
    rate_status: int = 403
    read_only: set[str] = field(default_factory=set)
    guest_limit: int | None = None
    guest_pause: float = 6 * 3600.0
    no_calendar: set[str] = field(default_factory=set)
    service_disabled: bool = False
    lose_notifications: bool = False
    channel_days: float = 7.0
    on_call: Callable[[str, str], None] | None = None
