"""Mending of dead letters: rules applied to one record after the other, every change noted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from tidemill.runtime.dlq_edits import EDITS, Place
from tidemill.runtime.dlq_fix_document import ReadDocument
from tidemill.runtime.dlq_records import UnfixableError
from tidemill.runtime.json_lines import as_json, text_or_hex

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidemill.runtime.dlq_fix_document import Rule
    from tidemill.runtime.dlq_letters import Letter
    from tidemill.runtime.dlq_records import TopicRecords, Values


class Change(NamedTuple):
    """One thing that a rule changed, before and after as JSON has it."""

    what: str
    before: object
    after: object


@dataclass(slots=True)
class Draft:
    """A record while it is mended.

    Attributes:
        schema_id: The schema that it is read by, None while it is unread; `write_id` the one that
            it will be written by.
        original: The record as it was read; `trouble` says why it could not be.
    """

    schema_id: int | None
    values: Values | None
    write_id: int | None
    original: Values = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    trouble: str = ""

    def put(self, name: str, value: object) -> None:
        """Set a field, noting the change if it is one."""
        assert self.values is not None
        before = self.values.get(name)
        if name in self.values and type(before) is type(value) and repr(before) == repr(value):
            return
        self.values[name] = value
        self.changes.append(Change(name, as_json(before), as_json(value)))


class Mended(NamedTuple):
    """What became of a value; without changes it is the original bytes."""

    value: bytes | None
    changes: tuple[Change, ...]


class Fix:
    """Applies rules.

    Args:
        rules: In order.
        records: How records of the topic are read and written.

    Attributes:
        used: How many records each rule changed, by its path.
    """

    def __init__(self, rules: Sequence[Rule], records: TopicRecords) -> None:
        self._rules = tuple(rules)
        self._records = records
        self.used: Counter[str] = Counter({rule.path: 0 for rule in rules})

    def apply(self, letter: Letter) -> Mended:
        """Return the value of a letter as the rules make it.

        Raises:
            UnfixableError: A rule that applies cannot be carried out, or the result fits no schema.
        """
        value = letter.message.value
        schema_id, values = self._records.read(value)
        draft = Draft(schema_id if values is not None else None, values, schema_id)
        draft.original = dict(values or {})
        for rule in self._rules:
            if self._applies(rule, letter, draft, schema_id):
                count = len(draft.changes)
                self._carry_out(rule, letter, draft)
                self.used[rule.path] += len(draft.changes) > count
        if not draft.changes:
            if draft.trouble:
                raise UnfixableError(draft.trouble)
            return Mended(value, ())
        if draft.values is None or draft.schema_id is None or draft.write_id is None:
            msg = "the value must be read before it is written: add a rule read_as"
            raise UnfixableError(draft.trouble or msg)
        self._check_id(draft)
        return Mended(self._records.write(draft.values, draft.write_id), tuple(draft.changes))

    def _applies(self, rule: Rule, letter: Letter, draft: Draft, in_front: int | None) -> bool:
        when = rule.when
        if rule.action == "read_as":
            is_meant = draft.values is None or when.schema_id is not None
        else:
            is_meant = draft.values is not None
        return (
            is_meant
            and when.reason in {None, letter.reason}
            and when.schema_id in {None, in_front}
            and when.key in {None, text_or_hex(letter.message.key)}
            and when.event in {None, self._records.name(draft.schema_id)}
        )

    def _carry_out(self, rule: Rule, letter: Letter, draft: Draft) -> None:
        match rule.action, rule.argument:
            case "read_as", ReadDocument() as read:
                self._read(read, letter.message.value, draft)
            case "write_as", int(write_id):
                self._write_as(write_id, draft)
            case "rename", dict(pairs):
                _rename(draft, pairs)
            case "drop", list(names):
                _drop(draft, names)
            case action, dict(fields):
                self._edit(rule, action, fields, draft)

    def _read(self, read: ReadDocument, value: bytes | None, draft: Draft) -> None:
        try:
            if read.record is not None:
                schema_id = self._records.newest(read.record)
                values = self._records.read_json(value or b"")
                said = "JSON"
            else:
                schema_id, said = read.schema_id, f"schema {read.schema_id}"
                assert schema_id is not None
                values = self._records.read_as(value or b"", schema_id, has_prefix=read.prefix)
        except UnfixableError as error:
            draft.trouble = f"read_as: {error}"
            return
        before = None if draft.schema_id is None else f"schema {draft.schema_id}"
        draft.schema_id, draft.write_id, draft.values = schema_id, schema_id, values
        draft.original = dict(values)
        draft.changes.append(Change("read_as", before, said))

    @staticmethod
    def _write_as(write_id: int, draft: Draft) -> None:
        if draft.write_id != write_id:
            draft.changes.append(Change("write_as", draft.write_id, write_id))
            draft.write_id = write_id

    def _edit(self, rule: Rule, action: str, fields: dict[str, object], draft: Draft) -> None:
        assert draft.values is not None
        assert draft.schema_id is not None
        for name, argument in fields.items():
            value = draft.values.get(name)
            if value is None and action not in {"default", "constant"}:
                continue
            target = draft.schema_id if draft.write_id is None else draft.write_id
            place = Place(self._records, target, name)
            try:
                draft.put(name, EDITS[action](value, argument, place))
            except ValueError as error:
                msg = f"{rule.path}.{name}: {error}"
                raise UnfixableError(msg) from error

    def _check_id(self, draft: Draft) -> None:
        """Hold that an event which has an id keeps it: it is the same event, sent once more."""
        stream = self._records.stream(draft.write_id)
        if stream is None or stream.id is None or draft.values is None:
            return
        was, now = draft.original.get(stream.id), draft.values.get(stream.id)
        if was not in (None, "") and was != now:
            msg = f"{stream.id} must stay the event's id {was!r}, would be {now!r}"
            raise UnfixableError(msg)


def _rename(draft: Draft, pairs: dict[str, str]) -> None:
    values = draft.values
    assert values is not None
    for old, new in pairs.items():
        if old not in values:
            continue
        if values.get(new) is not None:
            msg = f"rename: {new} must be free for {old}, is {values[new]!r}; drop it first"
            raise UnfixableError(msg)
        values[new] = values.pop(old)
        draft.changes.append(Change("rename", old, new))


def _drop(draft: Draft, names: list[str]) -> None:
    assert draft.values is not None
    for name in names:
        if name in draft.values:
            draft.changes.append(Change(name, as_json(draft.values.pop(name)), None))
