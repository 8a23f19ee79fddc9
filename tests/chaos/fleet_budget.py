"""A bound: the memory that an operator is told to give a worker, held against a fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from chaos.balance import BrokenPromiseError
from chaos.data import LOOP_FEATURES, origin
from chaos.families import FAMILIES, FLOW
from chaos.figures import mebibytes
from chaos.fleet import BATCH, PARTITIONS, draw_input, most_unsaved, run_fleet, run_river
from chaos.tables import Found, Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from chaos.families import Family
    from chaos.fleet import Run, Size

MEBIBYTE, KIBIBYTE = 1 << 20, 1 << 10

# As docs/operations.md has them.
BUFFERS = 32 * MEBIBYTE
KNOWN = 1 * KIBIBYTE
STARTED = 12 * KIBIBYTE
LIVE = 8  # times the saved state

LINE, TREE = "linear_model.LinearRegression", "tree.HoeffdingTreeRegressor"


class Budget(NamedTuple):
    """Resident memory that a worker may take, in bytes.

    Attributes:
        first: What it takes without any model.
        models: That it has, in memory or not.
        saved: Bytes of a model's saved state.
    """

    first: int
    models: int
    saved: int

    def serving(self, live: int) -> int:
        """Return the budget with so many models in memory."""
        return self.first + BUFFERS + KNOWN * self.models + LIVE * self.saved * live

    def started(self, live: int) -> int:
        """Return the budget of a life that began with all its models."""
        return self.serving(live) + (STARTED - KNOWN) * self.models


class Case(NamedTuple):
    """One run: of what, and with how many models in memory."""

    family: Family
    limit: int | None
    run: Run

    @property
    def title(self) -> str:
        """What is told apart."""
        limit = "without" if self.limit is None else f"{self.limit:,}"
        return f"`{self.family.cls}`, `--live-models` {limit}"


class Held(NamedTuple):
    """Memory of a case against its budgets, in bytes: found, and allowed."""

    in_shifts: tuple[int, int]
    in_round: tuple[int, int]
    back: tuple[int, int]


def prove_fleet(folder: Path, size: Size, limits: Mapping[str, Sequence[int | None]]) -> Found:
    """Let one worker serve a fleet, class by class.

    Args:
        limits: Of the models in memory, a run for each, by class; None leaves it to the worker.

    Raises:
        BrokenPromiseError: It takes more memory than its budget, or a prediction is not River's.
    """
    cases: list[Case] = []
    rows = draw_input(size).all
    for cls in limits:
        family = next(f for f in FAMILIES if (f.sheet, f.cls) == (FLOW, cls))
        said = run_river(family, rows)
        for limit in limits[cls]:
            own = folder / f"{len(cases)}"
            cases.append(Case(family, limit, run_fleet(own, family, size, limit=limit, said=said)))
    held = [hold(case, size) for case in cases]
    unsaved = _unsaved(size)
    figures = {
        "fleet": f"{size.assets:,} assets on one worker, {PARTITIONS} partitions, one model each; "
        f"{len(rows):,} events of {len(LOOP_FEATURES)} features, {origin()}",
        "shifts": f"{size.busy} assets at a time, {size.each} events each, then the next; "
        f"at most {unsaved[0]:,} assets with unsaved changes",
        "round": "every asset once, in a drawn order, so that most models have to come back; "
        f"at most {unsaved[1]:,} assets with unsaved changes",
        "saved": f"`--snapshot-every` {size.snapshot_every}, `--batch` {BATCH}",
        "budget": "resident memory without models + "
        f"{mebibytes(BUFFERS)} + {KNOWN} bytes a model + {LIVE} x the saved state "
        "of each model in memory, which are `--live-models` or those with unsaved changes, "
        f"whichever is more; after a start {STARTED} bytes a model instead of {KNOWN}",
        "answers of models compared": f"{sum(case.run.answers for case in cases):,}, all equal to "
        "plain River in every bit, those of models that had rested too",
    }
    return Found(figures, [_memory_table(cases, held), _speed_table(cases)])


def _unsaved(size: Size) -> tuple[int, int]:
    """Return how many assets may have unsaved changes: in shifts, and at any time."""
    drawn, lag = draw_input(size), size.snapshot_every + BATCH
    return most_unsaved(drawn.shifts, lag), most_unsaved(drawn.all, lag)


def hold(case: Case, size: Size) -> Held:
    """Hold the memory of a run against its budget.

    Raises:
        BrokenPromiseError: It took more.
    """
    run, limit = case.run, size.assets if case.limit is None else case.limit
    in_shifts, in_round = (min(size.assets, max(limit, n)) for n in _unsaved(size))
    budget = Budget(run.first, size.assets, run.saved)
    held = Held(
        (run.in_shifts, budget.serving(in_shifts)),
        (run.in_round, budget.serving(in_round)),
        (run.back, budget.started(in_round)),
    )
    for when, (found, allowed) in zip(Held._fields, held, strict=True):
        if found > allowed:
            msg = (
                f"{case.title}: resident memory {when} must be at most {mebibytes(allowed)}, "
                f"was {mebibytes(found)}"
            )
            raise BrokenPromiseError(msg)
    return held


def _memory_table(cases: Sequence[Case], held: Sequence[Held]) -> Table:
    rows = [
        (
            case.title,
            f"{case.run.saved:,}",
            _whole(case.run.first),
            *(f"{_whole(found)} ({_whole(allowed)})" for found, allowed in each),
        )
        for case, each in zip(cases, held, strict=True)
    ]
    return Table(
        "Resident memory in MiB as the kernel accounts it, the most in each part, and in brackets "
        "what the budget allows.",
        ("", "saved state, bytes", "without models", "shifts", "round", "after kill -9"),
        rows,
    )


def _speed_table(cases: Sequence[Case]) -> Table:
    rows = [
        (
            case.title,
            f"{case.run.rate:,.0f}",
            f"{case.run.shifts_us:,.0f}",
            f"{case.run.round_us:,.0f}",
            ", ".join(f"{seconds:.1f}" for seconds in case.run.back_s),
        )
        for case in cases
    ]
    return Table(
        "Events as the broker, the worker and the readers of this proof manage them on one "
        "machine; processor time is the worker's alone, snapshots and loads included.",
        (
            "",
            "events/s in shifts",
            "processor us an event in shifts",
            "in the round",
            "start after kill -9 to the first new prediction, s",
        ),
        rows,
    )


def _whole(size: int) -> str:
    return f"{size / MEBIBYTE:.0f}"
