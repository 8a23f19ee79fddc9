"""Late, shuffled, doubled and corrected labels over several labellers: equal to plain River."""

from __future__ import annotations

from itertools import chain, islice, zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple

from chaos.balance import BrokenPromiseError
from chaos.beside import Beside
from chaos.data import LOOP_FEATURES, POWER_FEATURES, loop_rows, origin, power_rows
from chaos.feeding import Feed
from chaos.label_oracle import (
    CLASSES,
    LOOP,
    POWER,
    LabelOracle,
    decoded,
    mean_errors,
)
from chaos.label_schedule import Habits, last_labels, schedule
from chaos.mesh import Mesh
from chaos.plant import SCALED, event_id
from chaos.sheets import Reading, Sheet, SheetPlant
from chaos.waiting import await_value
from tidemill.contracts.topics import EVENTS, LEDGER, OUTCOMES, PREDICTIONS, UPDATES
from tidemill.local.redis import redis_running

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from chaos.feeding import Outgoing
    from chaos.figures import Figures
    from chaos.label_oracle import Avro
    from chaos.label_schedule import Sent

LABELLERS = ("l0", "l1", "l2")
LEARNERS = ("w0", "w1")
PARTITIONS = 5  # so that assets of both streams share partitions
ASSETS = 6
AWAITED_S = 3_600.0
SETTLED_S = 900.0
PARTS = 10  # so that most labels find their predictions
NEAR = 1e-9
MODELS = ("champion", "tree")
METRIC = {POWER: "log_loss", LOOP: "mae"}


class Size(NamedTuple):
    """How many rows of each stream, and how the lab works."""

    rows: int | None
    habits: Habits
    seed: int
    learners: int = 2


def plant() -> SheetPlant:
    """Return a plant whose two streams get their answers as labels."""
    binary = {"kind": "binary", "classes": list(CLASSES)}
    return SheetPlant(
        [
            _sheet(POWER, POWER_FEATURES, binary, ("LogisticRegression", "Classifier")),
            _sheet(LOOP, LOOP_FEATURES, {"kind": "regression"}, ("LinearRegression", "Regressor")),
        ],
        partitions=PARTITIONS,
    )


def _sheet(
    name: str,
    features: Sequence[str],
    answer: Mapping[str, Any],  # Any: a part of the definition
    models: tuple[str, str],
) -> Sheet:
    line, tree = models
    model = {
        "champion": [SCALED, f"linear_model.{line}"],
        "challengers": {"tree": [f"tree.HoeffdingTree{tree}"]},
    }
    target = {"label": {"name": "answer", "ttl": "10d", **answer}}
    return Sheet(name, features, model, str(answer["kind"]), options={"target": target})


def readings(rows: int | None) -> list[Reading]:
    """Return the rows of both streams, taken in turn."""
    columns = [list(islice(column, rows)) for column in (_power(), _loop())]
    return [each for row in zip_longest(*columns) for each in row if each is not None]


def _power() -> Iterator[Reading]:
    for number, row in enumerate(power_rows()):
        x = dict(zip(POWER_FEATURES, row.x, strict=True))
        yield Reading(POWER, f"grid/nsw/feeder/m{number % ASSETS}", x, int(row.y))


def _loop() -> Iterator[Reading]:
    for number, row in enumerate(loop_rows()):
        x = dict(zip(LOOP_FEATURES, row.x, strict=True))
        yield Reading(LOOP, f"testbed/loop/valve/v{number % ASSETS}", x, row.y)


def prove_late_labels(folder: Path, size: Size) -> Figures:
    """Send events and their labels through several labellers; hold all against plain River.

    Raises:
        BrokenPromiseError: A label is lost, counted twice, or met another prediction or model.
    """
    rows = readings(size.rows)
    described = plant()
    records, sent = schedule(described, rows, size.habits, size.seed)
    wanted = expected_updates(sent)
    with (
        redis_running(folder / "redis") as redis,
        Mesh(folder / "mesh", described, ["--snapshot-every", "1000"]) as mesh,
        Beside("labeller", mesh, folder, ["--redis", str(redis.url)]) as labellers,
    ):
        mesh.start(*LEARNERS[: size.learners])
        labellers.start(*LABELLERS)
        mesh.await_owners(size.learners)
        for number in range(PARTS):
            part = records[number * len(records) // PARTS : (number + 1) * len(records) // PARTS]
            _write(mesh, part)
        await_updates(mesh, labellers, len(wanted))
        mesh.drain(AWAITED_S)
        await_settled(mesh)
        code, document = mesh.audit("replay")
        if (code, document["differences"]) != (0, 0):
            msg = f"audit replay must differ in nothing, was {document}"
            raise BrokenPromiseError(msg)
        found = _hold(mesh, rows, described, wanted)
        labellers.end()
        mesh.end()
    return {
        "events": f"{len(rows):,}, rows of {origin()}, over {ASSETS} assets of each of two streams",
        "labels": f"{len(sent):,} of {len(last_labels(sent.values())):,} events, "
        f"{sum(each.revision > 0 for each in sent.values()):,} of them corrections; delays in turn "
        f"{', '.join(map(str, size.habits.delays))} (events; the last in microseconds), "
        f"{size.habits.never:.0%} never, {size.habits.twice:.0%} twice, out of order by up to "
        f"{size.habits.jitter} events, in any partition; {len(LABELLERS)} labellers",
        **found,
        "audit replay": "0 differences",
    }


def _write(mesh: Mesh, records: Sequence[Outgoing]) -> None:
    """Write records, and wait until every event so far has its prediction."""
    feed = Feed(mesh.bootstrap)
    feed.write(records)
    feed.finish()

    def missing() -> int:
        mesh.check()
        return sum(map(len, mesh.read(EVENTS))) - sum(map(len, mesh.read(PREDICTIONS)))

    await_value(lambda: missing() == 0, lambda: f"{missing()} predictions", AWAITED_S, poll_s=0.5)


def expected_updates(sent: Mapping[tuple[int, int], Sent]) -> set[tuple[str, int]]:
    """Return event id and revision of the labels that must lead to an update, in any order.

    A correction that says the same again leads to none, and so does one that a later one overtook;
    which those are depends on the order in which they were read.
    """
    return {(event_id(number), revision) for number, revision in sent if revision == 0}


def await_updates(mesh: Mesh, labellers: Beside, count: int) -> None:
    """Wait until at least so many updates were written, and no more come."""

    def written() -> int:
        labellers.check()
        mesh.check()
        return sum(map(len, mesh.read(UPDATES)))

    await_value(lambda: written() >= count, lambda: f"{count} updates", AWAITED_S, poll_s=1.0)
    before = -1
    while before != (now := written()):
        before = now
        await_value(lambda: _all_read(mesh), lambda: "labels read", AWAITED_S, poll_s=0.5)


def _all_read(mesh: Mesh) -> bool:
    return mesh.lag_of("labeller") == 0


def await_settled(mesh: Mesh) -> None:
    """Wait until no correction waits for its re-fold any more."""

    def open_ones() -> int:
        noted = sum(
            corrections(each for _, each in decoded(part, "Update")) for part in mesh.read(UPDATES)
        )
        settled = {
            (number, action["detail"]["model"], offset)
            for number, part in enumerate(mesh.read(LEDGER))
            for _, entry in decoded(part, "LedgerEntry")
            for action in entry["actions"]
            if action["kind"] in {"swap", "compensate"}
            for offset in action["detail"]["updates"].split(",")
        }
        return len(MODELS) * noted - len(settled)

    await_value(
        lambda: open_ones() == 0, lambda: f"{open_ones()} corrections wait", SETTLED_S, poll_s=1.0
    )


def corrections(updates: Iterable[Avro]) -> int:
    """Return how many updates of a partition change the label in force of their event.

    Labellers may overtake one another: what a later revision came before changes nothing, and
    neither does one that says what was said last, with what lay between them still to come.
    """
    said: dict[str, tuple[int, Any]] = {}  # Any: a number, or the key of a class
    count = 0
    for update in updates:
        name, revision, label = update["event_id"], update["revision"], update["label"]
        highest, last = said.get(name, (-1, update["replaced"]))
        if revision > highest:
            said[name] = (revision, label)
            count += update["replaced"] is not None and label != last
    return count


def _hold(
    mesh: Mesh, rows: Sequence[Reading], described: SheetPlant, wanted: set[tuple[str, int]]
) -> Figures:
    """Hold updates, predictions and outcomes of all partitions against what was sent."""
    by_id = {event_id(number): reading for number, reading in enumerate(rows)}
    predictions = [[each for _, each in decoded(p, "Prediction")] for p in mesh.read(PREDICTIONS)]
    updates = [dict(decoded(part, "Update")) for part in mesh.read(UPDATES)]
    check_once(list(chain.from_iterable(part.values() for part in updates)), wanted)
    judged: dict[tuple[str, str], dict[str, Any]] = {}  # Any: `Judged`
    compared = 0
    for number, entries in enumerate(mesh.read(LEDGER)):
        events = [_event(each, by_id) for each in predictions[number]]
        oracle = LabelOracle(events, predictions[number])
        oracle.follow([entry for _, entry in decoded(entries, "LedgerEntry")], updates[number])
        judged.update(oracle.judged)
        compared += oracle.compared
    outcomes = [each for part in mesh.read(OUTCOMES) for _, each in decoded(part, "Outcome")]
    check_metrics(outcomes, judged)
    try:
        check_metrics(outcomes, judged, again=True)
    except BrokenPromiseError as error:
        again = str(error)
    else:
        msg = "metrics of what models say once labels are there must differ, they do not"
        raise BrokenPromiseError(msg)
    corrections = sum(u["revision"] > 0 for part in updates for u in part.values())
    swaps = check_refolded(mesh)
    return {
        "updates": f"{sum(map(len, updates)):,}, one for each label, {corrections:,} of them "
        "corrections; each the features and the answers that were stored",
        "equal to plain River": f"{compared:,} answers, as 64 bits, the corrections learned where "
        "the first labels stood",
        "re-folds": f"{swaps:,} swaps, nothing compensated",
        "outcomes": f"{len(outcomes):,}; their metrics are those of the stored predictions",
        "asked again when the label comes": again,
    }


def check_refolded(mesh: Mesh) -> int:
    """Hold that every correction was made by a re-fold; return how many swaps there were.

    Raises:
        BrokenPromiseError: One was only made good from then on.
    """
    actions = [
        action
        for part in mesh.read(LEDGER)
        for _, entry in decoded(part, "LedgerEntry")
        for action in entry["actions"]
    ]
    compensated = [action for action in actions if action["kind"] == "compensate"]
    if compensated:
        msg = f"every correction must lead to a re-fold, not so {compensated[0]['detail']}"
        raise BrokenPromiseError(msg)
    return sum(action["kind"] == "swap" for action in actions)


def _event(prediction: Avro, by_id: Mapping[str, Reading]) -> Avro:
    reading = by_id[prediction["event_id"]]
    return {
        "id": prediction["event_id"],
        "offset": prediction["source"]["offset"],
        "stream": reading.sheet,
        "asset": reading.asset,
        "x": reading.x,
    }


def check_once(updates: Sequence[Avro], wanted: set[tuple[str, int]]) -> None:
    """Hold that each label led to one update, with what was stored.

    Raises:
        BrokenPromiseError: One is lost, or doubled.
    """
    found = [(each["event_id"], each["revision"]) for each in updates]
    first = {name for name, _ in found}
    lost = sorted({name for name, _ in wanted} - first)
    if len(found) != len(set(found)) or lost:
        doubled = sorted({each for each in found if found.count(each) > 1})[:5]
        msg = f"each label must lead to one update; doubled {doubled}, lost {lost[:5]}"
        raise BrokenPromiseError(msg)


def check_metrics(
    outcomes: Sequence[Avro],
    judged: Mapping[tuple[str, str], dict[str, Any]],  # Any: `Judged`
    *,
    again: bool = False,
) -> None:
    """Hold the metrics of the last outcome of every asset against the errors that there were.

    Args:
        again: Whether those of the answers given once the label was there, which is wrong.

    Raises:
        BrokenPromiseError: They differ.
    """
    last = {(each["stream"], each["asset"]): each["metrics"] for each in outcomes}
    for (stream, asset), labels in sorted(judged.items()):
        count, error = mean_errors(stream, labels, again=again)
        found = last[stream, asset]
        told = (int(found["count"]), found[METRIC[stream]])
        if told[0] != count or abs(told[1] - error) > NEAR * max(1.0, error):
            msg = (
                f"{asset}: {METRIC[stream]} must be {error:.6f} over {count} labels, "
                f"was {told[1]:.6f} over {told[0]}"
            )
            raise BrokenPromiseError(msg)
