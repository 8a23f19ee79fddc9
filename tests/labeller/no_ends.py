"""Where topics end that nobody else writes to: everything is read."""

from __future__ import annotations


class NoEnds:
    """Topics in which there is nothing that is not read."""

    def written(self) -> tuple[int, int]:
        """Return where updates and dead letters end."""
        return 0, 0

    def labels(self) -> int:
        """Return the offset behind the last label."""
        return 0

    def events(self) -> int:
        """Return the offset behind the last event."""
        return 0
