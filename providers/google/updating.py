"""Writes texts into contacts that exist, 200 a call, and finds out which of a batch Google refused and why.
What is sent for a field is `edits`; members of the group and new contacts are left to `writing`."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.contact import Contact
from core.errors import RecordGone, Transient, TwinboxError, VersionConflict
from core.replica import Item, Write
from providers.google.client import PeopleClient
from providers.google.edits import changed_fields, in_mask_order
from providers.google.errors import Json, Refusal, item_refusal
from providers.google.listing import SOURCES, chunked, get_people
from providers.google.mapping import PERSON_FIELDS, contact_of
from providers.google.persons import known_item, read_item

BATCH = 200  # people.batchCreateContacts, people.batchUpdateContacts


@dataclass(frozen=True, slots=True)
class Edit:
    """A write to a contact that exists, with what is known of it; `fields` are the lists that must be sent."""

    write: Write[Contact]
    extra: Mapping[str, Any]
    fields: Mapping[str, list[Json]] = field(default_factory=dict)
    reread: bool = False

    @property
    def id(self) -> str:
        return self.write.id

    def person(self, mask: tuple[str, ...]) -> Json:
        """The body for this mask. Both etags go along: the documentation speaks of that of the source, users report
        that the one of the person is compared (googleapis/google-api-python-client issue 1169)."""
        source = {key: value for key, value in self.extra["source"].items() if key != "updateTime"}
        raw = self.extra["fields"]
        sent = {name: self.fields.get(name, raw.get(name, [])) for name in mask}
        return {"etag": self.extra["etag"], "metadata": {"sources": [source]}, **sent}


Result = tuple[Edit, Item[Contact] | TwinboxError]


class Updater:
    """The updates of one call of `write`."""

    def __init__(self, client: PeopleClient, group: str) -> None:
        self._client = client
        self._group = group
        self._queue: deque[list[Edit]] = deque()
        self._distrust = False  # Google refuses etags that came from a list: read before writing

    def results(self, writes: Sequence[Write[Contact]]) -> Iterator[Result]:
        """Each write with its record once the text is written, or why it is not; membership is not touched."""
        edits: list[Edit] = []
        for edit, problem in self._prepared(writes):
            if problem is not None:
                yield edit, problem
            elif edit.fields:
                edits.append(edit)
            else:
                yield edit, known_item(edit.id, edit.extra, selected=edit.write.selected is not False)
        # Those that change the same fields share a call; the mask of a call is that of all in it, and everybody's
        # other fields are sent as they were read. An etag that is not the current one refuses them.
        edits.sort(key=lambda edit: in_mask_order(set(edit.fields)))
        self._queue = deque(chunked(edits, BATCH))
        while self._queue:
            batch = self._queue.popleft()
            if self._distrust and not batch[0].reread:
                batch = yield from self._read_again(batch)
            if batch:
                yield from self._sent(batch)

    def _prepared(self, writes: Sequence[Write[Contact]]) -> Iterator[tuple[Edit, TwinboxError | None]]:
        unread = [write.id for write in writes if not _is_known(write.extra)]
        seen = get_people(self._client, unread, self._group).items if unread else {}
        for write in writes:
            extra = write.extra
            if not _is_known(extra):
                item = seen.get(write.id)
                if item is None:
                    yield Edit(write, extra), _gone()
                    continue
                if write.body is not None and item.stamp.version != write.expect:
                    yield Edit(write, extra), _changed()
                    continue
                extra = item.extra
            fields = changed_fields(extra["fields"], write.body) if write.body is not None else {}
            yield Edit(write, extra, fields), None

    def _sent(self, batch: list[Edit]) -> Iterator[Result]:
        mask = in_mask_order({name for edit in batch for name in edit.fields})
        body = {
            "contacts": {edit.id: edit.person(mask) for edit in batch},
            "updateMask": ",".join(mask),
            "readMask": PERSON_FIELDS,
            "sources": list(SOURCES),
        }
        answer = self._client.attempt(self._client.people.batchUpdateContacts(body=body))
        if isinstance(answer, Refusal):
            yield from self._refused(batch, answer)
        else:
            yield from self._written(batch, answer)

    def _refused(self, batch: list[Edit], refusal: Refusal) -> Iterator[Result]:
        """A refused batch changed nothing. Google names the culprits, and the others are sent again without them; if
        it names none, halves show where they are."""
        errors = refusal.item_errors()
        if len(batch) == 1:
            errors = {batch[0].id: errors.get(batch[0].id, refusal)}
        refused = [edit for edit in batch if edit.id in errors]
        rest = [edit for edit in batch if edit.id not in errors]
        if not refused:
            half = len(rest) // 2
            self._queue.extendleft((rest[half:], rest[:half]))
            return
        if rest:
            self._queue.appendleft(rest)
        stale: list[Edit] = []
        for edit in refused:
            error = errors[edit.id].error()
            if isinstance(error, VersionConflict) and not edit.reread:
                stale.append(edit)
            else:
                yield edit, error
        if stale:
            again = yield from self._read_again(stale)
            if again:
                self._queue.append(again)

    def _written(self, batch: list[Edit], answer: Json) -> Iterator[Result]:
        results = answer.get("updateResult")
        unknown = False
        for edit in batch:
            result = results.get(edit.id) if isinstance(results, dict) else None
            outcome = read_result(result, self._group)
            if outcome is None:
                unknown = True
            else:
                yield edit, outcome
        if unknown:
            raise Transient("Google did not say what it wrote")

    def _read_again(self, edits: list[Edit]) -> Generator[Result, None, list[Edit]]:
        """The edits on fresh versions, of those whose mapped text is what it was: etags move for other reasons too,
        labels, photos, mail sent to that person, and those of a list may not be taken at all."""
        seen = get_people(self._client, [edit.id for edit in edits], self._group).items
        fresh: list[Edit] = []
        for edit in edits:
            item = seen.get(edit.id)
            if item is None:
                yield edit, _gone()
            elif edit.write.body is None or item.body != contact_of(edit.extra["fields"]):
                yield edit, _changed()
            else:
                if item.extra["source"].get("etag") == edit.extra["source"].get("etag"):
                    self._distrust = True
                fields = changed_fields(item.extra["fields"], edit.write.body)
                fresh.append(Edit(edit.write, item.extra, fields, reread=True))
        return fresh


def read_result(result: Any, group: str) -> Item[Contact] | TwinboxError | None:
    """A PersonResponse after a write: the record as it is now, or why it was not written; None if it tells neither."""
    if not isinstance(result, dict):
        return None
    person, status = result.get("person"), result.get("status")
    if isinstance(status, dict) and status.get("code"):
        return item_refusal(status).error()
    return read_item(person, group) if isinstance(person, dict) else None


def _is_known(extra: Mapping[str, Any]) -> bool:
    return all(key in extra for key in ("etag", "source", "fields"))


def _gone() -> RecordGone:
    return RecordGone("the contact does not exist at Google any more")


def _changed() -> VersionConflict:
    return VersionConflict("the contact was changed at Google since it was read")
