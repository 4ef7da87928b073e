"""Random histories of a CRM and an address book, with runs that break anywhere, end as users were promised: both sides
agree, nothing is deleted or doubled, no edit is lost. The steps are tests/support/contact_history.py, the promises
contact_oracle.py beside it."""

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
from tests.support.contact_crash import Scene, contact_scene
from tests.support.contact_history import History, Start, Step
from tests.support.crash import Numbers

OFTEN = ("run", "clash", "break_run", "meddle", "crm_edit", "edit", "wait")
USUAL = (
    "crm_untag",
    "crm_tag",
    "leave",
    "join",
    "delete",
    "crm_delete",
    "crm_restore",
    "crm_add",
    "add",
    "same_person",
    "lag",
    "decide",
)
SELDOM = ("touch", "merge", "expire", "rename_group", "delete_group", "choose_group", "refuse", "confirm", "undo")
NAMES = ("nothing", *OFTEN * 6, *USUAL * 2, *SELDOM, "choose_tag", "preview")

histories = st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 15), st.integers(0, 15)), min_size=8, max_size=20)


# `--examples` says how many; in every run otherwise the same ones.
EXAMPLES = 500 if settings().derandomize else settings().max_examples
SALT = 0  # another number, other ids
SKEWS = (0, 300, -300, 86_400, -86_400)  # seconds the provider's clock is ahead of ours


# What must have been met in so many histories.
WANTED = {
    "created in the CRM",
    "created at the provider",
    "updated in the CRM",
    "updated at the provider",
    "tagged",
    "untagged",
    "put into the group",
    "taken out of the group",
    "conflicts",
    "joined with one that was there",
    "looked at again later",
    "needs a decision",
    "read everything anew",
    *("ok", "held", "failed", "stopped"),
}


class Beginnings:
    """Moments to begin from, by skew: nothing there yet, and four people on both sides and two on one."""

    def __init__(self, scene: Scene, numbers: Numbers) -> None:
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
                history.play([("crm_add", 0, 3), ("crm_add", 1, 3), ("crm_add", 3, 3), ("run", 0, 0)])
                history.play([("add", 0, 3), ("add", 1, 3), ("add", 3, 3), ("crm_edit", 0, 3), ("run", 0, 0)])
                history.settle()
            self._known[ahead, full] = history.start()
        return self._first(ahead, self._known[ahead, full])

    def _first(self, ahead: int, start: Start) -> History:
        self.scene.book.ahead = timedelta(seconds=ahead)
        return History.begin(self.scene, start)


@pytest.fixture(scope="module")
def beginnings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beginnings]:
    numbers = Numbers(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ids, "secrets", numbers)
        with contact_scene(tmp_path_factory.mktemp("scene")) as scene:
            yield Beginnings(scene, numbers)


def test_whatever_happens_both_sides_end_as_promised(beginnings: Beginnings) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    seen: Counter[str] = Counter()

    @given(
        steps=histories,
        full=st.sampled_from((True, True, True, False)),
        ahead=st.sampled_from(SKEWS),
        touch=st.booleans(),
        batch=st.sampled_from((200, 1)),
    )
    @settings(
        max_examples=EXAMPLES,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
    )
    def ends_well(steps: list[Step], full: bool, ahead: int, touch: bool, batch: int) -> None:
        history = beginnings.begin(ahead, full)
        beginnings.numbers.seed(f"{steps} {SALT}")
        history.scene.book.moves_touch, history.scene.book.batch = touch, batch
        history.play(steps)
        history.settle()
        for report in history.scene.reports:
            seen.update([report.outcome, *report.counts])

    ends_well()
    # Histories in which nothing happens prove nothing.
    assert not WANTED - seen.keys(), seen
    print(dict(seen))
