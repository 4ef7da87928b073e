"""PRETENDS nothing yet: the knobs by which tests choose among the ways Google's People API is known to behave.
Who reads a knob decides what it means; every default is the tame variant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal


@dataclass(slots=True)
class PeopleKnobs:
    """Behaviour that differs between accounts and days; tests turn these at any time. Times are seconds.

    Lags (read when something is written): `list_lag_api` and `list_lag_hand` delay the moment a write through
    the API or by hand shows up in connections.list, full or incremental; `group_list_lag` the same for
    contactGroups.list. `get_lag` makes get and batchGet answer as of that long ago. `group_settle` is how long
    a new group refuses members.

    Sync tokens: `sync_token_days` counts from the full sync, or from the last call with
    `sync_token_renews`; `sync_token_status` is the status of the EXPIRED_SYNC_TOKEN refusal.

    Versions: `label_moves_update_time` and `label_moves_etag` say what a change of labels does to the CONTACT
    source; `list_etags_refused` makes updates refuse a top-level etag that came from connections.list.

    Limits: `critical_reads_per_minute` and `full_syncs_per_minute` per user (None: no quota), `contact_limit`
    with the trash of 30 days counted.

    `on_call(operation, email)` runs before each authorized call, outside all locks; for a mutation inside the
    span in which a second one of the same user is a violation. It may edit the book by hand, block, or sleep.
    """

    list_lag_api: float = 0.0
    list_lag_hand: float = 0.0
    group_list_lag: float = 0.0
    get_lag: float = 0.0
    group_settle: float = 0.0
    sync_token_days: float = 7.0
    sync_token_renews: bool = False
    sync_token_status: Literal["INVALID_ARGUMENT", "FAILED_PRECONDITION"] = "INVALID_ARGUMENT"
    label_moves_update_time: bool = False
    label_moves_etag: bool = True
    list_etags_refused: bool = False
    duplicate_group_status: Literal[409, 400] = 409
    shuffle_seed: int | None = None  # order items differently for every version of a person
    critical_reads_per_minute: int | None = None
    full_syncs_per_minute: int | None = None
    contact_limit: int = 25_000
    contact_limit_status: Literal["RESOURCE_EXHAUSTED", "FAILED_PRECONDITION"] = "RESOURCE_EXHAUSTED"
    service_disabled: bool = False
    formatted_names: Mapping[str, str] = field(default_factory=dict)  # system group -> name in the user's language
    on_call: Callable[[str, str], None] | None = None

    @property
    def sync_token_life(self) -> timedelta:
        """How old the full sync behind a token may be."""
        return timedelta(days=self.sync_token_days)
