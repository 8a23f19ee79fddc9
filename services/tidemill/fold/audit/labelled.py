"""Examples made of labels, held against the predictions and labels that they are said to be of."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from tidemill.contracts.codec import codec
from tidemill.contracts.topics import LABELS, PREDICTIONS
from tidemill.fold.audit.bounds import first_where
from tidemill.fold.audit.findings import Finding, Kind, Place
from tidemill.fold.audit.outputs import prediction_source
from tidemill.kernel.errors import InvalidRecordError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Message

Record = dict[str, Any]  # Any: the values of an Avro record

ORIGIN = "label"
# So many are held against the topics in one pass over them.
AT_ONCE = 20_000
_MUST = "an example of a label must hold what was predicted of its event, and what the label says"


class Told(NamedTuple):
    """An example, where it stands, and the ledger entry that applied it."""

    place: Place
    sequence: int
    update: Record

    @property
    def event(self) -> int:
        """Offset of the event."""
        return int(self.update["event"]["offset"])

    @property
    def names(self) -> set[tuple[object, ...]]:
        """What a label of it may be called: by the event's id, or by its time."""
        update = self.update
        rest = update["revision"], update["label_time"]
        found: set[tuple[object, ...]] = {(update["asset"], update["event_id"], *rest)}
        if update["label_time"] == update["time"]:
            found.add((update["asset"], "", *rest))
        return found

    def differs(self, found: str) -> Finding:
        """Return the finding that something else stands in the topics."""
        return Finding(Kind.EXAMPLE_DIFFERS, self.place, self.sequence, _MUST, found)


class LabelAudit:
    """Holds examples of one partition against predictions and labels, many in one pass.

    Examples without what was predicted (`stored`, `event`) are nobody's answer to a prediction, and
    passed over. What is not retained cannot be held against anything.

    Attributes:
        compared: How many were held against both.
        lost: How many could not.
    """

    def __init__(self, log: Log, partition: int) -> None:
        self.compared = 0
        self.lost = 0
        self._log = log
        self._partition = partition
        self._told: list[Told] = []

    @property
    def notes(self) -> list[str]:
        """What could not be judged."""
        if not self.lost:
            return []
        return [
            f"{self.lost} examples of labels could not be held against {PREDICTIONS} or {LABELS}: "
            "not retained"
        ]

    def note(self, sequence: int, updates: Iterable[Message]) -> None:
        """Note the examples among the updates of an entry."""
        for message in updates:
            try:
                update = codec("Update").decode(message.value)
            except InvalidRecordError:
                continue
            is_example = update["kind"] == "EXAMPLE" and update["origin"] == ORIGIN
            if is_example and update["stored"] is not None and update["event"] is not None:
                self._told.append(Told(Place.of(message), sequence, update))

    @property
    def is_due(self) -> bool:
        """Whether enough are noted for a pass."""
        return len(self._told) >= AT_ONCE

    def settle(self, partitions: int) -> list[Finding]:
        """Return what differs in the examples noted; `partitions` is the plant's number of them."""
        told, self._told = self._told, []
        if not told:
            return []
        predictions = self._predictions(told)
        first = first_where(
            self._log, PREDICTIONS, self._partition, lambda message: _is_behind(message, 0)
        )
        begin = None if first is None else prediction_source(first)
        findings, labelled = [], []
        for each in told:
            event = each.update["event"]
            prediction = predictions.get((each.event, each.update["stream"]))
            if event["partition"] != self._partition:
                findings.append(each.differs("it names an event of another partition"))
            elif prediction is not None:
                wrong = _unlike(each.update, prediction)
                findings += [each.differs(wrong)] if wrong else []
                labelled += [] if wrong else [each]
            elif begin is None or each.event < begin:
                self.lost += 1
            else:
                findings.append(each.differs("its event was not predicted"))
        return [*findings, *self._unlabelled(labelled, partitions)]

    def _predictions(self, told: list[Told]) -> dict[tuple[int, str], Record]:
        """Return the predictions of some events by offset and stream."""
        wanted = {each.event for each in told}
        found: dict[tuple[int, str], Record] = {}
        log, partition = self._log, self._partition
        least, most = min(wanted), max(wanted)
        first = first_where(log, PREDICTIONS, partition, lambda m: _is_behind(m, least))
        if first is None:
            return found
        end = log.span(PREDICTIONS, partition)[1]
        for messages in log.read(PREDICTIONS, partition, first.offset, end):
            for message in messages:
                source = prediction_source(message)
                if source is not None and source > most:
                    return found
                if source in wanted:
                    record = codec("Prediction").decode(message.value)
                    found[source, record["stream"]] = {**record, "at": message.offset}
        return found

    def _unlabelled(self, told: list[Told], partitions: int) -> list[Finding]:
        """Return findings for examples whose label is not there, or says something else."""
        if not told:
            return []
        begins = [self._log.span(LABELS, number)[0] for number in range(partitions)]
        wanted: dict[tuple[object, ...], list[Told]] = defaultdict(list)
        for each in told:
            for name in each.names:
                wanted[name].append(each)
        labelled: set[int] = set()
        for message, record in self._labels(begins):
            name = record["asset"], record["event_id"], record["revision"], record["time"]
            labelled.update(
                id(each) for each in wanted.get(name, ()) if _is_of(each.update, message, record)
            )
        findings = []
        for each in told:
            cause = each.update["cause"]
            is_lost = any(begins)
            if cause["topic"] == LABELS and cause["partition"] < partitions:
                is_lost = cause["offset"] < begins[cause["partition"]]
            if id(each) in labelled:
                self.compared += 1
            elif is_lost:
                self.lost += 1
            else:
                where = f"{cause['topic']}-{cause['partition']}@{cause['offset']}"
                findings.append(each.differs(f"no label says so; its cause is {where}"))
        return findings

    def _labels(self, begins: list[int]) -> Iterator[tuple[Message, Record]]:
        for number, begin in enumerate(begins):
            end = self._log.span(LABELS, number)[1]
            if begin == end:
                continue
            for messages in self._log.read(LABELS, number, begin, end):
                for message in messages:
                    try:
                        yield message, codec("Label").decode(message.value)
                    except InvalidRecordError:
                        continue


def _is_behind(message: Message, event: int) -> bool | None:
    source = prediction_source(message)
    return None if source is None else source >= event


def _unlike(update: Record, prediction: Record) -> str:
    """Return what an example says otherwise than the prediction of its event; empty if nothing."""
    names = ("event_id", "asset", "time", "features")
    wrong = [name for name in names if update[name] != prediction[name]]
    stored = update["stored"]
    wrong += [n for n in stored if n in prediction and stored[n] != prediction[n]]
    cause = update["cause"]
    if cause["topic"] == PREDICTIONS and cause["offset"] != prediction["at"]:
        wrong.append("cause")
    return f"{', '.join(wrong)} of {PREDICTIONS}@{prediction['at']} differ" if wrong else ""


def _is_of(update: Record, message: Message, label: Record) -> bool:
    """Whether a label is what an example was made of."""
    cause = update["cause"]
    is_there = (cause["partition"], cause["offset"]) == (message.partition, message.offset)
    is_same = type(label["value"]) is type(update["label"]) and label["value"] == update["label"]
    return is_same and (is_there or cause["topic"] != LABELS)
