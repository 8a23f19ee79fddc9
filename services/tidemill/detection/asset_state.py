"""The state of an asset's check as plain numbers and bytes, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tidemill.detection.asset import AssetCheck
from tidemill.detection.asset_block import Long
from tidemill.detection.asset_fit import SPAN
from tidemill.detection.asset_kept import Kept
from tidemill.detection.asset_passes import Frozen, Moving
from tidemill.detection.asset_reference import Fitting, Learned
from tidemill.kernel.errors import InvariantError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from tidemill.detection.asset import AssetSettings
    from tidemill.detection.asset_block import Block

    Numbers = NDArray[np.float64]

# Of texts, numbers, bytes, and lists and maps of them.
Dumped = dict[str, Any]

_NUMBER, _SINGLE = np.dtype("<f8"), np.dtype("<f4")
_FROZEN = ("center", "inverse", "reach", "coef", "white", "alone", "memory")
_SCALED = ("per_white", "per_alone")
_LEARNED = ("limits", "levels", "inflation")


def dump(check: AssetCheck) -> Dumped:
    """Return the state as plain values; its size depends on the settings and the status only."""
    return {
        "status": check.status,
        "events": check.events,
        "watched": check.watched,
        "episodes": check.episodes,
        "last_near": check.last_near,
        "since": check.repair.since,
        "blocks": [_dump_block(block) for block in check.blocks],
    }


def load(settings: AssetSettings, dumped: Mapping[str, Any]) -> AssetCheck:  # Any: as `Dumped`
    """Return the check that was dumped under these settings.

    Raises:
        InvariantError: No such state, or one of other settings.
    """
    check = AssetCheck(settings)
    if len(dumped["blocks"]) != len(check.blocks):
        msg = f"a state of {len(check.blocks)} blocks must be restored, was one of "
        raise InvariantError(f"{msg}{len(dumped['blocks'])}; renew the reference")
    check.status = dumped["status"]
    check.events, check.watched = dumped["events"], dumped["watched"]
    check.episodes, check.last_near = dumped["episodes"], dumped["last_near"]
    check.repair.since = dumped["since"]
    for block, each in zip(check.blocks, dumped["blocks"], strict=True):
        _load_block(block, each)
        if each["before"] is not None:
            block.before = _load_long(block.long(check.repair.short), each["before"])
    return check


def _dump_block(block: Block) -> Dumped:
    learned = block.learned
    frozen: Dumped | None = None
    if learned is not None:
        frozen = {name: _bytes(getattr(learned.frozen, name)) for name in _FROZEN + _SCALED}
        frozen |= {name: _bytes(getattr(learned, name)) for name in _LEARNED}
        frozen |= {"share": learned.frozen.share, "over": learned.over, "holds": learned.holds}
    return {
        "rows": block.rows,
        "kept": _dump_kept(block.kept),
        "fitting": None if block.fitting is None else _dump_fitting(block.fitting),
        "last": _bytes(block.last),
        "calm": [int(row) for row in block.calm],
        "moving": {name: _bytes(getattr(block.moving, name)) for name in Moving.SAVED},
        "learned": frozen,
        "before": None if block.before is None else _dump_long(block.before),
    }


def _dump_long(long: Long) -> Dumped:
    held = {name: _bytes(getattr(long, name)) for name in Long._fields[1:]}
    return {"row": long.row, **held}


def _load_long(like: Long, dumped: Mapping[str, Any]) -> Long:
    held = [_numbers(dumped[name], getattr(like, name).shape) for name in Long._fields[1:]]
    return Long(dumped["row"], *held)


def _load_block(block: Block, dumped: Mapping[str, Any]) -> None:
    block.rows = dumped["rows"]
    block.calm = np.array(dumped["calm"], dtype=np.int64)
    for name in Moving.SAVED:
        place = getattr(block.moving, name)
        place[:] = _numbers(dumped["moving"][name], place.shape)
    if dumped["learned"] is None:
        _load_kept(block.kept, dumped["kept"])
        if dumped["fitting"] is not None:
            block.fitting = Fitting(block.kept.all(), block.how)
            _load_fitting(block.fitting, dumped["fitting"])
            block.last = _numbers(dumped["last"], (block.how.lags, block.sensors))
    else:
        block.kept = Kept(0, block.sensors)
        block.learned = _load_learned(block, dumped["learned"])


def _dump_kept(kept: Kept) -> Dumped:
    return {
        "count": kept.count,
        "first": _bytes(kept.first[: kept.count]),
        "middle": _bytes(kept.middle),
        "away": kept.away[: kept.count].astype(_SINGLE).tobytes(),
    }


def _load_kept(kept: Kept, dumped: Mapping[str, Any]) -> None:
    kept.count = count = dumped["count"]
    kept.middle = _numbers(dumped["middle"], kept.middle.shape)
    if count < len(kept.first):
        kept.first[:count] = _numbers(dumped["first"], kept.first[:count].shape)
    else:
        kept.first = kept.first[:0]
    away = np.frombuffer(dumped["away"], dtype=_SINGLE)
    kept.away[:count] = away.reshape(kept.away[:count].shape)


def _dump_fitting(fitting: Fitting) -> Dumped:
    return {
        "taken": fitting.taken,
        "counts": _bytes(fitting.counts),
        "expected": _bytes(fitting.expected),
    }


def _load_fitting(fitting: Fitting, dumped: Mapping[str, Any]) -> None:
    fitting.taken = dumped["taken"]
    fitting.counts = _numbers(dumped["counts"], fitting.counts.shape)
    fitting.expected = _numbers(dumped["expected"], fitting.expected.shape)


def _load_learned(block: Block, dumped: Mapping[str, Any]) -> Learned:
    p, memories = block.sensors, len(block.how.memory)
    shapes: dict[str, tuple[int, ...]] = {
        **dict.fromkeys(("center", "inverse", "reach"), (p,)),
        **dict.fromkeys(("white", "alone"), (p, p)),
        **dict.fromkeys(("per_white", "per_alone", "inflation"), (memories, p)),
        **dict.fromkeys(("limits", "levels"), (block.calm.size,)),
        "coef": (1 + block.how.lags * p, p),
        "memory": (memories,),
    }
    found = {name: _numbers(dumped[name], shape) for name, shape in shapes.items()}
    frozen = Frozen(
        **{name: found[name] for name in _FROZEN + _SCALED}, span=SPAN, share=dumped["share"]
    )
    return Learned(
        frozen,
        **{name: found[name] for name in _LEARNED},
        over=dumped["over"],
        holds=dumped["holds"],
    )


def _bytes(values: Numbers) -> bytes:
    return values.astype(_NUMBER).tobytes()


def _numbers(packed: bytes, shape: tuple[int, ...]) -> Numbers:
    values = np.frombuffer(packed, dtype=_NUMBER).astype(np.float64)
    if values.size != int(np.prod(shape)):
        msg = f"a state of shape {shape} must be restored, found {values.size} numbers"
        raise InvariantError(f"{msg}; renew the reference")
    return values.reshape(shape)
