"""From what a person wrote to records for `operator.feedback`, each with its partition."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidemill.contracts.feedback_form import (
    FEEDBACK,
    OF_EVENTS,
    OF_FEEDBACK,
    OF_MODELS,
    RECEIPT,
    answer_in_terms_of,
    deterministic_id,
    field_names,
)
from tidemill.contracts.topics import FEEDBACK as FEEDBACK_TOPIC
from tidemill.contracts.topics import PREDICTIONS, RECEIPTS, SNAPSHOTS
from tidemill.kernel.errors import ConfigError
from tidemill.kernel.records import Position
from tidemill.runtime.feedback_lines import Draft
from tidemill.runtime.feedback_topics import Said, TooEarly, read_all, reading_codec, too_early

if TYPE_CHECKING:
    from tidemill.fold.why.many import Home
    from tidemill.fold.why.search import Found, Wanted
    from tidemill.kernel.processor import Log
    from tidemill.runtime.registry import Registry

Fields = dict[str, Any]  # Any: Avro values
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Ready:
    """A feedback as it is written.

    Attributes:
        is_there: Whether it was written before, and not refused only because it came too early.
        refused_at: Where it was last refused for that.
    """

    record: Fields
    partition: int
    is_there: bool = False
    refused_at: Position | None = None


class _UnfitError(Exception):
    """One field of one draft contradicts the topics."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


class Resolver:
    """Looks up the events, assets and feedback that drafts speak of. Only reads.

    Args:
        log: The topics; those that do not exist are empty.
        counts: Partitions of every topic.
        tell: Told what is being read.
    """

    def __init__(
        self,
        log: "Log",
        counts: Mapping[str, int],
        registry: "Registry | None",
        tell: Callable[[str], None],
    ) -> None:
        self._log = log
        self._counts = counts
        self._partitions = range(counts[PREDICTIONS])
        self._registry = registry
        self._tell = tell
        self._events: dict[Wanted, list[Found]] = {}
        self._said: dict[str, tuple[Fields, int]] = {}
        self._written: dict[str, Said] = {}
        self._too_early: dict[str, TooEarly] = {}
        self._homes: dict[tuple[str, bool], Home | None] = {}

    def ready(self, drafts: Sequence[Draft], now_us: int) -> list[Ready]:
        """Return the records to write, in order.

        Raises:
            ConfigError: With every problem of every draft.
        """
        from tidemill.fold.why.many import find_many  # noqa: PLC0415 - River takes seconds

        if any(draft.fields.keys() & {"feedback_id", "time", "target_id"} for draft in drafts):
            self._read_feedback()
        wanted = [_wanted(d.fields) for d in drafts if _has_event(d.fields)]
        self._events = find_many(self._log, self._partitions, wanted, self._searched)
        found, problems = [], []
        for draft in drafts:
            try:
                found.append(self._resolve(draft, now_us))
            except _UnfitError as error:
                problems.append(draft.problem(error.field, str(error)))
        if problems:
            raise ConfigError(problems)
        return found

    def _resolve(self, draft: Draft, now_us: int) -> Ready:
        if _has_event(draft.fields):
            fields, partition = self._of_event(draft)
        elif draft.fields["kind"] in OF_FEEDBACK:
            fields, partition = self._of_feedback(draft.fields)
        else:
            fields, partition = self._of_asset(draft.fields)
        record = {name: fields.get(name) for name in field_names()}
        record["time"] = now_us if record["time"] is None else record["time"]
        name = record["feedback_id"] = record["feedback_id"] or deterministic_id(record)
        if name in self._said:
            msg = f"must be new in every line, {name} was there before"
            raise _UnfitError("feedback_id", msg)
        self._said[name] = (record, partition)
        is_there = self._is_there(record, is_timed="time" in draft.fields)
        refused = self._too_early.get(name)
        if refused is None:
            return Ready(record, partition, is_there)
        return Ready(record, partition, is_there and not refused.is_last, refused.position)

    def _of_event(self, draft: Draft) -> tuple[Fields, int]:
        fields, wanted = draft.fields, _wanted(draft.fields)
        found = self._one(wanted, fields.get("stream"))
        prediction = found.prediction
        named = fields.get("event_id")
        if named not in {None, wanted.name, prediction["event_id"]}:
            msg = f"must name the event at {wanted.name}, {prediction['event_id']!r}, was {named!r}"
            raise _UnfitError("event_id", msg)
        fields = {
            **fields,
            "event_id": prediction["event_id"],
            "event": found.source._asdict(),
            "asset": prediction["asset"],
            "stream": prediction["stream"],
        }
        if fields.get("value") is not None:
            try:
                fields["value"] = answer_in_terms_of(
                    prediction, fields["value"], is_text=draft.is_text
                )
            except ValueError as error:
                raise _UnfitError("value", str(error)) from error
        return fields, found.source.partition

    def _one(self, wanted: "Wanted", stream: str | None) -> "Found":
        """Return the one prediction on an event."""
        from tidemill.fold.why.search import originals, why_unknown  # noqa: PLC0415 - as above

        found = [
            each for each in self._events[wanted] if stream in {None, each.prediction["stream"]}
        ]
        first = originals(found)
        if not first:
            whose = "" if wanted.asset is None else f" of {wanted.asset}"
            of = "" if stream is None else f" in stream {stream}"
            why = why_unknown(self._log, self._partitions, wanted)
            msg = f"must name an event{whose}{of} with a prediction, was {wanted.name!r}: {why}"
            raise _UnfitError("event_id", msg)
        if len(first) > 1:
            names = ", ".join(
                f"{each.source} ({each.prediction['stream']} of {each.prediction['asset']})"
                for each in first[:_SHOWN]
            )
            msg = (
                f"must name one event, {wanted.name!r} names {len(first)}: {names}; name one by "
                "its position, or the asset or stream too"
            )
            raise _UnfitError("event_id", msg)
        return first[0]

    def _of_feedback(self, fields: Fields) -> tuple[Fields, int]:
        target, asset = fields["target_id"], fields.get("asset")
        if target in self._said:
            record, partition = self._said[target]
        elif target in self._written:
            said = self._written[target]
            record, partition = said.record, said.position.partition
        else:
            msg = (
                f"must be the id of a feedback in {FEEDBACK_TOPIC}, was {target!r}; `tidemill "
                "feedback list` shows which there are"
            )
            raise _UnfitError("target_id", msg)
        if asset not in {None, record["asset"]}:
            msg = f"must be that of {target}, {record['asset']!r}, was {asset!r}"
            raise _UnfitError("asset", msg)
        return {**fields, "asset": record["asset"], "stream": record["stream"]}, partition

    def _of_asset(self, fields: Fields) -> tuple[Fields, int]:
        """Return a feedback on an asset with its stream, where that is not said and only one."""
        asset, is_told = fields["asset"], fields.get("stream") is not None
        if (asset, is_told) not in self._homes:
            self._homes[asset, is_told] = self._home(asset, is_told=is_told)
        home = self._homes[asset, is_told]
        if home is None:
            msg = (
                f"must have predictions or models, {asset!r} has none; `tidemill assets list` "
                "shows which have"
            )
            raise _UnfitError("asset", msg)
        if is_told:
            return dict(fields), home.partition
        if len(home.streams) > 1:
            names = ", ".join(sorted(home.streams))
            msg = f"must be one of {names}: {asset} has models of each"
            raise _UnfitError("stream", msg)
        (stream,) = home.streams
        return {**fields, "stream": stream}, home.partition

    def _home(self, asset: str, *, is_told: bool) -> "Home | None":
        """Return the partition of an asset: of its predictions, else of its models.

        Args:
            asset: As events name it.
            is_told: Whether the stream is known, so that models need not be looked through for it.
        """
        from tidemill.fold.why.many import Home, home_of  # noqa: PLC0415 - as above

        home = home_of(self._log, self._partitions, asset, self._searched)
        if home is not None and is_told:
            return home
        places = range(self._counts.get(SNAPSHOTS, 0)) if home is None else [home.partition]
        for partition in places:
            streams = self._streams_there(asset, partition)
            if home is not None:
                return Home(partition, home.streams | streams)
            if streams:
                return Home(partition, streams)
        return home

    def _streams_there(self, asset: str, partition: int) -> frozenset[str]:
        from tidemill.fold.audit.starting import drained  # noqa: PLC0415 - as above
        from tidemill.fold.retiring import census  # noqa: PLC0415 - as above

        self._tell(f"reading models, partition {partition}")
        models = drained(census(self._log, partition))
        return frozenset(key.stream for key in models if key.asset == asset)

    def _read_feedback(self) -> None:
        reading = reading_codec(FEEDBACK, FEEDBACK_TOPIC, self._registry)
        self._tell(f"reading {FEEDBACK_TOPIC}")
        for said in read_all(self._log, FEEDBACK_TOPIC, self._counts[FEEDBACK_TOPIC], reading):
            self._written.setdefault(said.record["feedback_id"], said)
        reading = reading_codec(RECEIPT, RECEIPTS, self._registry)
        receipts = read_all(self._log, RECEIPTS, self._counts.get(RECEIPTS, 0), reading)
        self._too_early = too_early(receipts)

    def _is_there(self, record: Fields, *, is_timed: bool) -> bool:
        """Return whether a feedback was written before; another one of its id is a problem."""
        before = self._written.get(record["feedback_id"])
        if before is None:
            return False
        passed_over = set() if is_timed else {"time"}
        other = [
            name
            for name in record
            if name not in passed_over and record[name] != before.record[name]
        ]
        if other:
            msg = (
                f"must be new, or that of the same feedback; the one at {before.position} "
                f"differs in {', '.join(other)}"
            )
            raise _UnfitError("feedback_id", msg)
        return True

    def _searched(self, partition: int, offset: int) -> None:
        self._tell(f"searching {PREDICTIONS}-{partition}, at {offset:,}")


def _has_event(fields: Fields) -> bool:
    is_placed = "event" in fields or "event_id" in fields
    return is_placed and fields["kind"] in OF_EVENTS | OF_MODELS


def _wanted(fields: Fields) -> "Wanted":
    from tidemill.fold.why.search import Wanted  # noqa: PLC0415 - as above

    event = fields.get("event")
    name = fields["event_id"] if event is None else str(Position(**event))
    return Wanted(name, fields.get("asset"))
