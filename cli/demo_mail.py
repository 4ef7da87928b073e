"""The steps of `twinbox demo` about mail: what happens at Gmail, what Twinbox makes of it, and the proof.
Linking, revoking and removing are `cli.demo_linking`."""

from __future__ import annotations

from datetime import timedelta

from cli.demo_story import (
    CheckFailed,
    Stage,
    Step,
    asked,
    bodies,
    check,
    clean_sync,
    is_body,
    overview,
    part,
    record_of,
    stored,
    sync,
    traffic,
    where,
)
from models.queries import find_message
from sandbox.gmail import Fault
from sandbox.world import fill_mailbox
from sandbox.world_letters import (
    ANNA_ADDRESS,
    OFFER_ID,
    OFFER_SIZE,
    QUESTION_ID,
    Letter,
    attached,
    question,
    status_mails,
)
from sync.mail_bytes import read_text
from sync.mail_fetch import attached_file

BURST = 120
CUT_AT = 150_000
RETRY = timedelta(minutes=31)  # the first retry of a message set aside comes after half an hour


def deliver(stage: Stage, letter: Letter) -> int:
    """Let a letter arrive at Gmail; its X-GM-MSGID."""
    mail = stage.world.gmail.mail
    return mail.deliver(ANNA_ADDRESS, letter.raw, letter.labels, letter.flags, letter.when, letter.state)


def first_sync(stage: Stage) -> None:
    """Everything comes in, newest first."""
    there = stage.world.gmail.mail.snapshot(ANNA_ADDRESS)
    size = sum(len(raw) for _, _, _, raw in there.values())
    stage.screen.tell("Gmail", f"{len(there)} messages, {_megabytes(size)}, in All Mail, Spam and Trash")
    stage.screen.tell("Twinbox", "fetches the newest first: text and attachment lists; a long text's rest comes after")
    report = sync(stage, bar=True)
    rows = [
        (f"{row['received_at']:%d %b %H:%M}", _name(row["from"]), row["subject"], _labels(row))
        for row in stored(stage, limit=5)
    ]
    stage.screen.rows(("received", "from", "subject", "labels"), (12, 14, 30, 22), rows)
    found = (overview(stage)["messages"], report.outcome)
    check(stage, f"{len(there)} messages are stored, each once", (len(there), "ok"), found)
    read = traffic(stage).bytes_sent
    if read >= size:
        raise CheckFailed("attachments stay at Gmail until they are wanted", f"less than {size} bytes read", read)
    stage.screen.passed(f"{_megabytes(read)} read: attachments stay at Gmail until somebody wants them")


def nothing_changed(stage: Stage) -> None:
    """A second run changes nothing."""
    before = stored(stage)
    stage.screen.tell("Gmail", "nothing happens")
    stage.screen.tell("Twinbox", "compares HIGHESTMODSEQ and UIDNEXT of each folder with its cursor: all quiet")
    report = clean_sync(stage)
    check(stage, "no message was asked for, no flag was asked for", 0, len(traffic(stage).fetched))
    check(stage, "nothing was written", (before, {}), (stored(stage), report.counts))


def new_mail(stage: Stage) -> None:
    """A customer writes."""
    letter = question(stage.world.clock.now())
    stage.msgid = deliver(stage, letter)
    stage.message_id = QUESTION_ID
    stage.screen.tell("Gmail", "Tom Whitfield writes: A question before we sign")
    stage.screen.tell("Twinbox", "UIDNEXT rose by one, so one message is fetched")
    report = clean_sync(stage)
    newest = stored(stage, limit=1)[0]
    check(stage, "it is there, on top of the list", "A question before we sign", newest["subject"])
    check(stage, "one message was fetched, not the mailbox", ({"new": 1}, 1), (report.counts, bodies(stage)))


def label_and_flag(stage: Stage) -> None:
    """Anna reads it and files it."""
    mail = stage.world.gmail.mail
    mail.add_label(ANNA_ADDRESS, stage.msgid, "Clients/Nordwind")
    mail.set_flags(ANNA_ADDRESS, stage.msgid, ["\\Seen"])
    stage.screen.tell("Gmail", "Anna reads it and gives it the label Clients/Nordwind")
    stage.screen.tell("Twinbox", "asks for flags and labels that changed since its cursor (CHANGEDSINCE)")
    report = clean_sync(stage)
    place = record_of(stage, stage.message_id)["places"][0]
    check(stage, "read, and labelled as in Gmail", (True, True), _read_and_filed(place))
    check(
        stage, "no byte of the message was fetched again", (1, 0), (report.counts.get("flags changed"), bodies(stage))
    )


def trashed(stage: Stage) -> None:
    """Anna throws it away."""
    mail, before = stage.world.gmail.mail, overview(stage)["messages"]
    mail.move_to_trash(ANNA_ADDRESS, stage.msgid)
    trash = mail.folder_name(ANNA_ADDRESS, "\\Trash")
    stage.screen.tell("Gmail", "Anna moves it to Trash: gone from one folder, new in another")
    stage.screen.tell("Twinbox", "knows it by Gmail's message id: the same message at another place, not a new one")
    clean_sync(stage)
    check(stage, f"it lies in {trash}", trash, where(record_of(stage, stage.message_id)))
    check(stage, "not stored twice, not fetched again", (before, 0), (overview(stage)["messages"], bodies(stage)))


def deleted(stage: Stage) -> None:
    """Anna empties the Trash."""
    stage.world.gmail.mail.expunge(ANNA_ADDRESS, stage.msgid)
    stage.screen.tell("Gmail", "Anna empties the Trash: the message is deleted for good")
    stage.screen.tell("Twinbox", "keeps its copy as 'gone from mailbox': a CRM must not forget what was agreed")
    clean_sync(stage)
    record = record_of(stage, stage.message_id)
    check(stage, "marked as gone from mailbox", (True, "nowhere"), (record["gone_since"] is not None, where(record)))
    with stage.world.app.db.reading() as session:
        text = read_text(session, find_message(session, stage.world.workspace, stage.message_id).id)
    check(stage, "its text can still be read", True, "about the warranty" in text)


def renumbered(stage: Stage) -> None:
    """Gmail renumbers a folder."""
    before = {row["id"] for row in stored(stage)}
    stage.world.gmail.mail.bump_uidvalidity(ANNA_ADDRESS, "\\All")
    stage.screen.tell("Gmail", "gives All Mail a new UIDVALIDITY: every message number is void (RFC 9051, 2.3.1.1)")
    stage.screen.tell("Twinbox", "asks for ids only and gives each stored message its new number")
    report = clean_sync(stage)
    check(
        stage,
        "the folder was read anew, nothing is new",
        (1, 0),
        (report.counts.get("folders read anew"), report.counts.get("new", 0)),
    )
    check(stage, "no message was downloaded again", 0, bodies(stage))
    check(stage, "the same messages as before", before, {row["id"] for row in stored(stage)})


def attachment(stage: Stage) -> None:
    """Somebody opens an attachment."""
    record = record_of(stage, OFFER_ID)
    file = record["attachments"][0]
    held = f"{_kilobytes(record['stored_bytes'])} of {_kilobytes(record['size'])} are stored"
    stage.screen.tell("CRM", f"a colleague opens '{file['filename']}'; {held}")
    stage.screen.tell("Twinbox", "fetches the missing bytes now, and keeps them")
    app, number = stage.world.app, int(record["id"])
    found = attached_file(app, number, file["section"])
    check(
        stage,
        f"{_kilobytes(len(found.data))} came, byte for byte the file that was sent",
        True,
        found.data == _sent_offer(),
    )
    stage.world.gmail.forget_counters(ANNA_ADDRESS)
    attached_file(app, number, file["section"])
    check(stage, "opened a second time: Gmail is not asked", 0, asked(stage))


def _sent_offer() -> bytes:
    return attached("", OFFER_SIZE, seed=117)[2]


def poison(stage: Stage) -> None:
    """One message cannot be fetched."""
    world = stage.world
    now = world.clock.now()
    ids = [deliver(stage, question(now, number)) for number in (1, 2, 3)]
    uid = world.gmail.mail.uid(ANNA_ADDRESS, ids[1]) or 0
    world.gmail.faults.arm(ANNA_ADDRESS, Fault.system_error(uid), times=None)
    stage.screen.tell("Gmail", "three messages arrive; for the second one Gmail answers 'System Error (Failure)'")
    stage.screen.tell("Twinbox", "halves the batch until the bad one stands alone, and sets it aside with the reason")
    report = sync(stage)
    check(
        stage,
        "two are here, one is set aside",
        ("partial", 2, 1),
        (report.outcome, report.counts.get("new"), overview(stage)["set_aside"]),
    )
    world.gmail.faults.clear(ANNA_ADDRESS)
    world.clock.advance(RETRY.total_seconds())
    stage.screen.tell("Gmail", "half an hour later it is well again")
    healed = sync(stage)
    check(
        stage,
        "the third one came by itself",
        ("ok", 1, 0),
        (healed.outcome, healed.counts.get("new"), overview(stage)["set_aside"]),
    )


def cut_off(stage: Stage) -> None:
    """The connection breaks in the middle."""
    world = stage.world
    before = overview(stage)["messages"]
    fill_mailbox(world.gmail, ANNA_ADDRESS, status_mails(world.clock.now(), BURST))
    world.gmail.faults.arm(ANNA_ADDRESS, Fault.cut_after(CUT_AT, on="FETCH"))
    stage.screen.tell("Gmail", f"{BURST} messages arrive, and the connection is cut in the middle of them")
    stage.screen.tell(
        "Twinbox", "stores each window of messages together with its cursor, so it can go on at any point"
    )
    report = sync(stage)
    fetched = traffic(stage).fetched
    if report.outcome == "failed":
        stage.screen.tell("Twinbox", "tries again by itself after a pause, here at once")
        clean_sync(stage)
        fetched += traffic(stage).fetched
    check(stage, f"all {BURST} are here, each once", before + BURST, overview(stage)["messages"])
    most = max(times for (_, _, item), times in fetched.items() if is_body(item))
    check(stage, "no message was asked for more than twice", True, most <= 2)


def _read_and_filed(place: dict[str, list[str]]) -> tuple[bool, bool]:
    return "\\Seen" in place["flags"], "Clients/Nordwind" in place["labels"]


def _name(sender: str) -> str:
    return sender.partition("<")[0].strip() or sender


def _labels(row: dict[str, list[dict[str, list[str]]]]) -> str:
    found = [label for place in row["places"] for label in place["labels"] or ()]
    return ", ".join(label.removeprefix("\\") for label in sorted(found)) or "-"


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:.1f} MB"


def _kilobytes(size: int) -> str:
    return f"{size // 1000} KB"


STEPS = part(
    "Mail",
    Step("The first sync", first_sync, brief=False),
    Step("Nothing changed", nothing_changed),
    Step("New mail", new_mail),
    Step("Read and labelled", label_and_flag),
    Step("Moved to Trash", trashed, brief=False),
    Step("Deleted for good", deleted),
    Step("The server renumbers a folder", renumbered, brief=False),
    Step("An attachment on demand", attachment),
    Step("A message that cannot be fetched", poison),
    Step("The connection breaks", cut_off),
)
