"""PRETENDS the fields of a Person: what Google knows, what clients may write, which masks are valid.
Read off the discovery document people.v1 (revision 20251117); a test holds this table against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sandbox.google.api_wire import words
from sandbox.google.people_wire import invalid

_DOC = "Valid paths are at https://developers.google.com/people/api/rest/v1/people/get."


@dataclass(frozen=True, slots=True)
class Kind:
    """One repeated field of a Person: its members by type, and how contacts may use it."""

    texts: frozenset[str]
    output: frozenset[str] = frozenset()  # accepted and ignored when sent
    dates: frozenset[str] = frozenset()
    flags: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()
    choices: Mapping[str, frozenset[str]] = field(default_factory=dict)
    singleton: bool = False
    writable: bool = True

    @property
    def has_type(self) -> bool:
        """Whether items carry a `formattedType` made of their `type`."""
        return "formattedType" in self.output


def _kind(
    texts: str,
    output: str = "",
    *,
    dates: str = "",
    flags: str = "",
    numbers: str = "",
    choices: Mapping[str, str] | None = None,
    singleton: bool = False,
    writable: bool = True,
) -> Kind:
    return Kind(
        texts=words(texts),
        output=words(output),
        dates=words(dates),
        flags=words(flags),
        numbers=words(numbers),
        choices={name: words(values) for name, values in (choices or {}).items()},
        singleton=singleton,
        writable=writable,
    )


_NICKNAMES = "DEFAULT MAIDEN_NAME INITIALS GPLUS OTHER_NAME ALTERNATE_NAME SHORT_NAME"
_KEYWORDS = (
    "TYPE_UNSPECIFIED OUTLOOK_BILLING_INFORMATION OUTLOOK_DIRECTORY_SERVER OUTLOOK_KEYWORD OUTLOOK_MILEAGE "
    "OUTLOOK_PRIORITY OUTLOOK_SENSITIVITY OUTLOOK_SUBJECT OUTLOOK_USER HOME WORK OTHER"
)

# In the order of the valid paths of `personFields`; `memberships` and `metadata` have shapes of their own.
KINDS: Mapping[str, Kind] = {
    "addresses": _kind(
        "city country countryCode extendedAddress formattedValue poBox postalCode region streetAddress type",
        "formattedType",
    ),
    "ageRanges": _kind("ageRange", writable=False),
    "biographies": _kind(
        "value", choices={"contentType": "CONTENT_TYPE_UNSPECIFIED TEXT_PLAIN TEXT_HTML"}, singleton=True
    ),
    "birthdays": _kind("text", dates="date", singleton=True),
    "calendarUrls": _kind("type url", "formattedType"),
    "clientData": _kind("key value"),
    "coverPhotos": _kind("url", flags="default", writable=False),
    "emailAddresses": _kind("displayName type value", "formattedType"),
    "events": _kind("type", "formattedType", dates="date"),
    "externalIds": _kind("type value", "formattedType"),
    "genders": _kind("addressMeAs value", "formattedValue", singleton=True),
    "imClients": _kind("protocol type username", "formattedProtocol formattedType"),
    "interests": _kind("value"),
    "locales": _kind("value"),
    "locations": _kind("buildingId deskCode floor floorSection type value", flags="current"),
    "miscKeywords": _kind("value", "formattedType", choices={"type": _KEYWORDS}),
    "names": _kind(
        "familyName givenName honorificPrefix honorificSuffix middleName phoneticFamilyName phoneticFullName "
        "phoneticGivenName phoneticHonorificPrefix phoneticHonorificSuffix phoneticMiddleName unstructuredName",
        "displayName displayNameLastFirst",
        singleton=True,
    ),
    "nicknames": _kind("value", choices={"type": _NICKNAMES}),
    "occupations": _kind("value"),
    "organizations": _kind(
        "costCenter department domain jobDescription location name phoneticName symbol title type",
        "formattedType",
        dates="startDate endDate",
        flags="current",
        numbers="fullTimeEquivalentMillipercent",
    ),
    "phoneNumbers": _kind("type value", "canonicalForm formattedType"),
    "photos": _kind("url", flags="default", writable=False),
    "relations": _kind("person type", "formattedType"),
    "sipAddresses": _kind("type value", "formattedType"),
    "skills": _kind("value", writable=False),
    "urls": _kind("type value", "formattedType"),
    "userDefined": _kind("key value"),
}

READABLE = (*sorted({*KINDS, "memberships", "metadata"}),)
WRITABLE = frozenset(name for name, kind in KINDS.items() if kind.writable) | {"memberships"}
# Known to the schema, never stored: sent back by a client that echoes what it read, and ignored.
OTHER_MEMBERS = words(
    "ageRange braggingRights fileAses metadata etag resourceName relationshipInterests relationshipStatuses residences "
    "taglines memberships"
)
GROUP_READABLE = frozenset({"clientData", "groupType", "memberCount", "metadata", "name"})
GROUP_WRITABLE = frozenset({"clientData", "name"})
SOURCES = frozenset(
    f"READ_SOURCE_TYPE_{name}" for name in ("UNSPECIFIED", "PROFILE", "CONTACT", "DOMAIN_CONTACT", "OTHER_CONTACT")
)
SORT_ORDERS = frozenset(
    {"LAST_MODIFIED_ASCENDING", "LAST_MODIFIED_DESCENDING", "FIRST_NAME_ASCENDING", "LAST_NAME_ASCENDING"}
)

_PREDEFINED = words(
    "home work other mobile homeFax workFax otherFax pager workMobile workPager main googleVoice blog profile homePage "
    "ftp reservations appInstallPage freeBusy anniversary account customer loginId network organization spouse child "
    "mother father parent brother sister friend relative domesticPartner manager assistant referredBy partner school "
    "HOME WORK OTHER"
)


def formatted_type(kind: str) -> str:
    """The type as Google shows it in English: `homeFax` becomes `Home Fax`, a custom label stays as it is."""
    if kind not in _PREDEFINED:
        return kind
    spaced = "".join(f" {letter}" if letter.isupper() else letter for letter in kind) if not kind.isupper() else kind
    return spaced.strip().title()


def person_mask(text: str, parameter: str, allowed: frozenset[str] | None = None) -> tuple[str, ...]:
    """The fields a mask names, each once. Raises ApiError for an empty mask or an unknown path."""
    paths = [path.strip() for path in text.split(",") if path.strip()]
    if not paths:
        raise invalid(f"{parameter} mask is required. Please specify one or more valid paths. {_DOC}")
    valid = frozenset(READABLE) if allowed is None else allowed
    for path in paths:
        if path not in valid:
            raise invalid(f'Invalid {parameter} mask path: "{path}". {_DOC}')
    return tuple(dict.fromkeys(paths))
