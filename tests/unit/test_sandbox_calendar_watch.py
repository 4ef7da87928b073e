"""Push notifications as at Google: opening, `sync`, `exists`, expiry, stopping, answers that fail (google.md, C.4).
The world and the checks of every answer are in test_sandbox_calendar_fidelity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from sandbox.google import send_to_loopback
from tests.unit.test_sandbox_calendar_fidelity import ANN, BOB, Json, World, at, event, guests, new_world, refused

ADDRESS = "https://crm.example/hook"


@dataclass
class Receiver:
    """What arrived at our address, and how it is answered."""

    status: int = 200
    came: list[Mapping[str, str]] = field(default_factory=list)

    def __call__(self, address: str, headers: Mapping[str, str]) -> int:
        self.came.append(headers)
        return self.status

    @property
    def states(self) -> list[str]:
        return [one["X-Goog-Resource-State"] for one in self.came]


@pytest.fixture
def world() -> World:
    return new_world()


@pytest.fixture
def receiver(world: World) -> Receiver:
    receiver = Receiver()
    world.api.channels.sender = receiver
    return receiver


def watch(world: World, ident: str = "c1", email: str = ANN, **more: Any) -> Json:
    """Open a channel on the primary calendar."""
    body = {"id": ident, "type": "web_hook", "address": ADDRESS, "token": "secret", **more}
    answer: Json = world.events(email).watch(calendarId="primary", body=body).execute()
    return answer


def test_a_channel_says_sync_first_and_exists_at_every_change(world: World, receiver: Receiver) -> None:
    opened = watch(world)
    assert (opened["kind"], opened["id"], opened["token"]) == ("api#channel", "c1", "secret")
    world.insert()
    world.insert(BOB)
    assert receiver.states == ["sync", "exists"]
    first, second = receiver.came
    assert second["X-Goog-Channel-ID"] == "c1"
    assert second["X-Goog-Channel-Token"] == "secret"
    assert second["X-Goog-Resource-ID"] == opened["resourceId"]
    assert second["X-Goog-Channel-Expiration"] == "Mon, 09 Mar 2026 08:00:00 GMT"
    assert first["X-Goog-Message-Number"] == "1"
    assert int(second["X-Goog-Message-Number"]) > 1


def test_a_guest_is_told_of_what_the_organizer_did(world: World, receiver: Receiver) -> None:
    watch(world, email=BOB)
    ident = world.insert(body=event(attendees=guests(BOB)))["id"]
    world.ann.edit(ident, summary="x")
    assert receiver.states == ["sync", "exists", "exists"]


def test_reading_is_no_change(world: World, receiver: Receiver) -> None:
    watch(world)
    world.page()
    assert receiver.states == ["sync"]


def test_a_call_may_come_back_to_google_before_it_ends(world: World) -> None:
    seen: list[int] = []

    def look(_address: str, _headers: Mapping[str, str]) -> int:
        seen.append(len(world.items()))
        return 200

    world.api.channels.sender = look
    watch(world)
    world.insert()
    assert seen == [0, 1]


def test_two_channels_overlap_and_both_call(world: World, receiver: Receiver) -> None:
    watch(world)
    watch(world, "c2")
    world.insert()
    assert receiver.states == ["sync", "sync", "exists", "exists"]
    assert world.api.channels.living() == ["c1", "c2"]


def test_a_stopped_channel_is_silent_and_stopping_needs_both_ids(world: World, receiver: Receiver) -> None:
    resource = watch(world)["resourceId"]

    def stop(email: str = ANN, **ids: str) -> Any:
        return world.signed_in(email).channels().stop(body={"id": "c1", "resourceId": resource, **ids}).execute

    assert refused(stop(resourceId="other")) == (404, "notFound")
    assert refused(stop(id="c9")) == (404, "notFound")
    assert refused(stop(BOB)) == (404, "notFound")
    assert refused(stop(resourceId="")) == (400, "required")
    stop()()
    world.insert()
    assert receiver.states == ["sync"]


def test_a_channel_expires_after_a_week_or_sooner_and_never_later(world: World, receiver: Receiver) -> None:
    now = world.clock.now().timestamp()
    assert watch(world)["expiration"] == str(int((now + 7 * 86_400) * 1000))
    assert watch(world, "c2", params={"ttl": "60"})["expiration"] == str(int((now + 60) * 1000))
    late = str(int((now + 90 * 86_400) * 1000))
    assert watch(world, "c3", expiration=late)["expiration"] == str(int((now + 7 * 86_400) * 1000))
    world.clock.advance(61)
    assert world.api.channels.living() == ["c1", "c3"]
    world.clock.advance(7 * 86_400)
    world.insert()
    assert receiver.states == ["sync"] * 3


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": ""}, "required"),
        ({"id": "not valid"}, "channelIdInvalid"),
        ({"address": ""}, "required"),
        ({"type": "pigeon"}, "channelUnknown"),
        ({"address": "http://crm.example/hook"}, "push.webhookUrlNotHttps"),
        ({"expiration": "1"}, "invalid"),
        ({"params": {"ttl": "long"}}, "invalid"),
        ({"colour": "red"}, "badRequest"),
    ],
)
def test_channels_that_google_would_not_open_are_refused(
    world: World, receiver: Receiver, change: Json, reason: str
) -> None:
    assert refused(lambda: watch(world, **change) if "id" not in change else watch(world, change["id"])) == (
        400,
        reason,
    )
    assert receiver.came == []


def test_the_id_of_an_open_channel_is_taken(world: World, receiver: Receiver) -> None:
    watch(world)
    assert refused(lambda: watch(world)) == (400, "channelIdNotUnique")


def test_a_call_that_fails_is_made_again_three_times_at_most_and_other_answers_are_final(
    world: World, receiver: Receiver
) -> None:
    receiver.status = 503
    watch(world)
    for _ in range(4):
        world.page()
    assert receiver.states == ["sync"] * 3
    receiver.status = 404
    world.insert()
    world.page()
    assert receiver.states == ["sync"] * 3 + ["exists"]


def test_notifications_may_be_lost(world: World, receiver: Receiver) -> None:
    watch(world)
    world.knobs.lose_notifications = True
    world.ann.create("Lunch", at(3, 2, 10), at(3, 2, 11))
    assert receiver.states == ["sync"]


@pytest.mark.parametrize(
    "address", ["https://crm.example/hook", "http://crm.example/", "http://192.0.2.1/", "ftp://127.0.0.1/"]
)
def test_nothing_but_this_machine_is_ever_called(address: str) -> None:
    assert send_to_loopback(address, {}) == 0
