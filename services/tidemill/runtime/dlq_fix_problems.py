"""Rules held against the records they are to mend: names, ids, units, order."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from tidemill.kernel.errors import ConfigError
from tidemill.runtime.dlq_edits import definition_unit
from tidemill.runtime.dlq_fix_document import ConvertDocument, ReadDocument
from tidemill.runtime.dlq_units import unit_problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tidemill.runtime.dlq_fix_document import Rule
    from tidemill.runtime.dlq_records import TopicRecords


def check_rules(rules: Sequence[Rule], records: TopicRecords) -> None:
    """Hold rules against the records.

    Raises:
        ConfigError: With every problem.
    """
    problems = [problem for rule in rules for problem in _problems(rule, rules, records)]
    if problems:
        raise ConfigError(problems)


def _problems(rule: Rule, rules: Sequence[Rule], records: TopicRecords) -> Iterator[str]:
    event = rule.when.event
    if event is not None and event not in records.names:
        yield f"{rule.path}: when.event must be one of {', '.join(records.names)}, was {event}"
        return
    match rule.action, rule.argument:
        case "read_as", ReadDocument() as read:
            yield from _reading(rule, read, rules, records)
        case "write_as", int(write_id):
            yield from _known_id(rule.path, write_id, records)
        case "rename", dict(pairs):
            yield from _names(rule, pairs, rules, records)
            yield from _names(rule, pairs.values(), (), records)
        case "drop", list(names):
            yield from _names(rule, names, rules, records)
        case action, dict(fields):
            yield from _names(rule, fields, rules, records)
            if action == "convert":
                yield from _units(rule, fields, records)


def _reading(
    rule: Rule, read: ReadDocument, rules: Sequence[Rule], records: TopicRecords
) -> Iterator[str]:
    if any(other.action != "read_as" for other in rules[: rules.index(rule)]):
        yield f"{rule.path}: must come before every rule that changes what was read"
    if read.schema_id is not None:
        yield from _known_id(rule.path, read.schema_id, records)
    elif read.record not in records.names:
        yield f"{rule.path}.json: must be one of {', '.join(records.names)}, was {read.record}"


def _known_id(path: str, schema_id: int, records: TopicRecords) -> Iterator[str]:
    if schema_id not in records.schemas:
        known = ", ".join(f"{each} ({records.name(each)})" for each in sorted(records.schemas))
        yield f"{path}: must be a schema id of this topic, {known}, was {schema_id}"


def _names(
    rule: Rule, names: Iterable[str], rules: Sequence[Rule], records: TopicRecords
) -> Iterator[str]:
    """Yield fields that no version of the record has, and that JSON did not bring."""
    is_free = any(isinstance(r.argument, ReadDocument) and r.argument.record for r in rules)
    if is_free:
        return
    known = records.fields(rule.when.event)
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f", did you mean {close[0]}?" if close else ""
            record = rule.when.event or "any record of this topic"
            fields = ", ".join(sorted(known))
            yield f"{rule.path}.{name}: must be a field of {record} ({fields}){hint}"


def _units(rule: Rule, fields: dict[str, ConvertDocument], records: TopicRecords) -> Iterator[str]:
    events = [rule.when.event] if rule.when.event is not None else records.names
    for name, convert in fields.items():
        found = [definition_unit(records, records.newest(event), name) for event in events]
        targets = {convert.to} if convert.to is not None else {unit for unit in found if unit}
        if not targets:
            yield f"{rule.path}.{name}.to: must be given, the definition has no unit for {name}"
        for target in sorted(targets):
            problem = unit_problem(convert.source, target)
            if problem is not None:
                yield f"{rule.path}.{name}: {problem}"
