"""Finds the tag of a contacts channel, or makes the first one. Only a personal tag of the account's owner will do."""

from __future__ import annotations

from sqlalchemy.orm import Session

from core.contact_settings import ContactSettings
from core.errors import Held, Misconfigured, NotFound
from models.accounts import AccountRow
from models.contacts import TagRow
from sync.app import App
from sync.tags import PERSONAL, find_tag, make_tag

_CHOOSE = "Choose a personal tag of the account's owner: `twinbox settings contacts ACCOUNT --tag NAME`."


def own_tag(app: App, account: AccountRow, settings: ContactSettings, *, make: bool) -> str:
    """The id of the channel's tag. A channel that never had one takes the owner's personal tag named like the group,
    which is made if need be; "" if it must not be (`make` False).

    Raises Held when the tag was deleted: that is never read as "nobody has it any more". Raises Misconfigured when it
    is not a personal tag of the owner.
    """
    with app.db.reading() as session:
        if settings.tag:
            check_tag(session, account, settings.tag)
            return settings.tag
        try:
            return str(find_tag(session, account.workspace_id, settings.group, owner=account.user_id)["id"])
        except NotFound:
            pass
    # The run that makes it writes it down with the group; one that dies before finds it by its name.
    return str(make_tag(app, account.workspace_id, settings.group, owner=account.user_id)["id"]) if make else ""


def check_tag(session: Session, account: AccountRow, tag_id: str) -> TagRow:
    """The tag, if it can be this account's. Raises Held when it does not exist, Misconfigured when it cannot."""
    row = session.get(TagRow, tag_id)
    if row is None or row.workspace_id != account.workspace_id:
        raise Held(
            "the tag of this channel was deleted in the CRM", kind="tag_gone", advice=f"Nobody was untagged. {_CHOOSE}"
        )
    if row.kind != PERSONAL or row.owner_id != account.user_id:
        raise Misconfigured(f"the tag {row.name!r} is no personal tag of the account's owner", advice=_CHOOSE)
    return row
