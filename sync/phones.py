"""Brings phone numbers into the international form (E.164) for matching; what a person wrote is never changed.
The numbering plans of all countries are phonenumberslite's."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import phonenumbers

from core.contact import Contact
from core.policy import Policy, contact_policy


def phone_normaliser(region: str) -> Callable[[str], str]:
    """A function from a written number to `+491701234567`, "" when it is no possible number.

    `region` (ISO 3166-1 alpha-2) is where a number without a country code is dialled; "": such numbers are not matched.
    """

    @lru_cache(maxsize=4096)
    def normalise(written: str) -> str:
        try:
            number = phonenumbers.parse(written, region or None)
        except phonenumbers.NumberParseException:
            return ""
        if not phonenumbers.is_possible_number(number):
            return ""
        return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)

    return normalise


@lru_cache(maxsize=16)
def contact_rules(region: str) -> Policy[Contact]:
    """The policy for contacts in an installation with that `phone_region`, made once: it remembers numbers it saw."""
    return contact_policy(phone_normaliser(region))
