"""Wrong examples taken back while events flow and workers are killed: no trace of them is left."""

from __future__ import annotations

from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from chaos.audited import check_honest
from chaos.balance import BrokenPromiseError
from chaos.feeding import Feed
from chaos.mesh import Mesh
from chaos.regret import (
    ASSETS,
    CHALLENGER,
    CHAMPION,
    PARTITIONS,
    PartitionView,
    SamplePlant,
    Source,
)
from chaos.waiting import await_value
from fold.plain_order import Plain
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS, PREDICTIONS, RECEIPTS, UPDATES
from tidemill.fold.swapping import SWAP

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from chaos.feeding import Outgoing
    from chaos.figures import Figures
    from chaos.reading import Record
    from tidemill.fold.ledger import Entry

WITHIN_S = 600.0


class Size(NamedTuple):
    """How many events flow in each part, how fast, what is said, taken back and killed."""

    events: int
    rate: float
    said: int
    retracted: int
    kills: int
    flags: tuple[str, ...] = ()
    seed: int = 5


def prove_retractions(folder: Path, size: Size) -> Figures:
    """Teach wrong examples, take some back under load, and compare with never having had them.

    Raises:
        BrokenPromiseError: A lineage or prediction is another, or a receipt is missing or doubled.
    """
    plant, source = SamplePlant(), Source(size.seed)
    with Mesh(folder, plant, size.flags) as mesh:
        mesh.start("w0", "w1")
        mesh.await_owners(2)
        _flow(mesh, source.events(size.events), size)
        said = [source.wrong(number % PARTITIONS) for number in range(size.said)]
        _flow(mesh, _mixed(said, source, size), size)
        mesh.drain(WITHIN_S)
        numbers = source.rng.sample(range(size.said), size.retracted)
        _flow(mesh, _mixed([source.retract(n) for n in numbers], source, size), size)
        _await_receipts(mesh, source)
        before, during = _pauses(mesh)
        _kill(mesh, source, size.kills)
        _await_receipts(mesh, source)
        _write(mesh, source.events(size.events // 10 + 50))
        mesh.drain(WITHIN_S)
        mesh.end()
        compared = _compare(mesh, plant, source)
        audited = check_honest(mesh, "replay")
    return {
        "examples": f"{len(source.said)} wrong ones learned, {len(source.retracted)} taken back, "
        f"{size.kills} kill -9 meanwhile",
        **compared,
        "between two predictions of a partition before": before,
        "between two predictions of a partition while models were folded again": during,
        **audited,
    }


def _mixed(records: Sequence[Outgoing], source: Source, size: Size) -> Iterator[Outgoing]:
    """Yield events with these records spread among them, and one stretch of events behind them."""
    each = max(1, size.events // (len(records) + 1))
    for record in records:
        yield from source.events(each)
        yield record
    yield from source.events(size.events // 4)


def _flow(mesh: Mesh, records: Iterator[Outgoing], size: Size) -> None:
    """Write records at the rate of the size, from first to last."""
    feed = Feed(mesh.bootstrap)
    feed.write_at(size.rate, records)
    feed.finish()


def _write(mesh: Mesh, records: Iterator[Outgoing] | Sequence[Outgoing]) -> None:
    feed = Feed(mesh.bootstrap)
    feed.write(records)
    feed.finish()


def _kill(mesh: Mesh, source: Source, kills: int) -> None:
    """Kill workers while more is learned and taken back."""
    for _ in range(kills):
        known = len(source.said)
        _write(mesh, [source.wrong(0), source.wrong(1), *source.events(400)])
        _write(mesh, [source.retract(known + source.rng.randrange(2)), *source.events(20)])
        worker = source.rng.choice(mesh.up())
        worker.kill()
        worker.start()


def _receipts(mesh: Mesh) -> list[tuple[str, Record]]:
    """Return the feedback of every receipt, with its record."""
    return [
        (codec("Receipt").decode(record.value)["feedback_id"], record)
        for part in mesh.read(RECEIPTS)
        for record in part
    ]


def _await_receipts(mesh: Mesh, source: Source) -> None:
    """Wait for one receipt of each feedback.

    Raises:
        BrokenPromiseError: One came twice.
    """
    wanted = source.told_of()

    def missing() -> set[str]:
        mesh.check()
        return wanted - {name for name, _ in _receipts(mesh)}

    await_value(
        lambda: not missing(),
        lambda: f"receipts of {missing()}: {[w.said() for w in mesh.up()]}",
        WITHIN_S,
        poll_s=0.5,
    )
    told = sorted(name for name, _ in _receipts(mesh))
    if told != sorted(wanted):
        msg = f"each feedback must have one receipt, {len(told)} came for {len(wanted)}"
        raise BrokenPromiseError(msg)


def _pauses(mesh: Mesh) -> tuple[str, str]:
    """Return the time between predictions, by their producers' clocks, before and while re-folds.

    Models are folded again from the first retraction on until the last receipt.
    """
    asked = _first_retraction_ms(mesh)
    ended = max(record.timestamp_ms for _, record in _receipts(mesh))
    before: list[int] = []
    during: list[int] = []
    for part in mesh.read(PREDICTIONS):
        for earlier, later in pairwise(part):
            if later.timestamp_ms < ended:
                found = before if later.timestamp_ms < asked else during
                found.append(later.timestamp_ms - earlier.timestamp_ms)
    return _in_words(before), _in_words(during)


def _in_words(pauses: Sequence[int]) -> str:
    ordered = sorted(pauses)
    return (
        f"median {median(ordered):.0f} ms, 99.9 of 100 within "
        f"{ordered[int(0.999 * (len(ordered) - 1))]} ms, longest {ordered[-1]} ms "
        f"({len(ordered):,} measured)"
    )


def _first_retraction_ms(mesh: Mesh) -> int:
    return min(
        record.timestamp_ms
        for part in mesh.read(UPDATES)
        for record in part
        if codec("Update").decode(record.value)["kind"] == "RETRACT"
    )


def _compare(mesh: Mesh, plant: SamplePlant, source: Source) -> Figures:
    """Hold lineages and the predictions after the last swap against never having been taught.

    Raises:
        BrokenPromiseError: One is another.
    """
    swaps = lineages = equal = 0
    for partition, asset in enumerate(ASSETS):
        view = PartitionView(mesh, partition)
        entries = view.entries()
        edits = view.left_out(source.retracted)
        swapped = [entry.sequence for entry in entries if _is_swap(entry)]
        swaps += len(swapped)
        predictions = [
            codec("Prediction").decode(r.value) for r in mesh.read(PREDICTIONS)[partition]
        ]
        for model in (CHAMPION, CHALLENGER):
            plain = Plain(plant.terms, edits=edits, model=model, asset=asset)
            plain.follow(view)  # type: ignore[arg-type]  # it has what is read
            found = [m.lineage for e in entries for m in e.models if m.model == model][-1]
            if found != plain.lineage:
                msg = f"{asset} {model}: {found.hex()} is not the lineage without them"
                raise BrokenPromiseError(msg)
            lineages += 1
            equal += _same_answers(plain, model, predictions, _first_event_after(entries, swapped))
    if not swaps or not equal:
        msg = f"models must have been swapped and asked after it, {swaps} were; {equal} answers"
        raise BrokenPromiseError(msg)
    return {
        "swaps": str(swaps),
        "lineages": f"{lineages} of {lineages} equal those of a plain loop over the recorded order "
        "without what was taken back",
        "predictions after the last swap": f"{equal:,} equal in every bit",
    }


def _is_swap(entry: Entry) -> bool:
    return any(action.kind == SWAP for action in entry.actions)


def _first_event_after(entries: Sequence[Entry], swapped: Sequence[int]) -> int:
    """Return the first event that was applied after the last swap of a partition."""
    return min(
        run.first
        for entry in entries
        if entry.sequence > max(swapped, default=-1)
        for run in entry.runs
        if run.topic == EVENTS
    )


def _same_answers(
    plain: Plain,
    model: str,
    predictions: Sequence[Mapping[str, Any]],  # Any: Avro records
    first: int,
) -> int:
    """Return how many answers equal those of the plain loop in value and lineage."""
    count = 0
    for prediction in predictions:
        if (offset := prediction["source"]["offset"]) >= first:
            (answer,) = [a for a in (prediction, *prediction["shadows"]) if a["model"] == model]
            if plain.said[offset] != (answer["value"], answer["lineage"]):
                msg = f"event {offset}: {model} must answer as without what was taken back"
                raise BrokenPromiseError(msg)
            count += 1
    return count
