"""An explanation made now: by a replica that is folded from the nearest state before the event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidemill.contracts.answer import Made
from tidemill.contracts.topics import PREDICTIONS
from tidemill.fold.applying import INPUTS
from tidemill.fold.audit.chain import walk
from tidemill.fold.audit.outputs import prediction_source
from tidemill.fold.audit.saved import SavedStates
from tidemill.fold.audit.starting import Source, Start, choose_start, drained
from tidemill.fold.crossing import Anchored
from tidemill.fold.explaining import Explaining
from tidemill.fold.replica import Replica
from tidemill.kernel.errors import InvariantError
from tidemill.kernel.records import Position
from tidemill.models.state import ModelKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tidemill.fold.audit.saved import Claim
    from tidemill.fold.ledger import Entry
    from tidemill.fold.ledger_log import Placed
    from tidemill.fold.replica import Step
    from tidemill.fold.snapshots import SigningKey
    from tidemill.fold.terms import Terms
    from tidemill.fold.why.search import Found
    from tidemill.kernel.processor import Log

ANY_SEQUENCE = 1 << 62


@dataclass(frozen=True, slots=True)
class Remade:
    """An explanation and how it was made; or why it could not be."""

    value: bytes | None = None
    made: Made | None = None
    obstacle: str = ""


class Maker:
    """Explains predictions of one partition again. Only reads.

    Args:
        signing: The key of snapshots and anchors; None starts from genesis only.
        known: Terms at hand; others are looked up in the ledger.
        on_entry: Told of every entry that is folded, for progress.
    """

    def __init__(
        self,
        log: Log,
        partition: int,
        signing: SigningKey | None,
        *,
        known: Iterable[Terms] = (),
        on_entry: Callable[[Entry], None] | None = None,
    ) -> None:
        self._log = log
        self._partition = partition
        self._signing = signing
        self._known = {terms.digest: terms for terms in known}
        self._on_entry = on_entry

    def make(self, found: Found, placed: Placed) -> Remade:
        """Fold up to the entry that applied an event, and explain the prediction on it.

        Raises:
            InvariantError: The topics contradict the ledger, or the fold does.
        """
        start = self._start(placed.entry.sequence)
        if start.obstacle:
            return Remade(obstacle=start.obstacle)
        offset = found.source.offset
        explaining = Explaining(choose=lambda seen, _: seen.message.offset == offset)
        swaps = Anchored(self._log, self._partition, self._signing)
        replica = Replica(self._log, self._partition, self._known, witness=explaining, swaps=swaps)
        replica.start_from(start.states)
        ends = {topic: self._log.span(topic, self._partition)[1] for topic in INPUTS}
        first: int | None = None
        folded = 0
        for walked in walk(self._log, self._partition, start.offset, placed.offset + 1):
            if walked.placed is None or walked.findings:
                raise InvariantError("; ".join(map(str, walked.findings)))
            step = drained(replica.step(walked.placed, ends))
            _check(step)
            folded += len(step.inputs)
            first = step.placed.entry.sequence if first is None else first
            if self._on_entry is not None:
                self._on_entry(step.placed.entry)
        emits = explaining.take()
        if not emits or first is None:
            asset = found.prediction["asset"]
            return Remade(obstacle=f"no state of {asset} from before the event is retained")
        _check_prediction(step, found)
        made = Made(placed.entry.sequence, first, folded, *_state_of(start, found))
        return Remade(emits[0].value, made)

    def _start(self, wanted: int) -> Start:
        claims: tuple[Claim, ...] = ()
        if self._signing is not None:
            saved = SavedStates(self._log, self._partition, self._signing, until=ANY_SEQUENCE)
            claims = saved.claims
        source = Source(self._log, self._partition, self._signing, claims, self._known)
        try:
            return choose_start(source, wanted)
        except InvariantError as error:
            return Start(0, obstacle=str(error))


def _state_of(start: Start, found: Found) -> tuple[Position | None, int | None]:
    """Return the state that the fold of the champion began with."""
    stream, asset = found.prediction["stream"], found.prediction["asset"]
    key = ModelKey(stream, asset, found.prediction["model"])
    state, place = start.states.get(key), start.places.get(key)
    if state is None or place is None or place.first is None:
        return None, None
    return Position(place.topic, place.partition, place.first), state.sequence


def _check(step: Step) -> None:
    """Hold that models, inputs and outputs of an entry are those of the ledger."""
    if step.differences:
        entry = step.placed.entry
        raise _differs(entry.partition, entry.sequence, "; ".join(step.differences))


def _check_prediction(step: Step, found: Found) -> None:
    """Hold that the prediction made again is the one that stands in the topic."""
    offset, entry = found.source.offset, step.placed.entry
    for emit in step.emits:
        if emit.topic != PREDICTIONS or emit.value == found.message.value:
            continue
        if prediction_source(found.message._replace(value=emit.value)) == offset:
            where = f"the prediction at {found.message.position} is another one"
            raise _differs(entry.partition, entry.sequence, where)


def _differs(partition: int, sequence: int, what: str) -> InvariantError:
    return InvariantError(
        f"ledger entry {sequence} of partition {partition}: a replica must reproduce every "
        f"prediction to the last bit before it explains one; {what}. Locate what was altered "
        f"with `tidemill audit replay -p {partition}`; with other code or arithmetic than the "
        f"ledger names, explain with that"
    )
