"""Commands that change the folder tree: CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE.

Decides what a client may do to folders; in Gmail a folder is a label, so messages survive its deletion.
"""

from __future__ import annotations

from sandbox.gmail import folders as plain
from sandbox.gmail import labels as gmail
from sandbox.gmail.grammar import Parser
from sandbox.gmail.model import add_folder
from sandbox.gmail.session import Command, No, Session


async def create(session: Session, args: Parser) -> str:
    """CREATE."""
    name = _one_name(args).rstrip(session.profile.plain.delimiter)
    with session.store.changing(session.user) as box:
        if name in box.folders:
            raise No(f"[ALREADYEXISTS] Duplicate folder name {_ascii(name)} (Failure)")
        add_folder(box, name)
    return "Success"


async def delete(session: Session, args: Parser) -> str:
    """DELETE; in Gmail the label goes and its messages stay."""
    name = _one_name(args)
    with session.store.changing(session.user) as box:
        folder = box.folders.get(name)
        if folder is None:
            raise No(f"[NONEXISTENT] Unknown Mailbox: {_ascii(name)} (Failure)")
        if (folder.role and session.profile.gmail) or name == "INBOX":
            raise No("[CANNOT] Invalid folder: " + _ascii(name) + " (Failure)")
        if session.profile.gmail:
            for message in [m for m in box.messages.values() if name in m.labels]:
                gmail.change(box, message, labels=message.labels - {name})
        plain.delete(box, name)
    return "Success"


async def rename(session: Session, args: Parser) -> str:
    """RENAME; of a label, every message's label set changes without a modseq."""
    args.space()
    old = args.folder()
    args.space()
    new = args.folder()
    args.end()
    with session.store.changing(session.user) as box:
        folder = box.folders.get(old)
        if folder is None:
            raise No(f"[NONEXISTENT] Unknown Mailbox: {_ascii(old)} (Failure)")
        if new in box.folders:
            raise No(f"[ALREADYEXISTS] Duplicate folder name {_ascii(new)} (Failure)")
        if (folder.role and session.profile.gmail) or old == "INBOX":
            raise No("[CANNOT] Operation not allowed. (Failure)")
        if session.profile.gmail:
            gmail.rename(box, old, new)
        else:
            plain.rename(box, old, new, session.profile.plain.delimiter)
    return "Success"


async def subscribe(session: Session, args: Parser) -> str:
    """SUBSCRIBE."""
    return _subscribe(session, args, wanted=True)


async def unsubscribe(session: Session, args: Parser) -> str:
    """UNSUBSCRIBE."""
    return _subscribe(session, args, wanted=False)


def _subscribe(session: Session, args: Parser, *, wanted: bool) -> str:
    name = _one_name(args)
    with session.store.lock:
        folder = session.mailbox.folders.get(name)
        if folder is None:
            raise No(f"[NONEXISTENT] Unknown Mailbox: {_ascii(name)} (Failure)")
        folder.subscribed = wanted
    return "Success"


def _one_name(args: Parser) -> str:
    args.space()
    name = args.folder()
    args.end()
    return name


def _ascii(name: str) -> str:
    return name.encode("ascii", "replace").decode("ascii")


COMMANDS = {
    "CREATE": Command(create),
    "DELETE": Command(delete),
    "RENAME": Command(rename),
    "SUBSCRIBE": Command(subscribe),
    "UNSUBSCRIBE": Command(unsubscribe),
}
