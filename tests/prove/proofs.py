"""What can be proved, by name, with the sizes of a full and of a quick run."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from chaos.additive import prove_additive
from chaos.audited import prove_audit
from chaos.backlog import Backlog
from chaos.calibrated import prove_calibrated
from chaos.causes import SEEDS, prove_causes
from chaos.data import LOOP, POWER
from chaos.disorder import Disturbances
from chaos.disturbed import prove_undisturbed
from chaos.explained import Size as ExplainedSize
from chaos.explained import prove_explained
from chaos.explaining_time import prove_explaining_time
from chaos.fleet import Size as FleetSize
from chaos.fleet_budget import LINE, TREE, prove_fleet
from chaos.fuzz_proof import prove_fuzz
from chaos.long_input import prove_level
from chaos.many_models import Size, prove_families
from chaos.quiet_assets import prove_bounded_refold
from chaos.real_data import prove_equality, write_by_command
from chaos.recovery import Flow, prove_exactly_once
from prove.alarm_proofs import ALARM_PROOFS
from prove.drift_asset_proofs import DRIFT_ASSET_PROOFS
from prove.drift_proofs import DRIFT_PROOFS
from prove.drift_running_proofs import DRIFT_RUNNING_PROOFS
from prove.feedback_proofs import FEEDBACK_PROOFS
from prove.proof import Proof

if TYPE_CHECKING:
    from chaos.figures import Figures
    from chaos.tables import Found
    from prove.proof import Context

ALL_ROWS = 52_000


def _real_data(context: Context) -> Figures:
    rows = 2_000 if context.is_quick else None
    return prove_equality(context.folder, limits={POWER: rows, LOOP: rows}, write=write_by_command)


def _exactly_once(context: Context) -> Figures:
    ways = (signal.SIGTERM, signal.SIGKILL)
    if context.is_quick:
        flow, plan = Flow(150.0, 2_000), Disturbances(4, 2, ways[:1], context.seed)
    else:
        flow, plan = Flow(150.0, ALL_ROWS), Disturbances(500, 5, ways * 3, context.seed)
    return prove_exactly_once(
        context.folder,
        flow=flow,
        plan=plan,
        snapshot_every=300 if context.is_quick else 1_000,
        say=context.say,
        after=prove_audit,
    )


def _long_input(context: Context) -> Figures:
    if context.is_quick:
        return prove_level(context.folder, rows=2_000, depth=3, snapshot_every=250)
    return prove_level(context.folder, rows=None, depth=4, snapshot_every=5_000)


def _quiet_assets(context: Context) -> Figures:
    bound, kills = (1_000, 2) if context.is_quick else (10_000, 5)
    return prove_bounded_refold(context.folder, bound=bound, kills=kills)


def _fleet(context: Context) -> Found:
    if context.is_quick:
        size = FleetSize(
            assets=1_500, busy=50, each=15, snapshot_every=100, kills=1, seed=context.seed
        )
        return prove_fleet(context.folder, size, {TREE: [150]})
    size = FleetSize(
        assets=10_000,
        busy=250,
        each=20,
        snapshot_every=500,
        kills=5,
        seed=context.seed,
    )
    return prove_fleet(context.folder, size, {LINE: [None, 1_000], TREE: [None, 1_000]})


def _families(context: Context) -> Found:
    if context.is_quick:
        size = Size(rows=300, assets=2, kills=2, snapshot_every=300, batch=100, seed=context.seed)
    else:
        size = Size(
            rows=None, assets=4, kills=10, snapshot_every=2_000, batch=200, seed=context.seed
        )
    return prove_families(context.folder, size)


def _disturbed(context: Context) -> Found:
    rows, kills, snapshot_every = (1_500, 2, 300) if context.is_quick else (None, 10, 1_000)
    return prove_undisturbed(
        context.folder,
        rows=rows,
        kills=kills,
        snapshot_every=snapshot_every,
        seed=context.seed,
    )


def _coverage(_: Context) -> Found:
    return prove_calibrated()


def _fuzz(context: Context) -> Found:
    records = 20_000 if context.is_quick else 1_000_000
    return prove_fuzz(records=records, seed=context.seed, say=context.say)


def _additivity(context: Context) -> Found:
    rows, every = (300, 10) if context.is_quick else (None, None)
    return prove_additive(rows=rows, every=every, say=context.say)


def _causes(context: Context) -> Found:
    return prove_causes(seeds=1 if context.is_quick else SEEDS, say=context.say)


def _explained(context: Context) -> Figures:
    if context.is_quick:
        backlog = Backlog(events=2_000, rate=200.0, watch_s=3.0)
        size = ExplainedSize(4, 250, backlog, snapshot_every=100, seed=context.seed)
    else:
        backlog = Backlog(events=100_000, rate=500.0, watch_s=30.0)
        size = ExplainedSize(20, 2_500, backlog, snapshot_every=1_000, seed=context.seed)
    return prove_explained(context.folder, size, context.say)


def _explaining_time(context: Context) -> Found:
    events, repeats = (50, 2) if context.is_quick else (1_000, 9)
    return prove_explaining_time(events=events, repeats=repeats, say=context.say)


PROOFS = {
    proof.name: proof
    for proof in (
        Proof(
            "real-data",
            "Real data, two workers: equal to River to the last bit",
            "Each row becomes a sensor event, written by `tidemill produce`; two learners share "
            "the partitions; every prediction of champion and challenger is held, as 64 bits, "
            "against a plain River loop over the same rows.",
            _real_data,
        ),
        Proof(
            "exactly-once",
            "Exactly once through kill -9, broker restarts and rebalances",
            "Workers are killed at random instants, the broker is stopped and killed, workers join "
            "and leave for good, while events and EXAMPLE updates, some of them repeated, flow. "
            "Then all topics are read as a subscriber does, the recorded order is folded again by "
            "an oracle that knows River, SHA-256 and the ledger's runs only, an audit replays all "
            "of it, and single bits are flipped in the stopped broker's files.",
            _exactly_once,
        ),
        Proof(
            "long-input",
            "A long input: memory and snapshots level off",
            "One worker reads the same series ten times over, with trees of bounded depth; its "
            "resident memory is looked at from outside, and every state it saves is weighed.",
            _long_input,
        ),
        Proof(
            "quiet-assets",
            "A crash beside a thousand quiet assets: the re-fold stays under its bound",
            "A thousand assets get a few events each and fall quiet, one goes on in the same "
            "partition; the worker is killed well after its last snapshot, and tells how many "
            "records it folded again.",
            _quiet_assets,
        ),
        Proof(
            "fleet",
            "Ten thousand assets on one worker: memory stays in its budget",
            "Assets take turns, few of them busy at a time, then every one once; one worker "
            "predicts and learns, is killed by `kill -9`, and starts again with all models out of "
            "memory. Resident memory is what the kernel accounts.",
            _fleet,
        ),
        Proof(
            "families",
            "Every class that a definition may name: equal to River to the last bit, through kills",
            "One plant with a stream for each task; in each, one class is the champion and all "
            "others are its shadows. Two learners share the partitions and are killed while they "
            "work. Every answer of every model is held, as 64 bits, against River's own class in "
            "a plain loop over the same rows. Three things are said to River in another way, for "
            "it to be the same from process to process: classes by their place among their names, "
            "since River sums over a set; no feature to `MinMaxScaler` before it has learned, "
            "since it makes NaN; a category not seen before as missing.",
            _families,
        ),
        Proof(
            "disturbed",
            "Corrupt, late, doubled, stuck and NaN events leave no trace in any model",
            "Faults are planted in real rows, which two learners read while they are killed. Then "
            "the events that were not flagged are sent alone through a second mesh with topics of "
            "its own: models and predictions must be the same.",
            _disturbed,
        ),
        Proof(
            "coverage",
            "Intervals hold nine labels in ten; rare classes are as likely as they are said to be",
            "Streams go through the fold, event by event, test-then-train; what stands in the "
            "predictions is held against the labels that came with the events.",
            _coverage,
        ),
        Proof(
            "fuzz",
            "A million fuzzed records: no worker halts, the balance is exact, the past replays",
            "Whole records with extreme values, mutated bytes, fields under the wrong schema, "
            "random bytes, nothing at all, records that come again, as events and as updates, go "
            "through two workers over a cluster in memory, which crash on the way.",
            _fuzz,
        ),
        Proof(
            "additivity",
            "Shares add up to what was predicted: every class, whole data sets",
            "Each class that a definition may name learns whole data sets, row by row, now and "
            "then without a reading; answers are explained before their row is learned. Base, "
            "shares and residual must be what the model answers.",
            _additivity,
        ),
        Proof(
            "causes",
            "Failures whose causes are known: the sensor blamed most is one of them",
            "The failures of AI4I 2020 follow rules, which name the sensors that cause them. A "
            "model that is told nothing but whether the machine failed goes through the fold, "
            "test-then-train; looked at is the largest share for the failure in the explanation "
            "records. The claim is held for one pipeline; the same forest is reported with the "
            "grade shown to it in two other ways.",
            _causes,
        ),
        Proof(
            "explained",
            "One explanation for each prediction, through kill -9, a backlog and flipped bits",
            "Learners and explainers share two streams and are killed at random points; then the "
            "explainers stay away while the learners go on, and come back; then single bits are "
            "flipped on the broker's disk. In the end all predictions and explanations are read "
            "as a subscriber does and held against each other, and an audit explains all of them "
            "again.",
            _explained,
        ),
        Proof(
            "explaining-time",
            "Processor time of an explanation, beside the prediction's own and beside shap's",
            "Models that a definition may name learn the rows of the grid; when they have grown, "
            "each further event is predicted, explained, learned, as the explainer does it. The "
            "shap package explains the same trees in the same process.",
            _explaining_time,
        ),
        *FEEDBACK_PROOFS,
        *DRIFT_PROOFS,
        *DRIFT_ASSET_PROOFS,
        *DRIFT_RUNNING_PROOFS,
        *ALARM_PROOFS,
    )
}
