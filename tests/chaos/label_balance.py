"""What must come of predictions and labels, whatever order they were read in."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from chaos.balance import BrokenPromiseError
from tidemill.contracts.codec import codec
from tidemill.kernel.deadletters import REASON_HEADER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Avro = dict[str, Any]  # Any: the values of a record
MICROS = 1_000_000


class Placed(NamedTuple):
    """A label, and its partition and offset."""

    record: Avro
    partition: int
    offset: int


class Letter(NamedTuple):
    """A label that was set aside: why, and its partition and offset."""

    reason: str
    partition: int
    offset: int


def letter_of(headers: Mapping[str, bytes]) -> Letter:
    """Return what the headers of a dead letter say."""
    where = (headers["__streams.errors.partition"], headers["__streams.errors.offset"])
    partition, offset = map(int, where)
    return Letter(headers[REASON_HEADER].decode(), partition, offset)


def decoded(name: str, values: Iterable[bytes | None]) -> list[Avro]:
    """Return records of ours."""
    return [codec(name).decode(value) for value in values]


def check_labels(
    predictions: Iterable[Avro],
    labels: Iterable[Placed],
    updates: Sequence[Sequence[Avro]],
    dead: Iterable[Letter],
    *,
    ttl_s: float,
) -> int:
    """Hold examples and dead letters against all predictions and labels; return how many there are.

    Of each event with a label on time: its newest revision on time is the last word, each revision
    is said once, one of them is the first, each other in the place of one that was said. Labels
    later than the ttl are dead letters, those without an event may be, each once, and no others.

    Args:
        updates: By partition, in order.

    Raises:
        BrokenPromiseError: A label is lost, or said twice, or something else than was predicted.
    """
    predicted: dict[str, Avro] = {}
    for record in predictions:
        predicted.setdefault(record["event_id"], record)
    on_time: dict[str, list[Avro]] = defaultdict(list)
    late, unknown = set(), set()
    for record, partition, offset in labels:
        event = predicted.get(record["event_id"])
        if event is None:
            unknown.add(Letter("unknown-event", partition, offset))
        elif record["time"] - event["time"] > ttl_s * MICROS:
            late.add(Letter("late", partition, offset))
        else:
            on_time[record["event_id"]].append(record)
    found = sorted(dead)
    _hold(len(found) == len(set(found)), f"a dead letter must be written once, found {found[:9]}")
    missing, strange = sorted(late - set(found)), sorted(set(found) - late - unknown)
    _hold(not missing, f"each late label must be a dead letter, missing are {missing[:9]}")
    _hold(not strange, f"no other label may be a dead letter, found {strange[:9]}")
    said: dict[str, list[Avro]] = defaultdict(list)
    for part in updates:
        check_causes(part)
        for update in part:
            said[update["event_id"]].append(update)
    lost = sorted(set(on_time) - set(said))
    _hold(
        not lost, f"each event with a label must have an example, {len(lost)} have not: {lost[:9]}"
    )
    for event_id, examples in said.items():
        _check_event(predicted[event_id], on_time[event_id], examples)
    return sum(map(len, updates))


def check_causes(updates: Iterable[Avro]) -> None:
    """Hold that causes rise in a partition of updates, per source partition.

    Raises:
        BrokenPromiseError: They do not: a learner would pass one over.
    """
    last: dict[tuple[str, int], tuple[int, int]] = {}
    for update in updates:
        cause = update["cause"]
        source, at = (cause["topic"], cause["partition"]), (cause["offset"], cause["index"])
        before = last.get(source, (-1, -1))
        _hold(before < at, f"causes of {source} must rise, found {at} after {before}")
        last[source] = at


def _check_event(event: Avro, labels: Sequence[Avro], examples: Sequence[Avro]) -> None:
    """Hold the examples of one event against its labels on time."""
    name = event["event_id"]
    given = {(each["revision"], each["value"]) for each in labels}
    by_revision = sorted(examples, key=lambda each: int(each["revision"]))
    told = [(each["revision"], each["label"]) for each in by_revision]
    revisions = {revision for revision, _ in told}
    _hold(len(revisions) == len(told), f"each revision of {name} must be said once, found {told}")
    _hold(set(told) <= given, f"{name} must be told what labels say, {told} of {sorted(given)}")
    _hold(by_revision[0]["replaced"] is None, f"one label of {name} must be the first of {told}")
    for number, example in enumerate(by_revision[1:], 1):
        earlier = {label for _, label in told[:number]}
        is_right = example["replaced"] in earlier and example["replaced"] != example["label"]
        _hold(is_right, f"a revision of {name} must replace another label, was {example}")
    newest = max(revision for revision, _ in given)
    final = {value for revision, value in given if revision == newest}
    _hold(told[-1][1] in final, f"{name}: the last word must be in {final}, {told} were said")
    for example in examples:
        same = (
            example["features"] == event["features"],
            example["stored"]["value"] == event["value"],
            example["stored"]["lineage"] == event["lineage"],
            example["event"] == event["source"],
            example["time"] == event["time"],
        )
        _hold(all(same), f"an example of {name} must hold what was predicted, was {example}")


def _hold(is_held: bool, message: str) -> None:
    if not is_held:
        raise BrokenPromiseError(message)
