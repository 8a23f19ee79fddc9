"""All sensors of an asset watched together: is it still as its reference was, and where not."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from tidemill.detection.asset_block import Block
from tidemill.detection.asset_changes import Change, Observed, Ranked
from tidemill.detection.asset_passes import KINDS
from tidemill.detection.asset_reference import Learning, affordable
from tidemill.detection.asset_repair import NEAR, Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tidemill.detection.asset_block import Mark
    from tidemill.detection.asset_changes import Status

    Numbers = NDArray[np.float64]

# Rows that pass at once at most: what they leave behind stays small.
_ROWS = 1_024
# An episode ends after so many lengths of the longest memory without any statistic near its limit;
# sooner where it was a strong one: see `Repair`.
_QUIET = 2.0
# Blocks learn one after the other, so many events apart: none waits for all of them.
_BETWEEN = 100
# Steps of a fit are so many events apart: all of them are within the events between.
_APART = 5


@dataclass(frozen=True, slots=True)
class AssetSettings:
    """How an asset is watched.

    Attributes:
        sensors: How many numbers a row has.
        run_length: Events of the asset between false alarms.
        reference: Events that are the reference, from the first one or from `renew`; a second
            block learns from a hundred more, and so on.
        lags: How many events before it foretell one.
        ridge: The penalty, per row, on squared differences of the model's coefficients from those
            of each sensor in its own past alone.
        memory: Weights of the newest event, largest first; only those are used that the reference
            is long enough for.
        block: The most sensors whose relations are learned; more are dealt out, neighbours
            together, and the run length is divided over the blocks.
        refuse_above: The reference does not hold where a larger share of its second half is over
            limits that its first half gave; 1 takes any reference.
        at_once: A reference of so many values is fitted at its last event; a larger one in the
            hundred events after it, so that no event waits long.
    """

    sensors: int
    run_length: float = 100_000.0
    reference: int = 5_000
    lags: int = 2
    ridge: float = 0.3
    memory: tuple[float, ...] = (1 / 4, 1 / 16, 1 / 64, 1 / 512)
    block: int = 64
    refuse_above: float = 0.3
    at_once: int = 100_000

    def __post_init__(self) -> None:
        for name, least in (("sensors", 1), ("reference", 64), ("lags", 1), ("block", 1)):
            if getattr(self, name) < least:
                msg = f"{name} must be at least {least}, was {getattr(self, name)!r}"
                raise ValueError(msg)
        if not self.run_length >= 1.0:
            msg = f"run_length must be at least 1, was {self.run_length!r}"
            raise ValueError(msg)
        if not self.ridge > 0.0:
            msg = f"ridge must be above 0, was {self.ridge!r}"
            raise ValueError(msg)
        falls = all(a > b for a, b in zip((1.0, *self.memory), (*self.memory, 0.0), strict=True))
        if not self.memory or not falls:
            msg = f"memory must be weights below 1 that fall, above 0, was {self.memory!r}"
            raise ValueError(msg)

    def slices(self) -> list[slice]:
        """Return the sensors of each block."""
        count = -(-self.sensors // self.block)
        ends = [self.sensors * number // count for number in range(count + 1)]
        return [slice(*pair) for pair in pairwise(ends)]

    def learning(self, number: int) -> Learning:
        """Return how a block learns, by its number."""
        values = self.reference * min(self.block, self.sensors)
        return Learning(
            rows=self.reference + number * _BETWEEN,
            lags=self.lags,
            ridge=self.ridge,
            memory=affordable(self.memory, self.reference),
            run_length=self.run_length * len(self.slices()),
            refuse_above=self.refuse_above,
            apart=_APART if values > self.at_once else 0,
        )


class AssetCheck:
    """The check of one asset; rows come event by event or many at once, to the same end.

    Attributes:
        status: Of now.
        events: How many events came.
        watched: How many of them came while watching and no episode was open.
        episodes: How many were opened.
        last_near: Number of the last event at which a statistic was at least halfway to its limit.
        repair: Of an episode: since when it seems over.
    """

    def __init__(self, settings: AssetSettings) -> None:
        self.settings = settings
        self._slices = settings.slices()
        self.blocks = [
            Block(part.stop - part.start, settings.learning(number))
            for number, part in enumerate(self._slices)
        ]
        memory = self.blocks[0].how.memory
        self._quiet = int(_QUIET / memory[-1])
        self.repair = Repair(memory, len(self.blocks))
        self.status: Status = "LEARNING"
        self.events = self.watched = self.episodes = 0
        self.last_near = 0

    def renew(self) -> None:
        """Forget the reference, and any episode: the events that come next are the new one."""
        for block in self.blocks:
            block.renew()
        self.repair.forget(self.blocks)
        self.status = "LEARNING"

    def observe(self, rows: Numbers) -> Observed:
        """Take events, (n, sensors), oldest first; not finite is what is missing."""
        rows = np.ascontiguousarray(rows, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != self.settings.sensors:
            msg = f"rows must be (n, {self.settings.sensors}), was {rows.shape}"
            raise ValueError(msg)
        changes: list[Change] = []
        over = np.zeros(len(rows), dtype=bool)
        at = 0
        while at < len(rows):
            at += self._step(rows[at : at + _ROWS], over[at:], changes)
        return Observed(changes, over)

    def advance(self, rows: Numbers) -> tuple[int, list[Change]]:
        """Take events up to the first change of status; return how many that were, and it.

        There may be more to take, also where nothing changed.
        """
        changes: list[Change] = []
        part = np.ascontiguousarray(rows[:_ROWS], dtype=np.float64)
        return self._step(part, np.zeros(len(part), dtype=bool), changes), changes

    def _step(self, rows: Numbers, over: NDArray[np.bool_], changes: list[Change]) -> int:
        """Take rows up to the first change of status; return how many that were."""
        if self.status == "LEARNING":
            return self._learn(rows, changes)
        if self.status == "NOT_STATIONARY":
            self.events += len(rows)
            return len(rows)
        if self.status == "OPEN":
            rows = rows[: self.repair.left(self.events)]
        marks = [block.mark() for block in self.blocks] if len(rows) > 1 else []
        excess = self._taken(rows)
        is_over: NDArray[np.bool_] = np.any(excess > 1.0, axis=1)
        is_near: NDArray[np.bool_] = np.any(excess > NEAR, axis=1)
        found = self._first_change(is_over, is_near)
        count = len(rows) if found is None else found + 1
        if count < len(rows):
            self._take_again(rows[:count], marks)
        over[:count] = is_over[:count]
        places = np.flatnonzero(is_near[:count])
        if places.size:
            self.last_near = self.events + int(places[-1])
        if self.status == "CALM":
            self.watched += count
        self.events += count
        if found is not None:
            changes.append(self._changed(excess[found]))
        if self.status == "OPEN" and self._is_repaired(rows[:count], excess[:count], marks):
            self.status = "CALM"
            changes.append(Change(self.status, self.events - 1))
        return count

    def _take_again(self, rows: Numbers, marks: Sequence[Mark]) -> None:
        for block, mark in zip(self.blocks, marks, strict=True):
            block.rewind(mark)
        self._taken(rows)

    def _is_repaired(self, rows: Numbers, excess: Numbers, marks: Sequence[Mark]) -> bool:
        """Return whether an episode is over by memories that begin at its end.

        Blocks keep where these begin: they are led there and back, where it was not the last event.
        """
        place = self.repair.noted(excess, self.events - len(rows))
        if place is None:
            return self.repair.left(self.events) == 0 and self.repair.is_over(
                self.blocks, self.events - 1
            )
        if place + 1 < len(rows):
            self._take_again(rows[: place + 1], marks)
        self.repair.keep(self.blocks)
        if place + 1 < len(rows):
            self._taken(rows[place + 1 :])
        return False

    def _learn(self, rows: Numbers, changes: list[Change]) -> int:
        left = [block.left() for block in self.blocks if block.learned is None]
        rows = rows[: min(left)]
        self._taken(rows)
        self.events += len(rows)
        known = [block.learned for block in self.blocks if block.learned is not None]
        if len(known) == len(self.blocks):
            self.status = "CALM" if any(each.holds for each in known) else "NOT_STATIONARY"
            worst = max(each.over for each in known)
            silent = tuple(
                part.start + sensor
                for each, part in zip(known, self._slices, strict=True)
                for sensor in each.silent()
            )
            changes.append(Change(self.status, self.events - 1, excess=worst, silent=silent))
        return len(rows)

    def _taken(self, rows: Numbers) -> Numbers:
        """Let all blocks take rows; return (n, all channels) statistics, 1 at their limits."""
        parts = []
        for block, part in zip(self.blocks, self._slices, strict=True):
            out = block.take(rows[:, part])
            parts.append((out - block.levels) / (block.limits - block.levels))
        return np.concatenate(parts, axis=1)

    def _first_change(self, is_over: NDArray[np.bool_], is_near: NDArray[np.bool_]) -> int | None:
        if self.status == "CALM":
            return int(is_over.argmax()) if is_over.any() else None
        numbers = np.arange(self.events, self.events + len(is_near))
        last = np.maximum.accumulate(np.where(is_near, numbers, self.last_near))
        is_quiet = numbers - last >= self._quiet
        return int(is_quiet.argmax()) if is_quiet.any() else None

    def _changed(self, excess: Numbers) -> Change:
        """Open or close an episode at the event just taken."""
        event = self.events - 1
        if self.status == "OPEN":
            self.status = "CALM"
            self.repair.forget(self.blocks)
            return Change(self.status, event)
        self.status = "OPEN"
        self.episodes += 1
        most = int(excess.argmax())
        place, channel = divmod(most, len(self.blocks[0].calm))
        block = self.blocks[place]
        k, kind = divmod(channel, len(KINDS))
        return Change(
            self.status,
            event,
            started=event - (block.rows - 1 - int(block.calm[channel])) + 1,
            statistic=KINDS[kind],
            memory=block.how.memory[k],
            excess=float(excess[most]),
            ranked=self.ranking(channel),
        )

    def unwatched(self) -> int:
        """Return how many sensors are not watched: they are learned, say nothing, or wander."""
        return sum(block.unwatched() for block in self.blocks)

    def ranking(self, channel: int) -> tuple[Ranked, ...]:
        """Return all sensors that say something by the evidence of one channel, most first."""
        found = [
            Ranked(part.start + sensor, evidence, effect)
            for block, part in zip(self.blocks, self._slices, strict=True)
            for sensor, evidence, effect in block.evidence(channel)
        ]
        return tuple(sorted(found, key=lambda each: (-each.evidence, each.sensor)))
