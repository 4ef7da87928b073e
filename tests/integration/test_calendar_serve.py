"""The whole way of a notice with real processes and sockets: `twinbox serve`, its web server, Google's double."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import select

from core.types import Channel
from models.activities import ActivityRow
from models.syncing import RunRow
from sandbox.google import GoogleDouble
from sync.app import App
from tests.support.app_factory import TestClock, make_app, make_user
from tests.support.google_link import link_google, register
from tests.support.ports import free_port
from tests.support.processes import wait_until
from tests.support.serving import serving

ANN = "ann@example.com"
SECONDS = 60.0  # a tenth of the period in which the calendar is asked for anyway


def titles(app: App) -> list[str]:
    with app.db.reading() as session:
        return list(session.scalars(select(ActivityRow.title)))


def triggers(app: App) -> list[str]:
    """What the runs that ended were started by, the first one first."""
    with app.db.reading() as session:
        query = select(RunRow.trigger).where(RunRow.finished_at.is_not(None)).order_by(RunRow.started_at)
        return list(session.scalars(query))


def test_a_change_at_google_is_in_the_crm_long_before_the_period_is_over(tmp_path: Path) -> None:
    with GoogleDouble() as google:
        google.users.add(ANN, "Ann")
        app = make_app(tmp_path, clock=TestClock(datetime.now(UTC)), google_base_url=google.base_url)
        ann = make_user(app)
        register(app, google, ann)
        link_google(app, google, ann, ANN, channels=(Channel.CALENDAR,))
        port = free_port()
        settings = {
            "TWINBOX_GOOGLE_BASE_URL": google.base_url,
            "TWINBOX_PUBLIC_URL": f"http://127.0.0.1:{port}",
            "TWINBOX_LISTEN": f"127.0.0.1:{port}",
        }
        with serving(app, **settings) as process:
            wait_until(lambda: bool(google.calendar.channels.living()), "the channel", timeout=SECONDS)
            wait_until(lambda: bool(triggers(app)), "the first run", timeout=SECONDS)  # else it may bring the event
            tomorrow = datetime.now(UTC) + timedelta(days=1)
            google.calendar.book(ANN).create("Kickoff", tomorrow, tomorrow + timedelta(hours=1))
            wait_until(lambda: titles(app) == ["Kickoff"], "the event", timeout=SECONDS)
            wait_until(lambda: triggers(app)[1:] == ["push"], "the end of the second run", timeout=SECONDS)
            process.terminate()
            assert process.wait(timeout=SECONDS) == 0
        states = [(one.state, one.status) for one in google.calendar.channels.sent]
        assert states[:2] == [("sync", 204), ("exists", 204)]
        app.close()
