"""What was told of drifts, beside a run in memory over the same order that nothing disturbed."""

from __future__ import annotations

from collections import Counter
from itertools import groupby, islice
from typing import TYPE_CHECKING

from chaos.balance import BrokenPromiseError
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import DRIFT, DRIFT_LEDGER, UPDATES
from tidemill.fold.ledger import Entry
from tidemill.kernel.records import Message
from tidemill.processors.drift.processor import INPUTS
from tidemill.processors.drift.watching import Watching

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from chaos.figures import Figures
    from chaos.mesh import Mesh
    from chaos.reading import Record
    from chaos.sheets import SheetPlant

# Records that are taken at once in memory: no number of the workers'.
TAKEN = 377
SPANS = frozenset({"HOLD", "RELEASE"})

Topics = dict[str, list[list["Record"]]]


def check_undisturbed(mesh: Mesh, made: SheetPlant) -> Figures:
    """Hold records of drifts, and what models were told, against a run in memory.

    Raises:
        BrokenPromiseError: One is another, doubled, lost, or not in its place.
    """
    topics: Topics = {topic: mesh.read(topic) for topic in (*INPUTS, DRIFT, DRIFT_LEDGER)}
    counted = Counter[tuple[str, str]]()
    held = 0
    for partition in range(mesh.partitions):
        expected = _expected(made, topics, partition)
        written = [record.value for record in topics[DRIFT][partition]]
        _check_same(written, expected[DRIFT], f"{DRIFT}-{partition}")
        spans = [v for r in topics[UPDATES][partition] if (v := r.value) and _is_span(v)]
        _check_same(spans, expected[UPDATES], f"{UPDATES}-{partition}")
        held += len(spans)
        decoded = [codec("Drift").decode(value) for value in written]
        counted.update((drift["kind"], drift["status"]) for drift in decoded)
    if not held:
        msg = f"models must have been held, nothing was; told of {counted}"
        raise BrokenPromiseError(msg)
    words = ", ".join(f"{count} {' '.join(about)}" for about, count in sorted(counted.items()))
    return {
        "records of drifts": f"{counted.total()}, each once, equal byte for byte and in order to a "
        f"run in memory over the same order that nothing disturbed: {words}",
        "holds and releases": f"{held}, likewise",
    }


def _expected(made: SheetPlant, topics: Topics, partition: int) -> Mapping[str, list[bytes | None]]:
    """Return what a run in memory tells and asks, by topic."""
    watching = Watching(made.terms(), partition)
    found: dict[str, list[bytes | None]] = {DRIFT: [], UPDATES: []}
    for topic, run in groupby(_order(topics, partition), key=lambda message: message.topic):
        assert topic in INPUTS
        while part := list(islice(run, TAKEN)):
            for emit in watching.apply(part, 0):
                found[emit.topic].append(emit.value)
    return found


def _order(topics: Topics, partition: int) -> Iterator[Message]:
    """Yield all records in the order in which they were watched.

    Raises:
        BrokenPromiseError: The ledger leaves some out, or names some twice.
    """
    left = {topic: iter(topics[topic][partition]) for topic in INPUTS}
    for record in topics[DRIFT_LEDGER][partition]:
        for run in Entry.decode(record.value).runs:
            offset = run.first - 1
            while offset < run.last:
                each = next(left[run.topic], None)
                if each is None or not run.first <= each.offset <= run.last:
                    msg = f"partition {partition}: {run} must name the records that come next"
                    raise BrokenPromiseError(msg)
                offset = each.offset
                yield Message(run.topic, partition, offset, each.key, each.value)
    for topic, rest in left.items():
        if (each := next(rest, None)) is not None:
            msg = f"{topic}-{partition}: all must have been watched, {each.offset} was not"
            raise BrokenPromiseError(msg)


def _is_span(value: bytes) -> bool:
    return codec("Update").decode(value)["kind"] in SPANS


def _check_same(
    written: Sequence[bytes | None], expected: Sequence[bytes | None], where: str
) -> None:
    if list(written) != list(expected):
        pairs = enumerate(zip(written, expected, strict=False))
        place = next((n for n, (a, b) in pairs if a != b), min(len(written), len(expected)))
        msg = (
            f"{where}: what is told must be what a run in memory tells, {len(written)} records "
            f"for {len(expected)}, the first to differ is the {place}th"
        )
        raise BrokenPromiseError(msg)
