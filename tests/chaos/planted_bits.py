"""One bit flipped below Kafka: the explainer halts on an input's, and refuses a saved state's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.audited import tamper
from chaos.balance import BrokenPromiseError
from chaos.explaining import EXPLAINERS
from chaos.tampering import Bit
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS, EXPLAINER_SNAPSHOTS, PREDICTIONS
from tidemill.fold.views import VIEW
from tidemill.models.state import ModelKey
from tidemill.processors.explainer.place import KEY as PLACE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chaos.explaining import Scene
    from chaos.figures import Figures
    from chaos.reading import Record

# An event of the grid ends with its demand, three more readings and a label of two bytes; each
# reading is a byte that says it is there, and a double.
DEMAND_FROM_END = 8 + 3 * 9 + 2
MANTISSA_BYTE = 4  # a bit amid the mantissa moves a number by a millionth
SHOWN = 300


def plant_bits(scene: Scene, count: int) -> Figures:
    """Flip a bit of an event, then one of a saved state, with so many events around each.

    Args:
        count: Events, enough for learners to save all models meanwhile.

    Raises:
        BrokenPromiseError: A flip is not met, is met by the wrong one, or is not named.
    """
    scene.await_all()
    scene.explainers.end()
    known = [len(records) for records in scene.mesh.read(EVENTS)]
    scene.write(count)
    scene.await_all()
    bit = _feature_bit(scene, known)
    tamper(scene.mesh, [bit])
    reason = _await_halt(scene, bit)
    scene.write(count)
    scene.await_all()
    state = _state_bit(scene)
    tamper(scene.mesh, [bit, state])
    scene.explainers.start(*EXPLAINERS)
    scene.await_all()
    refused = _check_refused(scene, state)
    return {
        "a bit of an event flipped on disk, after learners used it and saved their models": ""
        f"{bit}: the explainer halts: {reason[:SHOWN]} ...",
        "meanwhile": f"learners predicted {count:,} more; with the bit flipped back the explainer "
        "went on",
        "a bit of the explainer's saved state flipped on disk": f"{state}: refused: {refused}; it "
        "went on from the learner's states, and what it said is in the balance",
    }


def _await_halt(scene: Scene, bit: Bit) -> str:
    """Start one explainer; return what it says of a bit when it halts."""
    name = EXPLAINERS[0]
    scene.explainers.start(name)
    reason = scene.explainers.await_halt(name)
    check_named(scene, bit, reason)
    return reason


def _feature_bit(scene: Scene, known: Sequence[int]) -> Bit:
    """Return a bit of a reading in the first event of the grid that is not explained.

    Learners have saved what they made of it, so they need not read it again.
    """
    events = scene.mesh.read(EVENTS)
    fresh = [records[count:] for records, count in zip(events, known, strict=True)]
    grid = [record for records in fresh for record in records if b"/feeder/" in (record.key or b"")]
    record = grid[0]
    assert record.value is not None
    at = len(record.value) - DEMAND_FROM_END + MANTISSA_BYTE
    return Bit(EVENTS, record.partition, record.offset, at)


def check_named(scene: Scene, bit: Bit, reason: str) -> None:
    """Hold that a halt names a position and both values.

    Raises:
        BrokenPromiseError: It names others.
    """
    (prediction,) = [
        record
        for record in scene.mesh.read(PREDICTIONS)[bit.partition]
        if codec("Prediction").decode(record.value)["source"]["offset"] == bit.offset
    ]
    where = f"{PREDICTIONS}-{bit.partition}@{prediction.offset}"
    said = codec("Prediction").decode(prediction.value)
    wanted = (str(bit), where, f"probabilities is {said['probabilities']!r} there and ")
    missing = [text for text in wanted if text not in reason]
    if missing:
        msg = f"the halt must name {missing}, it says: {reason}"
        raise BrokenPromiseError(msg)


def _check_refused(scene: Scene, bit: Bit) -> str:
    """Hold that one saved state was refused; return why.

    Raises:
        BrokenPromiseError: Another was, or more.
    """
    told = [line for worker in scene.explainers.up() for line in worker.told("snapshot refused")]
    # Once by each explainer that had the partition while they shared them out.
    if {str(line["position"]) for line in told} != {str(bit)}:
        msg = f"the one state that is refused must be {bit}, was {told}"
        raise BrokenPromiseError(msg)
    return str(told[0]["reason"])


def _state_bit(scene: Scene) -> Bit:
    """Return a bit of the state of a model that was saved last: a restart would begin from it."""
    newest: dict[bytes, Record] = {}
    for records in scene.mesh.read(EXPLAINER_SNAPSHOTS):
        for record in records:
            assert record.key is not None
            newest[record.key] = record
    models = [
        record
        for key, record in newest.items()
        if record.value is not None and b"#" not in key and _is_model(ModelKey.decode(key))
    ]
    last = max(models, key=lambda record: (record.timestamp_ms, record.partition, record.offset))
    assert last.value is not None
    return Bit(EXPLAINER_SNAPSHOTS, last.partition, last.offset, len(last.value) // 2)


def _is_model(key: ModelKey) -> bool:
    return key != PLACE and key.model != VIEW
