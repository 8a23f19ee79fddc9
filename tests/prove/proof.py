"""What a proof is, and how it is run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chaos.figures import Figures
    from chaos.tables import Found


@dataclass(frozen=True, slots=True)
class Context:
    """How a proof is run; `is_quick` makes it small, to try the harness."""

    folder: Path
    seed: int
    is_quick: bool
    say: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Proof:
    """One proof: what it shows, in a sentence, and how."""

    name: str
    title: str
    shows: str
    run: Callable[[Context], Figures | Found]
