"""What the models said through holds, beside plain River over the recorded order."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from chaos.balance import BrokenPromiseError
from chaos.drift_oracle import NAMES, Asked, Event, Oracle, Recorded, Swapped, chosen
from chaos.plain_river import said_in
from chaos.refold import origins
from chaos.tables import Table
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import PREDICTIONS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from chaos.drift_oracle import Fold, Item, Told
    from chaos.figures import Figures
    from chaos.mesh import Mesh
    from chaos.sheets import SheetPlant

HEAD = (
    "asset",
    "events",
    "flagged HELD",
    "never learned",
    "right since it is learned",
    "plain River",
    "right since the answer",
    "plain River ",
    "right since the change",
    "plain River  ",
)
ABOUT = (
    "Share of right answers of the champion: from where a re-fold has put in force what was "
    "answered, from the answer, from the change. Plain River learned through: the same events in "
    "the order of the ledger, which nothing ever held. Events come as fast as they are read, hours "
    "of event time in a second; while models are folded again many pass by."
)
# Of a hundred answers.
MOST_LOST = 1.0

Predictions = dict[int, dict[str, Any]]  # Any: Avro records


class Seen(NamedTuple):
    """One asset, compared."""

    asset: str
    events: int
    flagged: int
    unlearned: int
    is_faulty: bool
    answers: int
    since: Sequence[tuple[float, float]]  # it is learned, answered, so: of mesh and plain River

    def row(self) -> list[str]:
        """Return it as a row."""
        shares = [_in_words(share) for pair in self.since for share in pair] or [""] * 6
        return [
            self.asset,
            *(f"{n:,}" for n in (self.events, self.flagged, self.unlearned)),
            *shares,
        ]


def compare(
    mesh: Mesh,
    made: SheetPlant,
    streams: Mapping[str, str],
    faulty: Collection[str] | None = None,
) -> tuple[Figures, Table]:
    """Hold every answer of every model, and its lineage, against plain River.

    Args:
        mesh: The mesh, whose workers have ended.
        made: The plant.
        streams: Of each asset.
        faulty: Assets whose spans must never have been learned; None leaves it to the answers.

    Raises:
        BrokenPromiseError: One is another, or a process that changed is answered for worse.
    """
    beginnings = origins(made.definition())
    decode = codec("Prediction").decode
    found: list[Seen] = []
    for partition, records in enumerate(mesh.read(PREDICTIONS)):
        recorded = Recorded(mesh, made, partition)
        predictions = {p["source"]["offset"]: p for p in map(decode, (r.value for r in records))}
        for asset, stream in recorded.streams.items():
            found.append(_compare(recorded, predictions, (asset, stream), beginnings))
    if {each.asset for each in found} != {*streams}:
        msg = f"all of {[*streams]} must be there, found {found}"
        raise BrokenPromiseError(msg)
    wanted = {each.asset for each in found if each.is_faulty} if faulty is None else faulty
    for each in found:
        _check(each, is_faulty=each.asset in wanted)
    figures = {
        "answers of models": f"{sum(each.answers for each in found):,} equal in every bit, "
        "lineages too, to plain River over the recorded order that leaves out what is held",
        "models": f"{len(found) * len(NAMES)}; at the end each lineage is that of the events in "
        "order, without the spans of faults",
    }
    return figures, Table(ABOUT, HEAD, [each.row() for each in sorted(found)])


def _check(seen: Seen, *, is_faulty: bool) -> None:
    if {is_faulty} != {bool(seen.unlearned), seen.is_faulty} or (is_faulty and not seen.flagged):
        msg = f"{seen.asset}: only the spans of faults may never be learned, was {seen}"
        raise BrokenPromiseError(msg)
    if seen.since and not is_faulty:
        ours, plain = seen.since[0]
        if plain - ours > MOST_LOST:
            msg = (
                f"{seen.asset}: answers must be within a point of {plain:.2f} %, were {ours:.2f} %"
            )
            raise BrokenPromiseError(msg)


def _compare(
    recorded: Recorded,
    predictions: Predictions,
    about: tuple[str, str],
    beginnings: Mapping[tuple[str, str], bytes],
) -> Seen:
    """Compare all models of an asset."""
    asset, stream = about
    events = recorded.events(asset)
    answers = flagged = unlearned = 0
    since: list[tuple[float, float]] = []
    for number, name in enumerate(NAMES):
        model = f"{stream}/{name}"
        key = f"{stream}|{asset}|{model}".encode()
        origin = hashlib.sha256(key + b"\0" + beginnings[stream, model]).digest()
        oracle = Oracle(number, origin)
        told, live = oracle.follow(recorded.order[asset], model)
        _check_answers(predictions, told, (asset, number, model))
        spans = [*live.holds.values()]
        plain = oracle.plain(events, spans)
        _check_lineage(recorded.lineage(asset, model), (live, plain), (asset, model))
        answers += len(told)
        if number == 0:
            flagged = sum(each.is_held for each in told.values())
            unlearned = sum(plain.is_held(event.time_us) for event in events)
            since = _shares(recorded.order[asset], model, predictions, oracle.through(events))
    is_faulty = recorded.is_faulty(asset)
    return Seen(asset, len(events), flagged, unlearned, is_faulty, answers, since)


def _check_answers(
    predictions: Predictions, told: Mapping[int, Told], about: tuple[str, int, str]
) -> None:
    asset, number, model = about
    for offset, each in told.items():
        prediction = predictions[offset]
        part = [prediction, *prediction["shadows"]][number]
        said = said_in(prediction)[number].probabilities
        is_held = "HELD" in prediction["quality"]
        is_same = (part["model"], said, part["lineage"]) == (
            model,
            each.said.probabilities,
            each.lineage,
        )
        if not is_same or is_held != each.is_held:
            msg = (
                f"{asset} at {offset}: {model} must say {each}, said {said} with lineage "
                f"{part['lineage'].hex()}, held: {is_held}"
            )
            raise BrokenPromiseError(msg)


def _check_lineage(written: bytes, folds: Sequence[Fold], about: tuple[str, str]) -> None:
    if {written} != {fold.lineage for fold in folds}:
        lineages = [fold.lineage.hex() for fold in folds]
        msg = f"{about}: the lineage must be that of plain River, {lineages}, was {written.hex()}"
        raise BrokenPromiseError(msg)


def _shares(
    order: Sequence[Item], model: str, predictions: Predictions, through: Mapping[int, Told]
) -> list[tuple[float, float]]:
    """Return the shares of right answers since what was answered is learned, since that, in all."""
    asked = [(place, item) for place, item in enumerate(order) if isinstance(item, Asked)]
    released = [each for each in asked if each[1].update["kind"] == "RELEASE"]
    if not released:
        return []
    begin_us = asked[0][1].update["span"]["from"]
    answered, release = released[0]
    learned = (
        place
        for place, item in enumerate(order)
        if isinstance(item, Swapped) and item.model == model and release.offset in item.offsets
    )
    parts = (
        [item for item in order[next(learned, answered) :] if isinstance(item, Event)],
        [item for item in order[answered:] if isinstance(item, Event)],
        [item for item in order if isinstance(item, Event) and item.time_us >= begin_us],
    )
    return [
        (
            _share([predictions[e.offset]["outcome"] == str(e.y) for e in part]),
            _share([chosen(through[e.offset]) == e.y for e in part]),
        )
        for part in parts
    ]


def _in_words(share: float) -> str:
    return "" if math.isnan(share) else f"{share:.2f} %"


def _share(right: Sequence[bool]) -> float:
    return 100.0 * sum(right) / len(right) if right else math.nan
