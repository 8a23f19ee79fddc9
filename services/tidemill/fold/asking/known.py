"""Which events have their label already, by what stands in the topics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from tidemill.contracts.feedback_form import REFUSED, is_too_early
from tidemill.contracts.topics import FEEDBACK, LABELS, RECEIPTS, UPDATES
from tidemill.fold.audit.bounds import first_where
from tidemill.kernel.errors import InvalidRecordError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tidemill.contracts.targets import ModelKind
    from tidemill.fold.asking.recent import Case
    from tidemill.kernel.processor import Log

    Record = Mapping[str, Any]  # Any: Avro values
    # An event: where it stands; or its asset with its id, or with its time.
    Name = tuple[str, int, int] | tuple[str, str] | tuple[str, int]

# A label may be written before its event is: this much earlier it is looked for.
EARLIER_MS = 3_600_000
_LABEL = "label"
_EXAMPLE = "EXAMPLE"
_CORRECTED = "CORRECTED"
_ANSWERS = frozenset({"RIGHT", _CORRECTED})
# Where there are two answers only, the other one is right.
_WRONG = "WRONG"


class Decoder(Protocol):
    """Reads one record of ours."""

    def decode(self, value: bytes | None) -> dict[str, Any]:  # Any: as above
        """Return the record.

        Raises:
            InvalidRecordError: It cannot be read.
        """


class Known:
    """The labels that have come; what was refused or taken back counts for nothing."""

    def __init__(self) -> None:
        self._labels: set[Name] = set()
        self._said: dict[str, tuple[str, Name]] = {}
        self._undone: set[str] = set()
        self._too_early: set[str] = set()
        self._retracts: dict[str, str] = {}

    def add_label(self, label: Record) -> None:
        """Note a `Label`: by id, or by time where the stream joins by it."""
        self._labels |= {
            (label["asset"], label["event_id"]),
            (label["asset"], int(label["time"])),
        }

    def add_update(self, update: Record) -> None:
        """Note an `Update` that teaches a label; one from a feedback goes with that feedback."""
        if update["kind"] != _EXAMPLE:
            return
        if update["origin"] in {_LABEL, ""}:
            self._labels.add(_name(update))
        else:
            self._said[update["origin"]] = (_EXAMPLE, _name(update))

    def add_feedback(self, feedback: Record) -> None:
        """Note a `Feedback` that says what is right, or takes another one back."""
        if feedback["kind"] == "RETRACT":
            self._retracts[feedback["feedback_id"]] = feedback["target_id"]
        elif feedback["kind"] in {*_ANSWERS, _WRONG} and (
            feedback["event"] or feedback["event_id"]
        ):
            kind = _CORRECTED if feedback["value"] is not None else feedback["kind"]
            self._said[feedback["feedback_id"]] = (kind, _name(feedback))

    def add_receipt(self, receipt: Record) -> None:
        """Note a `Receipt` that refuses; one for its time only holds until it was sent again."""
        name = receipt["feedback_id"]
        if is_too_early(receipt):
            self._too_early.add(name)
        elif receipt["status"] == REFUSED:
            self._undone.add(name)
        else:
            self._too_early.discard(name)

    def unlabelled(
        self, cases: Sequence[Case], kinds: Mapping[str, ModelKind], timed: frozenset[str]
    ) -> list[Case]:
        """Return the cases whose label has not come.

        Args:
            cases: Any.
            kinds: What the models of each stream do.
            timed: Streams whose labels name their event by its time.
        """
        refused = self._undone | self._too_early
        retracted = {to for by, to in self._retracts.items() if by not in refused}
        counting = [said for by, said in self._said.items() if by not in refused | retracted]
        answered = self._labels | {name for kind, name in counting if kind != _WRONG}
        of_two = {name for kind, name in counting if kind == _WRONG}
        return [
            case
            for case in cases
            if (names := _names(case, is_timed=case.stream in timed)).isdisjoint(answered)
            and not (kinds[case.stream] == "binary" and not names.isdisjoint(of_two))
        ]


def _name(record: Record) -> Name:
    event = record["event"]
    if event is not None:
        return (event["topic"], event["partition"], event["offset"])
    return (record["asset"], record["event_id"])


def _names(case: Case, *, is_timed: bool) -> set[Name]:
    names: set[Name] = {(*case.source,), (case.asset, case.event_id)}
    return names | {(case.asset, case.time_us)} if is_timed else names


def known_labels(
    log: Log, counts: Mapping[str, int], decoders: Mapping[str, Decoder], since_ms: int
) -> Known:
    """Read what has been said of events since a time.

    Args:
        log: The topics.
        counts: Partitions of every topic that there is.
        decoders: By topic.
        since_ms: When the first prediction in question was written.
    """
    known = Known()
    readers = {
        LABELS: known.add_label,
        UPDATES: known.add_update,
        FEEDBACK: known.add_feedback,
        RECEIPTS: known.add_receipt,
    }
    for topic, add in readers.items():
        for partition in range(counts.get(topic, 0)):
            for record in _since(log, (topic, partition), decoders[topic], since_ms - EARLIER_MS):
                add(record)
    return known


def _since(log: Log, where: tuple[str, int], decoder: Decoder, since_ms: int) -> Iterator[Record]:
    first = first_where(log, *where, lambda message: message.timestamp_ms >= since_ms)
    if first is None:
        return
    for messages in log.read(*where, first.offset, log.span(*where)[1]):
        for message in messages:
            try:
                yield decoder.decode(message.value)
            except InvalidRecordError:
                continue
