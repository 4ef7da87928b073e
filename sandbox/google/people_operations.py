"""PRETENDS the table of the People API: which method and path is which operation, and what it takes.
Held against the discovery document people.v1 by a test; how calls are carried out is left to `people_api`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.google import groups_calls, people_reads, people_writes
from sandbox.google.people_call import Call
from sandbox.google.people_wire import Json


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of the API: how it is reached, what it takes, what it does."""

    name: str
    method: str
    path: re.Pattern[str]
    rpc: str  # Google's own name, told in refusals
    act: Callable[[Call], Json] | None  # None: never allowed to us
    params: frozenset[str] = frozenset()
    writes: bool = False
    critical: bool = (
        False  # a critical read, also by the read after a write (google.md, B.6); batches decide themselves
    )


def _operation(
    name: str,
    route: str,
    rpc: str,
    act: Callable[[Call], Json] | None,
    params: str = "",
    *,
    writes: bool = False,
    critical: bool = False,
) -> Operation:
    method, path = route.split()
    pattern = (
        re.escape(path).replace(r"\{person\}", r"(people/[^/:]+)").replace(r"\{group\}", r"(contactGroups/[^/:]+)")
    )
    service = "ContactGroupsService" if "roup" in rpc else "PeopleService"
    full = f"google.people.v1.{service}.{rpc}"
    return Operation(name, method, re.compile(pattern), full, act, frozenset(params.split()), writes, critical)


_READ = "personFields requestMask.includeField sources"
OPERATIONS = (
    _operation(
        "connections.list",
        "GET /v1/{person}/connections",
        "ListConnections",
        people_reads.list_connections,
        f"{_READ} pageSize pageToken requestSyncToken sortOrder syncToken",
        critical=True,
    ),
    _operation("people.get", "GET /v1/{person}", "GetPerson", people_reads.get_person, _READ, critical=True),
    _operation(
        "people.batchGet",
        "GET /v1/people:batchGet",
        "GetPeople",
        people_reads.batch_get,
        f"{_READ} resourceNames",
        critical=True,
    ),
    _operation(
        "people.createContact",
        "POST /v1/people:createContact",
        "CreateContact",
        people_writes.create_contact,
        "personFields sources",
        writes=True,
        critical=True,
    ),
    _operation(
        "people.batchCreateContacts",
        "POST /v1/people:batchCreateContacts",
        "BatchCreateContacts",
        people_writes.batch_create,
        writes=True,
    ),
    _operation(
        "people.updateContact",
        "PATCH /v1/{person}:updateContact",
        "UpdateContact",
        people_writes.update_contact,
        "personFields sources updatePersonFields",
        writes=True,
        critical=True,
    ),
    _operation(
        "people.batchUpdateContacts",
        "POST /v1/people:batchUpdateContacts",
        "BatchUpdateContacts",
        people_writes.batch_update,
        writes=True,
    ),
    _operation("people.deleteContact", "DELETE /v1/{person}:deleteContact", "DeleteContact", None),
    _operation("people.batchDeleteContacts", "POST /v1/people:batchDeleteContacts", "BatchDeleteContacts", None),
    _operation(
        "contactGroups.list",
        "GET /v1/contactGroups",
        "ListContactGroups",
        groups_calls.list_groups,
        "groupFields pageSize pageToken syncToken",
    ),
    _operation(
        "contactGroups.batchGet",
        "GET /v1/contactGroups:batchGet",
        "BatchGetContactGroups",
        groups_calls.batch_get_groups,
        "groupFields maxMembers resourceNames",
    ),
    _operation(
        "contactGroups.get",
        "GET /v1/{group}",
        "GetContactGroup",
        groups_calls.get_group,
        "groupFields maxMembers",
    ),
    _operation(
        "contactGroups.create", "POST /v1/contactGroups", "CreateContactGroup", groups_calls.create_group, writes=True
    ),
    _operation("contactGroups.update", "PUT /v1/{group}", "UpdateContactGroup", groups_calls.update_group, writes=True),
    _operation(
        "contactGroups.delete",
        "DELETE /v1/{group}",
        "DeleteContactGroup",
        groups_calls.delete_group,
        "deleteContacts",
        writes=True,
    ),
    _operation(
        "members.modify",
        "POST /v1/{group}/members:modify",
        "ModifyContactGroupMembers",
        groups_calls.modify_members,
        writes=True,
    ),
)
