"""Tables of a proof, beside its figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chaos.figures import Figures


class Table(NamedTuple):
    """Rows under a head; `about` says what they are."""

    about: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def lines(self) -> list[str]:
        """Return the table in Markdown."""
        return [
            self.about,
            "",
            _line(self.head),
            _line(["---"] * len(self.head)),
            *map(_line, self.rows),
        ]


class Found(NamedTuple):
    """What a proof measured."""

    figures: Figures
    tables: Sequence[Table] = ()


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
