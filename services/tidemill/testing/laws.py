"""The law-suite: five laws that every processor keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidemill.kernel.deadletters import SUFFIX
from tidemill.kernel.errors import MeshError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tidemill.kernel.processor import Processor
    from tidemill.kernel.records import Emit, Message

    Make = Callable[[], Processor]

MOST_CUTS = 60
SIZES = (2, 3, 7)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one record led to: emissions, or the failure raised in their place."""

    record: Message
    emits: tuple[Emit, ...]
    failure: str = ""

    @property
    def is_set_aside(self) -> bool:
        """Whether the record must leave no trace: it raised or ended as a dead letter."""
        dead_letters = self.record.topic + SUFFIX
        return bool(self.failure) or any(emit.topic == dead_letters for emit in self.emits)


def check_processor(
    make: Make, records: Sequence[Message], *, max_state_bytes: int, repeat: int = 10
) -> None:
    """Hold a processor to the five laws on one stream.

    Args:
        make: Returns a fresh processor.
        records: The stream, in recorded order.
        max_state_bytes: What a snapshot may take after `repeat` times the stream.
        repeat: How often the stream is repeated, with offsets that go on.

    Raises:
        AssertionError: A law is broken; names the law, the position and both values.
    """
    reference = _run(make(), records)
    _check_deterministic(make, reference)
    _check_atomic(make, reference)
    kept = [outcome for outcome in reference if not outcome.failure]
    _check_recoverable(make, kept)
    _check_cut_invariant(make, kept)
    _check_bounded(make, [outcome.record for outcome in kept], max_state_bytes, repeat=repeat)


def _run(processor: Processor, records: Iterable[Message]) -> list[Outcome]:
    """Process one record at a time; a processor whose record raised goes on with the next."""
    outcomes = []
    for record in records:
        try:
            outcomes.append(Outcome(record, tuple(processor.process_batch([record]))))
        except MeshError as error:
            outcomes.append(Outcome(record, (), f"{type(error).__name__}: {error}"))
    return outcomes


def _check_deterministic(make: Make, reference: Sequence[Outcome]) -> None:
    again = _run(make(), [outcome.record for outcome in reference])
    _compare("deterministic", "the same records again", reference, again)


def _check_atomic(make: Make, reference: Sequence[Outcome]) -> None:
    for n, outcome in enumerate(reference):
        if not outcome.is_set_aside:
            continue
        rest = [*reference[:n], *reference[n + 1 :]]
        without = _run(make(), [other.record for other in rest])
        how = f"as if {outcome.record.position}, which was set aside, had never come"
        _compare("atomic", how, without, rest)


def _check_recoverable(make: Make, reference: Sequence[Outcome]) -> None:
    cuts = set(_cuts(len(reference)))
    original = make()
    for n, outcome in enumerate(reference):
        if n in cuts:
            restored = make()
            restored.restore(original.snapshot())
            rest = reference[n:]
            found = _run(restored, [other.record for other in rest])
            _compare("recoverable", f"restored before {outcome.record.position}", rest, found)
        found = _run(original, [outcome.record])
        _compare("recoverable", "after taking a snapshot", [outcome], found)


def _check_cut_invariant(make: Make, reference: Sequence[Outcome]) -> None:
    records = [outcome.record for outcome in reference]
    size = len(records)
    plans = [(f"in batches of {s}", list(range(s, size, s))) for s in (*SIZES, max(size, 1))]
    plans += [(f"cut before record {cut}", [cut]) for cut in _cuts(size) if cut]
    for how, cuts in plans:
        processor = make()
        found: list[Emit] = []
        for first, last in zip([0, *cuts], [*cuts, size], strict=True):
            found += processor.process_batch(records[first:last])
        _compare_emits(f"cut-invariant: {how}", reference, found)


def _check_bounded(
    make: Make, records: Sequence[Message], max_state_bytes: int, *, repeat: int
) -> None:
    if not records:
        return
    processor = make()
    step = max(record.offset for record in records) + 1
    for turn in range(repeat):
        _run(processor, [r._replace(offset=r.offset + turn * step) for r in records])
        size = len(processor.snapshot())
        if size > max_state_bytes:
            msg = (
                f"bounded: after {records[-1].position}, turn {turn + 1} of the stream, the "
                f"snapshot must take at most {max_state_bytes} bytes, took {size}"
            )
            raise AssertionError(msg)


def _cuts(size: int) -> list[int]:
    """Return up to `MOST_CUTS` places before a record, all of them if they are few."""
    stride = max(1, -(-size // MOST_CUTS))
    return list(range(0, size, stride))


def _compare(law: str, how: str, expected: Sequence[Outcome], found: Sequence[Outcome]) -> None:
    for wanted, got in zip(expected, found, strict=True):
        if wanted != got:
            _fail(f"{law}: {how}", wanted.record, _show(wanted), _show(got))


def _compare_emits(rule: str, reference: Sequence[Outcome], found: Sequence[Emit]) -> None:
    index = 0
    for outcome in reference:
        got = tuple(found[index : index + len(outcome.emits)])
        if got != outcome.emits:
            _fail(rule, outcome.record, repr(outcome.emits), repr(got))
        index += len(got)
    if index < len(found):
        _fail(rule, reference[-1].record, "nothing more", repr(tuple(found[index:])))


def _show(outcome: Outcome) -> str:
    return outcome.failure or repr(outcome.emits)


def _fail(rule: str, record: Message, expected: str, found: str) -> None:
    msg = f"{rule}: at {record.position} the emissions must be {expected}, were {found}"
    raise AssertionError(msg)
