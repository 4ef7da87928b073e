"""Random histories of a CRM and three people's calendars, with runs that break anywhere, end as users were promised:
all agree, no meeting is doubled, lost or invented, nobody is mailed, nothing private is told. The steps are
tests/support/calendar_history.py, the promises calendar_oracle.py beside it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import pytest
import structlog
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sync import ids
from tests.support.calendar_history import History, Start
from tests.support.calendar_scene import MachineScene, machine_scene
from tests.support.calendar_telling import Step
from tests.support.crash import Numbers

OFTEN = ("run", "all_run", "clash", "break_run", "meddle", "crm_edit", "edit", "wait")
USUAL = (
    *("crm_add", "crm_delete", "crm_restore", "crm_back", "crm_hide", "crm_this", "crm_following"),
    *("put", "edit_this", "edit_following", "delete", "restore", "google_back", "delete_this"),
    *("contest", "answer", "take_off", "put_back", "lag", "link_later", "expire"),
)
SELDOM = ("touch", "remind", "confirm", "crm_rude", "crm_cancel", "delete_following", "restore_this")
NAMES = ("nothing", *OFTEN * 5, *USUAL * 2, *SELDOM, "preview")

histories = st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 15), st.integers(0, 15)), min_size=6, max_size=12)

# `--examples` says how many; in every run otherwise the same ones.
EXAMPLES = 150 if settings().derandomize else settings().max_examples
SALT = 0  # another number, other ids
SKEWS = (0, 300, -300)  # seconds Google's clock is ahead of ours

# What must have been met in so many histories.
WANTED = {
    "created in the CRM",
    "created at the provider",
    "updated in the CRM",
    "updated at the provider",
    "gone from the calendar",
    "taken out of the calendar",
    "back in the CRM",
    "conflicts",
    "joined with one that was there",
    "read everything anew",
    *("ok", "failed"),
}


class Beginnings:
    """Moments to begin from, by skew: nothing there yet, or meetings, days and series on both sides."""

    def __init__(self, scene: MachineScene, numbers: Numbers) -> None:
        self.scene, self.numbers = scene, numbers
        self._empty = History(scene).start()
        self._known: dict[tuple[int, bool], Start] = {}

    def __repr__(self) -> str:
        return "beginnings"

    def begin(self, ahead: int, full: bool) -> History:
        """A history at its beginning."""
        if (ahead, full) not in self._known:
            self.numbers.seed(f"{ahead} {full}")
            history = self._first(ahead, self._empty)
            if full:
                # A meeting, days, a series; from the CRM too; a private one; one from elsewhere and one of Cyd's.
                history.play([("put", 0, 1), ("put", 2, 0), ("put", 7, 1), ("put", 0, 4), ("put", 3, 2), ("put", 5, 1)])
                history.play([("crm_add", 0, 1), ("crm_add", 2, 3), ("crm_add", 13, 4), ("run", 0, 0), ("run", 1, 0)])
                history.play([("edit_this", 0, 0), ("delete_this", 0, 2), ("crm_edit", 1, 0)])
                history.settle()
                history.agreed()
            self._known[ahead, full] = history.start()
        return self._first(ahead, self._known[ahead, full])

    def _first(self, ahead: int, start: Start) -> History:
        self.scene.skew = timedelta(seconds=ahead)
        return History.begin(self.scene, start)


@pytest.fixture(scope="module")
def beginnings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beginnings]:
    numbers = Numbers(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ids, "secrets", numbers)
        with machine_scene(tmp_path_factory.mktemp("scene")) as scene:
            yield Beginnings(scene, numbers)


def test_whatever_happens_all_calendars_end_as_promised(beginnings: Beginnings) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    seen: Counter[str] = Counter()

    @given(
        steps=histories,
        full=st.sampled_from((True, True, True, False)),
        ahead=st.sampled_from(SKEWS),
        bare=st.booleans(),
        pages=st.sampled_from((None, 2)),
    )
    @settings(
        max_examples=EXAMPLES,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
    )
    def ends_well(steps: list[Step], full: bool, ahead: int, bare: bool, pages: int | None) -> None:
        history = beginnings.begin(ahead, full)
        beginnings.numbers.seed(f"{steps} {SALT}")
        history.scene.knobs.bare_tombstones, history.scene.knobs.page_cap = bare, pages
        history.play(steps)
        history.settle()
        for report in history.scene.reports:
            seen.update([report.outcome, *report.counts])

    ends_well()
    # Histories in which nothing happens prove nothing.
    assert not WANTED - seen.keys(), seen
