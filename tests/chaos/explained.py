"""One explanation for each prediction, through everything that may befall an explainer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from chaos.audited import check_honest
from chaos.backlog import work_off
from chaos.balance import BrokenPromiseError, strike_balance
from chaos.data import origin
from chaos.explainers import Explainers
from chaos.explaining import EXPLAINERS, LEARNERS, Scene
from chaos.figures import spread
from chaos.mesh import Mesh
from chaos.plant import PlantText
from chaos.planted_bits import plant_bits
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EXPLANATIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from chaos.backlog import Backlog
    from chaos.explaining import Restart
    from chaos.figures import Figures
    from chaos.reading import Record

SAME = ("event_id", "asset", "stream", "time", "source", "model", "version", "lineage")
BOUND = 1e-9


class Size(NamedTuple):
    """How much is done.

    Attributes:
        kills: Of learners and explainers in turn.
        each: Events between two kills.
    """

    kills: int
    each: int
    backlog: Backlog
    snapshot_every: int
    seed: int


def prove_explained(folder: Path, size: Size, say: Callable[[str], None]) -> Figures:
    """Kill, stop and deceive explainers beside learners, then hold explanations to predictions.

    Raises:
        BrokenPromiseError: A prediction has no explanation, or two, or that of another.
    """
    flags = ["--snapshot-every", str(size.snapshot_every)]
    with (
        Mesh(folder / "mesh", PlantText(), [*flags, "--anchor-every", "1000"]) as mesh,
        Explainers(mesh, folder / "mesh", flags) as explainers,
        Scene(mesh, explainers, size.seed) as scene,
    ):
        mesh.start(*LEARNERS)
        mesh.await_owners(len(LEARNERS))
        scene.write(size.each)
        scene.await_all()
        explainers.start(*EXPLAINERS)  # late: there is a past already
        restarts = scene.kill(size.kills, size.each)
        scene.await_all()
        killed = scene.written
        say(f"{size.kills} kills, {killed:,} events; now the backlog")
        backlog = work_off(scene, size.backlog)
        say("worked off; now the bits")
        planted = plant_bits(scene, 2 * size.snapshot_every * mesh.partitions)
        mesh.end()
        explainers.end()
        say("all is explained; now the checks")
        balance = strike_balance(mesh)
        compared = check_one_to_one(mesh.read(EXPLANATIONS), balance.predictions)
        begun = time.monotonic()
        audited = check_honest(mesh, "replay")
        check_compared(audited, compared)
        audited["audit took"] = f"{time.monotonic() - begun:.0f} s"
    return {
        "events": f"{balance.counts[0]:,}, rows of {origin()}, over and over, in two streams",
        "explained": "`linear_model.LogisticRegression` behind a scaler, and "
        "`tree.HoeffdingTreeRegressor`",
        **_killed(restarts, killed),
        "read_committed": f"{balance.counts[1]:,} predictions and {compared:,} explanations: one "
        f"for each, in their order, with the same {', '.join(SAME)}",
        **backlog,
        **planted,
        **audited,
    }


def check_one_to_one(
    explanations: Sequence[Sequence[Record]],
    predictions: Sequence[Sequence[Mapping[str, Any]]],  # Any: Avro records
) -> int:
    """Hold explanations against predictions, both by partition; return how many there are.

    Raises:
        BrokenPromiseError: One is lost, doubled, out of order, or about something else.
    """
    decode = codec("Explanation").decode
    compared = 0
    for number, (records, wanted) in enumerate(zip(explanations, predictions, strict=True)):
        for prediction, record in zip(wanted, records, strict=False):
            check_same(prediction, decode(record.value))
        if len(records) != len(wanted):
            msg = (
                f"partition {number}: {len(wanted)} predictions must have one explanation each, "
                f"found {len(records)}"
            )
            raise BrokenPromiseError(msg)
        compared += len(records)
    return compared


def check_same(
    prediction: Mapping[str, Any],  # Any: Avro records
    explanation: Mapping[str, Any],
) -> None:
    """Hold an explanation against the prediction in its place.

    Raises:
        BrokenPromiseError: It is about another, explains another value, or does not add up.
    """
    wrong = [name for name in SAME if prediction[name] != explanation[name]]
    value = prediction["value"]
    scale = max(1.0, abs(explanation["prediction"]))
    if not wrong and value is not None and abs(explanation["prediction"] - value) > BOUND * scale:
        wrong = ["value"]
    if not wrong and explanation["additivity_error"] > BOUND * scale:
        wrong = ["additivity_error"]
    if wrong:
        msg = f"{prediction['source']}: {wrong} must be the prediction's, was {explanation}"
        raise BrokenPromiseError(msg)


def check_compared(audited: Mapping[str, str], count: int) -> None:
    """Hold that an audit compared all explanations.

    Raises:
        BrokenPromiseError: It did not.
    """
    if f"{count:,} explanations" not in audited["audit replay"]:
        msg = f"audit replay must compare {count:,} explanations, was {audited}"
        raise BrokenPromiseError(msg)


def _killed(restarts: Sequence[Restart], events: int) -> Figures:
    def seconds(processor: str, *, is_late: bool) -> str:
        found = [r for r in restarts if r.processor == processor and r.is_late is is_late]
        return spread([restart.seconds for restart in found])

    return {
        "killed by kill -9 at random points": f"{len(restarts)} times over {events:,} events, two "
        "learners and two explainers at work",
        "start of a learner to its first new prediction": seconds("learner", is_late=False),
        "start of an explainer to its first new explanation": seconds("explainer", is_late=False),
        "the same, started only after more had been predicted": seconds("explainer", is_late=True),
    }
