"""What the owner of an account chose for its contacts channel. Pure; tag and group themselves live elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.errors import Misconfigured

DEFAULT_GROUP = "Twinbox"
MAX_NAME = 100


@dataclass(frozen=True, slots=True)
class ContactSettings:
    """Settings of the contacts channel.

    `tag` is the id of the personal tag whose contacts go out, "" before the first run made one. `group` is the name of
    the group (label) at the provider, `group_id` its resource name there once it exists.
    """

    tag: str = ""
    group: str = DEFAULT_GROUP
    group_id: str = ""

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> ContactSettings:
        """From the JSON of the channel row. Raises Misconfigured on a value of the wrong form."""
        values = {name: stored.get(name) or default for name, default in _DEFAULTS.items()}
        for name, value in values.items():
            if not isinstance(value, str):
                raise Misconfigured(
                    f"{name}: {value!r} is not a text", advice="Set it anew: `twinbox settings contacts`."
                )
        return cls(**values)

    def to_json(self) -> dict[str, Any]:
        """The form that `read` reads."""
        return {"tag": self.tag, "group": self.group, "group_id": self.group_id}


_DEFAULTS = {"tag": "", "group": DEFAULT_GROUP, "group_id": ""}
