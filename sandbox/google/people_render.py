"""PRETENDS how Google shows a contact: fields by mask, values by source, metadata, etags, derived members.
Which version is shown to whom is decided by the calls; nothing here changes a contact."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from sandbox.google.people_input import display_name
from sandbox.google.people_records import Contact, Profile, stamp
from sandbox.google.people_schema import KINDS, formatted_type
from sandbox.google.people_tokens import person_etag, source_etag
from sandbox.google.people_wire import Json

BOTH = ("CONTACT", "PROFILE")
_LIST_CAP = 100  # emails and phones per person in list answers (google.md, B.3)
_PHOTO = "https://lh3.googleusercontent.com/cm/default-{}=s100"


@dataclass(frozen=True, slots=True)
class View:
    """What a call asked to see."""

    fields: tuple[str, ...]
    kinds: tuple[str, ...] = BOTH
    listed: bool = False
    synced: bool = False  # previousResourceNames are shown only in sync-token calls
    shuffle: int | None = None


def render(contact: Contact, view: View) -> Json:
    """The Person as Google sends it. Parts of it are shared between answers: never change them."""
    person: Json = {
        "resourceName": contact.name,
        "etag": person_etag(view.fields, view.kinds, contact.etag, listed=view.listed),
    }
    for name in view.fields:
        if name == "metadata":
            person["metadata"] = _person_metadata(contact, view)
        elif not contact.deleted and (items := _items(contact, name, view)):
            capped = view.listed and name in ("emailAddresses", "phoneNumbers")
            person[name] = items[:_LIST_CAP] if capped else items
    return person


def render_profile(profile: Profile, view: View) -> Json:
    """The account itself, as `people/me` shows it."""
    source = _profile_source(profile)
    person: Json = {
        "resourceName": f"people/{profile.id}",
        "etag": person_etag(view.fields, ("PROFILE",), source["etag"], listed=False),
    }
    for name in view.fields:
        if name == "metadata":
            person["metadata"] = {"sources": [source], "objectType": "PERSON"}
        elif items := _profile_items(profile, name):
            mark = {"primary": True, "sourcePrimary": True}
            person[name] = [{**item, "metadata": {**mark, **item["metadata"]}} for item in items]
    return person


def contact_source(contact: Contact) -> Json:
    """The entry of `metadata.sources` that carries the version."""
    return {"type": "CONTACT", "id": contact.source_id, "etag": contact.etag, "updateTime": stamp(contact.updated)}


def _person_metadata(contact: Contact, view: View) -> Json:
    sources = [contact_source(contact)] if "CONTACT" in view.kinds else []
    if contact.profile is not None and "PROFILE" in view.kinds and not contact.deleted:
        sources.append(_profile_source(contact.profile))
    found: Json = {"sources": sources, "objectType": "PERSON"}
    if view.synced and contact.previous:
        found["previousResourceNames"] = list(contact.previous)
    if contact.deleted:
        found["deleted"] = True
    return found


def _profile_source(profile: Profile) -> Json:
    kind = {"objectType": "PERSON", "userTypes": ["GOOGLE_USER"]}
    return {"type": "PROFILE", "id": profile.id, "etag": source_etag(profile.id, 0), "profileMetadata": kind}


def _items(contact: Contact, name: str, view: View) -> list[Json]:
    key = (name, view.kinds, view.shuffle)
    if key not in contact.rendered:
        contact.rendered[key] = _build(contact, name, view)
    return contact.rendered[key]


def _build(contact: Contact, name: str, view: View) -> list[Json]:
    items: list[Json] = []
    if "CONTACT" in view.kinds:
        items = _contact_items(contact, name)
    if contact.profile is not None and "PROFILE" in view.kinds:
        # A profile's photo goes before the default one of the contact.
        theirs = _profile_items(contact.profile, name)
        items = [*theirs, *items] if name == "photos" else [*items, *theirs]
    if items and name != "memberships":
        items[0] = {**items[0], "metadata": {"primary": True, **items[0]["metadata"]}}
    if view.shuffle is not None:
        random.Random(f"{view.shuffle} {contact.name} {contact.number} {name}").shuffle(items)
    return items


def _contact_items(contact: Contact, name: str) -> list[Json]:
    source = {"source": {"type": "CONTACT", "id": contact.source_id}}
    if name == "memberships":
        return [_membership(label, source) for label in contact.labels]
    stored = contact.fields.get(name, ())
    if name == "photos" and not stored:
        stored = ({"url": _PHOTO.format(contact.source_id), "default": True},)
    first = {"sourcePrimary": True, **source}
    return [
        {"metadata": source if index else first, **item, **_derived(name, item)} for index, item in enumerate(stored)
    ]


def _membership(label: str, metadata: Json) -> Json:
    ident = label.partition("/")[2]
    return {
        "metadata": metadata,
        "contactGroupMembership": {"contactGroupId": ident, "contactGroupResourceName": label},
    }


def _derived(name: str, item: Json) -> Json:
    """The output-only members, and those Google fills in."""
    extra: Json = {}
    if KINDS[name].has_type and item.get("type"):
        extra["formattedType"] = formatted_type(item["type"])
    if name == "names":
        extra["displayName"] = display_name(item) or item.get("unstructuredName", "")
        extra["displayNameLastFirst"] = _last_first(item) or extra["displayName"]
    elif name == "phoneNumbers" and (number := _e164(item.get("value", ""))):
        extra["canonicalForm"] = number
    elif name == "addresses" and "formattedValue" not in item:
        extra["formattedValue"] = _postal(item)
    elif name == "biographies" and "contentType" not in item:
        extra["contentType"] = "TEXT_PLAIN"
    elif name == "genders" and "value" in item:
        extra["formattedValue"] = item["value"].capitalize()
    elif name == "imClients" and "protocol" in item:
        extra["formattedProtocol"] = item["protocol"]
    return extra


def _last_first(name: Json) -> str:
    rest = " ".join(name[part] for part in ("honorificPrefix", "givenName", "middleName") if part in name)
    return ", ".join(part for part in (name.get("familyName", ""), rest, name.get("honorificSuffix", "")) if part)


def _e164(number: str) -> str:
    digits = re.sub(r"[\s().\-/]", "", number)
    return digits if re.fullmatch(r"\+[1-9]\d{6,14}", digits) else ""


def _postal(address: Json) -> str:
    place = " ".join(address[part] for part in ("region", "postalCode") if part in address)
    city = ", ".join(part for part in (address.get("city", ""), place) if part)
    lines = [address.get(part, "") for part in ("streetAddress", "extendedAddress", "poBox")]
    return "\n".join(line for line in (*lines, city, address.get("country", "")) if line)


def _profile_items(profile: Profile, name: str) -> list[Json]:
    source = {"source": {"type": "PROFILE", "id": profile.id}}
    if name == "emailAddresses" and profile.email:
        return [{"metadata": {"verified": True, **source}, "value": profile.email}]
    if name == "names" and profile.name:
        given, _, family = profile.name.rpartition(" ")
        words = {"givenName": given or family, **({"familyName": family} if given else {})}
        last_first = f"{family}, {given}" if given else family
        return [
            {
                "metadata": source,
                "displayName": profile.name,
                "displayNameLastFirst": last_first,
                "unstructuredName": profile.name,
                **words,
            }
        ]
    if name == "photos":
        return [{"metadata": source, "url": f"https://lh3.googleusercontent.com/a/profile-{profile.id}=s100"}]
    return []
