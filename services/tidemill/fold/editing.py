"""What corrections make of the recorded order: which updates a re-fold leaves out or exchanges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidemill.contracts.codec import codec
from tidemill.fold.spans import brings_back, end_of, hold_of, is_span_held

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tidemill.models.controls import Edit, Hold, Pending

# A model that starts anew without a sensor learns so many of the asset's last events again.
WINDOW = 2_500
# They take back by name: an origin.
BY_NAME = frozenset({"RETRACT", "RELEASE"})


@dataclass(frozen=True, slots=True)
class Correction:
    """One update that asks for a re-fold.

    Attributes:
        offset: Of the update.
        swapped: Ledger entry from which on models are as if it had always been so; None: not yet.
        update: As decoded.
        seen: Events in the asset's recent past when it came.
    """

    offset: int
    swapped: int | None
    value: bytes
    update: Mapping[str, Any]  # Any: an Avro record
    seen: int

    @classmethod
    def of(cls, asked: Pending | Edit) -> Correction:
        """Return the correction that a model's controls keep."""
        swapped = getattr(asked, "swapped", None)
        update = codec("Update").decode(asked.value)
        return cls(asked.offset, swapped, asked.value, update, asked.seen)

    @property
    def kind(self) -> str:
        """What it asks for."""
        return str(self.update["kind"])

    @property
    def start(self) -> int:
        """Events after which the model starts anew, for a veto."""
        return max(0, self.seen - WINDOW)

    @property
    def end(self) -> tuple[str, int] | None:
        """Whose holds it ends, and at which event time, where it says so."""
        end_us = end_of(self.update)
        return None if end_us is None else (str(self.update["target_id"]), end_us)

    @property
    def is_of_events(self) -> bool:
        """Whether it concerns events alone, and no updates."""
        return self.kind in {"VETO", "HOLD"} or self.end is not None

    def ends(self, update: Mapping[str, Any], offset: int) -> bool:  # Any: as above
        """Return whether it says where the span of a hold before it ends."""
        return self.end is not None and offset < self.offset and self.end[0] == update["origin"]

    def takes_back(self, update: Mapping[str, Any], offset: int) -> bool:  # Any: as above
        """Return whether an update before it is as if it had never come."""
        if offset >= self.offset:
            return False
        if self.kind == "RETRACT":
            return bool(update["origin"] == self.update["target_id"])
        if brings_back(self.update):
            is_hold = update["kind"] == "HOLD"
            return is_hold and bool(update["origin"] == self.update["target_id"])
        is_veto = self.kind == "UNVETO" and update["kind"] == "VETO"
        return is_veto and bool(update["feature"] == self.update["feature"])

    def revises(self, update: Mapping[str, Any], offset: int) -> bool:  # Any: as above
        """Return whether an update before it is an example of the event that it labels anew."""
        is_example = self.kind == update["kind"] == "EXAMPLE"
        return is_example and offset < self.offset and update["event_id"] == self.update["event_id"]

    def supersedes(self, update: Mapping[str, Any]) -> bool:  # Any: as above
        """Return whether an update, wherever it stands, is a lower revision of this label.

        Labellers write in transactions of their own: one may stand before what it corrects.
        """
        is_label = self.kind == update["kind"] == "EXAMPLE" and self.update["event_id"] is not None
        names = ("event_id", "origin")
        is_same = is_label and all(self.update[name] == update[name] for name in names)
        return is_same and update["revision"] < self.update["revision"]


def is_superseded(update: Mapping[str, Any], asked: Iterable[Pending | Edit]) -> bool:  # Any: Avro
    """Return whether one of a model's corrections is a higher revision of the same label."""
    name = update["event_id"]
    if name is None:
        return False
    needle = name.encode()
    return any(needle in each.value and Correction.of(each).supersedes(update) for each in asked)


def without_superseded(edits: Sequence[Edit]) -> tuple[Edit, ...]:
    """Return corrections in force without the revisions that a newer one stands for."""
    editing = Editing(edits)
    newest = [each for each in editing.active if each.kind == "EXAMPLE"]
    gone = {
        each.offset
        for each in editing.corrections
        if any(other.supersedes(each.update) for other in newest)
    }
    return tuple(edit for edit in edits if edit.offset not in gone)


class Editing:
    """Reads updates to one model as its corrections have them.

    It is for one walk in recorded order, since of a revised example the first one counts.

    Args:
        asked: The corrections, pending or in force.

    Attributes:
        corrections: All of them, in order.
        active: Those that no later one takes back.
        used: Those that took back something that the walk came by.
    """

    def __init__(self, asked: Iterable[Pending | Edit]) -> None:
        found = sorted(map(Correction.of, asked), key=lambda each: each.offset)
        self.corrections: tuple[Correction, ...] = tuple(found)
        active: list[Correction] = []
        for each in reversed(found):
            if not any(later.takes_back(each.update, each.offset) for later in active):
                active.append(each)
        self.active: tuple[Correction, ...] = tuple(reversed(active))
        self._offsets = frozenset(each.offset for each in found)
        self._ends = [each for each in self.active if each.end is not None]
        by_name = {*BY_NAME, "UNVETO"}
        self._takers = [e for e in self.active if e.kind in by_name and e not in self._ends]
        self._vetoes = [each for each in self.active if each.kind == "VETO"]
        holds = [each for each in self.active if each.kind == "HOLD"]
        self._waiting = {each.offset: each.swapped for each in holds}
        self._holds = {each.offset: self._ended(each.update, each.offset) for each in holds}
        self._labels: dict[str, list[Correction]] = {}
        for each in self.active:
            if each.kind == "EXAMPLE" and each.update["event_id"] is not None:
                self._labels.setdefault(each.update["event_id"], []).append(each)
        self.used: set[int] = set()
        self._placed: set[int] = set()
        self._started = -1

    @property
    def idle(self) -> tuple[int, ...]:
        """The takers by name that no walk from before all they concern found anything for."""
        takers = (each for each in self._takers if each.kind in BY_NAME)
        return tuple(each.offset for each in takers if each.offset not in self.used)

    def has(self, offset: int) -> bool:
        """Return whether an update is one of the corrections."""
        return offset in self._offsets

    def ahead(self, sequence: int) -> tuple[Hold, ...]:
        """Return the holds of spans that are not in force after a ledger entry, but are to be."""
        swapped = self._waiting.items()
        left = [offset for offset, since in swapped if since is None or since > sequence]
        return tuple(hold for offset in left if (hold := self.hold_at(offset)) is not None)

    def ends_after(self, sequence: int) -> tuple[tuple[str, int], ...]:
        """Return what ends holds but not yet after a ledger entry: their origins, and where."""
        return tuple(
            each.end
            for each in self._ends
            if each.end is not None and (each.swapped is None or each.swapped > sequence)
        )

    def hold_at(self, offset: int) -> Hold | None:
        """Return the hold of a span that an update asked for, if nothing takes it back."""
        hold = self._holds.get(offset)
        return None if hold is None or hold.until_us <= hold.after_us else hold

    def end_at(self, offset: int) -> tuple[str, int] | None:
        """Return the origin of the holds that an update ends, and where, if it stands."""
        return next((each.end for each in self._ends if each.offset == offset), None)

    def _ended(self, update: Mapping[str, Any], offset: int) -> Hold:  # Any: Avro
        """Return the hold of a span, up to where those that came after it say it ends."""
        hold = hold_of(update)
        ends = [each.end[1] for each in self._ends if each.end and each.ends(update, offset)]
        return hold._replace(until_us=min([hold.until_us, *ends]))

    def of(self, offset: int, update: Mapping[str, Any], value: bytes) -> bytes | None:  # Any: Avro
        """Return the update to apply at a place in the recorded order; None: none."""
        takers = [taker.offset for taker in self._takers if taker.takes_back(update, offset)]
        if takers:
            self.used.update(takers)
            return None
        labels = self._labels.get(update["event_id"]) if update["kind"] == "EXAMPLE" else None
        if labels:
            last = _in_force(labels)
            if offset <= last.offset:
                # A label of what was never learned is learned where it stands.
                is_first = last.offset not in self._placed
                self._placed.add(last.offset)
                return last.value if is_first else None
            if any(each.supersedes(update) for each in labels):
                return None
        if is_span_held(update) and any(each.ends(update, offset) for each in self._ends):
            self._holds[offset] = self._ended(update, offset)
            return None
        return None if self.has(offset) else value

    def starts_at(self, seen: int) -> tuple[Correction, ...]:
        """Return the vetoes by which the model starts anew after so many events; () if not."""
        if seen == self._started or not any(veto.start == seen for veto in self._vetoes):
            return ()
        self._started = seen
        return tuple(veto for veto in self._vetoes if veto.start <= seen)


def _in_force(labels: Sequence[Correction]) -> Correction:
    """Return the last label of an event that is no lower revision of another one."""
    return next(
        label
        for label in reversed(labels)
        if not any(other.supersedes(label.update) for other in labels)
    )
