"""A run of contacts is broken at every boundary (a call of the provider, a commit) in every way, in one scenario after
the other; each time the next runs must end where the undisturbed one does. Random histories are tests/property."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import structlog
from sqlalchemy import select, update

from core.contact import Contact, Entry, canonical, from_json, to_json
from core.contact_settings import ContactSettings
from models.contacts import ContactRow
from models.links import DecisionRow, LinkRow, SentRow
from models.syncing import ChannelRow
from tests.support.contact_crash import Frozen, Scene, contact_scene
from tests.support.contact_world import person
from tests.support.crash import FAULTS, KINDS, READS, Played, break_everywhere

Act = Callable[[Scene], None]
SCENARIOS: dict[str, Scenario] = {}


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happened when the run begins that will be broken. `most`: how many runs it may take to get over it.
    `more_lost`: what we wrote ourselves may be taken for another's text, and be kept as lost. `records`: how many
    contacts of the CRM and of the provider there are in the end, and how many pairs."""

    act: Act
    most: int = 4
    more_lost: bool = False
    records: tuple[int, int, int] = (1, 1, 1)


def scenario(
    crm: int = 1, provider: int = 1, pairs: int = 1, *, most: int = 4, more_lost: bool = False
) -> Callable[[Act], Act]:
    def enter(act: Act) -> Act:
        SCENARIOS[act.__name__] = Scenario(act, most, more_lost, (crm, provider, pairs))
        return act

    return enter


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """An account without contacts."""
    with contact_scene(tmp_path_factory.mktemp("scene")) as made:
        yield made


@pytest.fixture(scope="module")
def empty(scene: Scene) -> Frozen:
    return scene.freeze()


# ---- scenarios ---------------------------------------------------------------------------------------------


def ada(scene: Scene) -> tuple[str, str]:
    """A contact that both sides have, and time for it to show."""
    one = scene.crm_add(person("Ada", "Lovelace", email="ada@example.com", phone="+44 20 7946 0001", title="Countess"))
    return one, linked(scene, one)


def linked(scene: Scene, one: str) -> str:
    assert scene.run().outcome == "ok"
    scene.pass_time()
    return scene.remote_of(one)


def several(scene: Scene, count: int = 5) -> list[str]:
    made = [scene.crm_add(person(f"P{number}", email=f"p{number}@example.com")) for number in range(count)]
    scene.run()
    scene.pass_time()
    return made


@scenario(0, 0, 0)
def the_first_run_with_nothing(scene: Scene) -> None:
    pass


@scenario(3, 2, 2)
def the_first_run_sends(scene: Scene) -> None:
    scene.crm_add(person("Ada", email="ada@example.com"))
    scene.crm_add(person("Bob", phone="+49 30 1"))
    scene.crm_add(person("Not tagged"), tagged=False)


@scenario(2, 3, 2)
def the_first_run_joins_and_sends(scene: Scene) -> None:
    scene.crm_add(person("Ada", "Lovelace", email="ada@example.com"))
    scene.crm_add(person("Bob"))
    scene.book.add(person("Ada", "King", email="ADA@example.com", notes="from the phone"))
    scene.book.add(person("Nobody's business"))
    scene.pass_time()


@scenario(3, 3, 3)
def contacts_come_in(scene: Scene) -> None:
    ada(scene)
    scene.book.add(person("Cleo", email="cleo@example.com"), scene.group)
    scene.book.add(person("Dido"), scene.group)


@scenario(3, 3, 3)
def contacts_come_in_and_go_out(scene: Scene) -> None:
    ada(scene)
    scene.book.add(person("Cleo", email="cleo@example.com"), scene.group)
    scene.crm_add(person("Dido"))


@scenario()
def an_edit_in_the_crm(scene: Scene) -> None:
    one, _ = ada(scene)
    scene.crm_edit(one, title="Mathematician")


@scenario()
def an_edit_at_the_provider(scene: Scene) -> None:
    _, other = ada(scene)
    scene.book.edit(other, title="Mathematician")


@scenario()
def edits_of_different_fields(scene: Scene) -> None:
    one, other = ada(scene)
    scene.crm_edit(one, title="Mathematician")
    scene.book.edit(other, notes="Wrote the first program")


@scenario()
def a_conflict_newer_in_the_crm(scene: Scene) -> None:
    one, other = ada(scene)
    scene.book.edit(other, title="At the provider")
    scene.pass_time(11)
    scene.crm_edit(one, title="In the CRM")


@scenario()
def a_conflict_newer_at_the_provider(scene: Scene) -> None:
    one, other = ada(scene)
    scene.crm_edit(one, title="In the CRM", notes="kept")
    scene.pass_time(1)
    scene.book.edit(other, title="At the provider")
    scene.pass_time(11)


@scenario()
def phones_added_and_removed_on_both_sides(scene: Scene) -> None:
    one, other = ada(scene)
    scene.crm_edit(one, phones=(Entry("+49 30 1", "work"),))
    scene.book.edit(other, phones=(*scene.book.cards[other].body.phones, Entry("+49 30 2", "home")))
    scene.pass_time(11)


@scenario(1, 1, 0)
def the_tag_is_removed(scene: Scene) -> None:
    one, _ = ada(scene)
    scene.crm_untag(one)


@scenario(1, 1, 0)
def taken_out_of_the_group(scene: Scene) -> None:
    _, other = ada(scene)
    scene.book.leave(other, scene.group)
    scene.pass_time(11)


@scenario(1, 1, 0)
def deleted_in_the_crm(scene: Scene) -> None:
    one, _ = ada(scene)
    scene.crm_delete(one)


@scenario(1, 0, 0)
def deleted_at_the_provider(scene: Scene) -> None:
    _, other = ada(scene)
    scene.book.delete(other)
    scene.pass_time(11)


@scenario(1, 0, 0)
def deleted_on_both_sides(scene: Scene) -> None:
    one, other = ada(scene)
    scene.book.delete(other)
    scene.crm_delete(one)
    scene.pass_time(11)


@scenario()
def tagged_again(scene: Scene) -> None:
    one, other = ada(scene)
    scene.crm_untag(one)
    scene.run()
    scene.book.edit(other, notes="edited while parted")
    scene.pass_time()
    scene.run()
    scene.crm_tag(one)


@scenario()
def tagged_again_after_it_was_deleted_at_the_provider(scene: Scene) -> None:
    one, other = ada(scene)
    scene.crm_untag(one)
    scene.run()
    scene.book.delete(other)
    scene.pass_time()
    scene.crm_tag(one)


@scenario()
def put_into_the_group_again(scene: Scene) -> None:
    one, other = ada(scene)
    scene.book.leave(other, scene.group)
    scene.run()
    scene.crm_edit(one, notes="edited while parted")
    scene.pass_time()
    scene.book.join(other, scene.group)
    scene.pass_time(11)


@scenario()
def put_into_the_group_after_it_was_deleted_in_the_crm(scene: Scene) -> None:
    one, other = ada(scene)
    scene.crm_delete(one)
    scene.run()
    scene.pass_time()
    scene.book.leave(other, scene.group)
    scene.book.join(other, scene.group)
    scene.pass_time(11)


@scenario(2, 2, 2)
def joined_by_address_while_both_have_texts(scene: Scene) -> None:
    ada(scene)
    scene.book.add(person("Bob", "Older", email="bob@example.com", notes="provider"))
    scene.run()
    scene.pass_time()
    scene.crm_add(person("Robert", "Newer", email="BOB@example.com", title="CRM"))


@scenario(2, 2, 2)
def joined_by_phone_and_family_name(scene: Scene) -> None:
    ada(scene)
    scene.book.add(person("Bob", "Same", phone="+49 30 1234567"), scene.group)
    scene.crm_add(person("Robert", "Same", phone="+49 (30) 123 45 67"), tagged=False)
    scene.pass_time(11)


@scenario(1, 2, 1)
def a_decision_was_taken(scene: Scene) -> None:
    scene.book.add(person("Ada", email="family@example.com"))
    scene.book.add(person("Bert", email="family@example.com"))
    scene.crm_add(person("Family", email="family@example.com"))
    scene.run()
    decide(scene, "Bert")
    scene.pass_time()


@scenario(1, 3, 1)
def a_decision_for_somebody_new(scene: Scene) -> None:
    scene.book.add(person("Ada", email="family@example.com"))
    scene.book.add(person("Bert", email="family@example.com"))
    scene.crm_add(person("Family", email="family@example.com"))
    scene.run()
    decide(scene, "")
    scene.pass_time()


@scenario(2, 1, 1)
def two_linked_contacts_were_merged(scene: Scene) -> None:
    one, other = several(scene, 2)
    links = scene.links()
    scene.book.merge(links[one], links[other])
    scene.pass_time(11)


@scenario()
def merged_into_one_that_was_not_linked(scene: Scene) -> None:
    _, other = ada(scene)
    stranger = scene.book.add(person("Stranger", email="stranger@example.com"))
    scene.run()
    scene.pass_time()
    scene.book.merge(other, stranger)
    scene.pass_time(11)


@scenario(4, 3, 2)
def an_expired_cursor_with_changes(scene: Scene) -> None:
    made = several(scene, 4)
    links = scene.links()
    scene.book.leave(links[made[0]], scene.group)
    scene.book.delete(links[made[1]])
    scene.book.edit(links[made[2]], notes="edited")
    scene.book.expire_cursors()
    scene.pass_time(11)


@scenario()
def a_renamed_group(scene: Scene) -> None:
    one, _ = ada(scene)
    scene.book.rename_group(scene.group, "My people")
    scene.crm_edit(one, title="x")


@scenario(3, 3, 3)
def a_deleted_group_made_again(scene: Scene) -> None:
    several(scene, 3)
    scene.book.delete_group(scene.group)
    assert scene.run().outcome == "held"
    with scene.app.db.transaction() as session:
        row = session.get_one(ChannelRow, (scene.account, "contacts"))
        row.settings = replace(ContactSettings.read(row.settings), group="Again", group_id="").to_json()
        row.cursor, row.held = "", None
        session.execute(update(LinkRow).values(active=False))
    scene.pass_time()


@scenario(4, 4, 4, most=6)
def batches_of_two(scene: Scene) -> None:
    scene.book.batch = 2
    made = several(scene, 3)
    for number, one in enumerate(made):
        scene.crm_edit(one, title=f"T{number}")
    scene.crm_add(person("New", email="new@example.com"))


@scenario(3, 2, 2)
def one_record_is_refused(scene: Scene) -> None:
    ada(scene)
    scene.crm_add(person("Bad"))
    scene.crm_add(person("Good"))
    scene.book.refuse = refuses_bad


@scenario(4, 4, 0)
def a_mass_removal_was_confirmed(scene: Scene) -> None:
    made = several(scene, 4)
    scene.crm_untag(*made)
    assert scene.run().outcome == "held"
    scene.approve()


@scenario(2, 2, 2, more_lost=True)
def the_provider_writes_names_its_own_way(scene: Scene) -> None:
    one, _ = ada(scene)
    scene.book.normal = in_capitals
    scene.crm_edit(one, title="capitals, please")
    scene.crm_add(person("new one"))


@scenario()
def tagged_and_edited_at_once(scene: Scene) -> None:
    one, other = ada(scene)
    scene.crm_untag(one)
    scene.run()
    scene.pass_time()
    scene.crm_edit(one, title="Mathematician")
    scene.crm_tag(one)
    scene.book.edit(other, notes="at the same time")
    scene.pass_time(11)


@scenario(1, 1, 0)
def untagged_here_and_edited_there(scene: Scene) -> None:
    one, other = ada(scene)
    scene.crm_untag(one)
    scene.book.edit(other, notes="still edited")
    scene.pass_time(11)


@scenario(1, 1, 0)
def edited_here_and_taken_out_there(scene: Scene) -> None:
    one, other = ada(scene)
    scene.crm_edit(one, notes="still edited")
    scene.book.leave(other, scene.group)
    scene.pass_time(11)


def decide(scene: Scene, name: str) -> None:
    with scene.app.db.transaction() as session:
        for row in session.scalars(select(DecisionRow)):
            ids = {one["name"]: one["id"] for one in row.candidates}
            row.choice, row.decided_at = ids.get(name, ""), scene.clock.now


def refuses_bad(body: Contact) -> bool:
    return body.given_name == "Bad"


def in_capitals(body: Contact) -> Contact:
    return canonical(replace(body, given_name=body.given_name.upper(), title=body.title.upper()))


# ---- breaking ----------------------------------------------------------------------------------------------


Ways = tuple[Callable[[Contact], bool], Callable[[Contact], Contact], int]


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_run_may_break_anywhere(
    name: str, scene: Scene, empty: Frozen, record_property: Callable[[str, object], None]
) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    scene.thaw(empty)
    SCENARIOS[name].act(scene)
    begun, most = scene.freeze(), SCENARIOS[name].most
    ways = scene.book.refuse, scene.book.normal, scene.book.batch

    def forgive(end: dict[str, Any], clean: dict[str, Any]) -> None:
        if SCENARIOS[name].more_lost:
            end["lost"] = [one for one in end["lost"] if one in clean["lost"]]

    clean, tried = break_everywhere(
        lambda at, kind: play(scene, begun, ways, most, at, kind),
        lambda boundary: KINDS if boundary in READS else FAULTS,
        forgive=forgive,
    )
    assert tuple(len(clean.end[side]) for side in ("crm", "provider", "pairs")) == SCENARIOS[name].records
    assert tried >= 20
    record_property("broken runs", tried)
    print(f"{name}: {tried} broken runs over {len(clean.boundaries)} boundaries")


def play(scene: Scene, begun: Frozen, ways: Ways, most: int, at: int = 0, kind: str = "") -> Played:
    """Go on from when the scenario was set, break the run there, settle; what came of it."""
    scene.thaw(begun)
    scene.book.refuse, scene.book.normal, scene.book.batch = ways
    scene.broken_run(at, kind)
    boundaries = list(scene.faults.names)
    settle(scene, most)
    return Played(state(scene), boundaries)


def settle(scene: Scene, most: int) -> None:
    """Runs until one writes nothing at all; what has nothing to report writes nothing on either side."""
    for _ in range(most + 1):
        scene.clock.advance(minutes=11)
        before, cards = scene.memory(), scene.book.freeze()[0]
        report = scene.broken_run()
        assert report is not None
        if report.held is not None:
            scene.approve()
        elif not report.counts:
            assert scene.book.freeze()[0] == cards, "a run without changes wrote at the provider"
            if scene.memory() == before:
                return
    raise AssertionError(f"not quiet after {most} runs: {scene.reports[-1]}")


def state(scene: Scene) -> dict[str, Any]:
    """What both sides hold and the history keeps, in a form that does not depend on ids and times."""
    tagged, links, group = scene.tagged(), scene.links(), scene.group
    with scene.app.db.reading() as session:
        rows = session.scalars(select(ContactRow)).all()
        asked = session.scalars(select(DecisionRow.label).where(DecisionRow.choice.is_(None))).all()
        unanswered = session.scalars(select(SentRow.local_id)).all()
    cards = scene.book.cards
    mine = {row.id: told(from_json(row.body)) for row in rows}
    return {
        "crm": sorted((mine[row.id], row.deleted_at is None, row.id in tagged) for row in rows),
        "provider": sorted((told(card.body), group in card.groups, len(card.groups)) for card in cards.values()),
        "pairs": sorted((mine[one], told(cards[other].body)) for one, other in links.items()),
        "groups": sorted(scene.book.groups.values()),
        "group": scene.channel().settings["group"],
        "lost": sorted({repr((row.label, one)) for row in scene.history() for one in row.lost}),
        "asked": sorted(asked),
        "unanswered": len(unanswered),
    }


def told(body: Contact) -> str:
    return repr(sorted(to_json(body).items()))
