"""Runs of the contacts channel on PostgreSQL: where its ways differ from SQLite's (locks, pipelines, types)."""

from __future__ import annotations

from pathlib import Path

from core.contact import Entry
from sync.contact_channel import ContactsChange, change_contacts
from sync.removal import remove
from sync.undo import undo_run
from tests.support.contact_world import ContactWorld, contact_world, person


def story(world: ContactWorld) -> list[dict[str, int]]:
    """A bit of everything; the counts of each run."""
    first = world.crm_add(person("Ada", "Lovelace", email="ada@example.com"))
    twin = world.book.add(person("Bert", email="bert@example.com"))
    world.crm_add(person("Bert", "Brecht", email="BERT@example.com"))
    world.run()
    world.pass_time()
    world.book.add(person("Cleo", email="cleo@example.com"), world.group)
    world.book.edit(twin, phones=(Entry("+49 1", "home"),))
    world.crm_edit(first, title="Countess")
    world.book.edit(world.remote_of(first), title="Analyst")
    run = world.run()
    world.pass_time()
    world.crm_untag(first)
    world.run()
    world.pass_time()
    undo_run(world.app, world.who.workspace_id, run.run_id)
    world.settle()
    change_contacts(world.app, world.who.workspace_id, world.account, ContactsChange(group="Others"))
    world.settle()
    assert {body.name for body in world.tagged().values()} == {body.name for body in world.members().values()}
    counts = [report.counts for report in world.reports]
    receipt = remove(world.app, world.who.workspace_id, world.account, erase=True)
    return [*counts, {"unlinked": receipt.records_unlinked, "erased": receipt.contacts_erased}]


def test_both_databases_tell_the_same_story(tmp_path: Path, postgres_url: str) -> None:
    with contact_world(tmp_path / "one") as sqlite:
        expected = story(sqlite)
    with contact_world(tmp_path / "other", database_url=postgres_url) as postgres:
        assert story(postgres) == expected
    assert len(expected) > 6
