"""Trees laid out one beside the other, so that a case is followed through all of them at once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tidemill.attribution.tree_flat import ALWAYS, NOBODY
from tidemill.attribution.tree_game import Rows, product

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidemill.attribution.tree_flat import Flat
    from tidemill.attribution.tree_game import Floats, Indices


class Stack:
    """The rows of several trees in one array.

    Nodes are numbered through. Two factors more stand at the end of every array of theirs, where
    `ALWAYS` and `JOINED` point to as negative indices.

    Args:
        flats: Their `shares` and `columns` become views of the stack's: a refresh is seen here.
        players: By feature that a split asks for; a feature without a player is an error.
        count: How many players there are.
        gates: The players whose numbers leaves add, if any.
    """

    def __init__(
        self, flats: Sequence[Flat], players: Mapping[str, int], count: int, gates: Sequence[int]
    ) -> None:
        self.flats = flats
        self.count = count
        self.paths = [flat.find_paths(players, gates) for flat in flats]
        self.starts = _starts([len(flat.nodes) for flat in flats])
        self._sizes = np.array([paths.first.shape[1] for paths in self.paths], dtype=np.intp)
        self.row_starts = _starts(self._sizes.tolist())
        self._columns: dict[Any, Floats] = {}  # Any: labels
        self._away: Floats | None = None
        self._covers: Floats | None = None
        self._depth = max((paths.first.shape[0] for paths in self.paths), default=0)
        self._first = self._wide([paths.first for paths in self.paths], ALWAYS)
        self.players = self._wide([paths.players for paths in self.paths], NOBODY)
        self.players[self.players == NOBODY] = count
        for number, start in enumerate(self.starts[:-1]):
            own = self._first[:, self.row_starts[number] : self.row_starts[number + 1]]
            own[own >= 0] += start
        self._again = self._levels()
        self._share()
        self._ask()

    def _wide(self, parts: Sequence[Indices], rest: int) -> Indices:
        made = np.full((self._depth, self.row_starts[-1]), rest, dtype=np.intp)
        for start, part in zip(self.row_starts, parts, strict=False):
            made[: part.shape[0], start : start + part.shape[1]] = part
        return made

    def _levels(self) -> list[tuple[Indices, Indices]]:
        """Return by level where further factors go, and the nodes they are of."""
        again = np.concatenate([np.zeros((0, 4), np.intp), *[paths.again for paths in self.paths]])
        sizes = [len(paths.again) for paths in self.paths]
        places = again[:, 1] * self.row_starts[-1] + again[:, 2]
        places += np.repeat(np.array(self.row_starts[:-1], dtype=np.intp), sizes)
        starts = np.repeat(np.array(self.starts[:-1], dtype=np.intp), sizes)
        nodes = again[:, 3] + np.where(again[:, 3] < 0, 0, starts)
        levels = [again[:, 0] == level for level in range(max(again[:, 0], default=-1) + 1)]
        return [(places[level], nodes[level]) for level in levels]

    def _share(self) -> None:
        self._shares = np.ones(self.starts[-1] + 2)
        self._shares[-1] = 0.0
        for start, flat in zip(self.starts, self.flats, strict=False):
            own = self._shares[start : start + len(flat.nodes)]
            own[:] = flat.shares
            flat.shares = own

    def _ask(self) -> None:
        """Collect what the splits of all trees ask for."""
        splits = [flat.find_splits() for flat in self.flats]
        self._asking: dict[str, list[tuple[int, int]]] = {}
        for tree, own in enumerate(splits):
            for feature, numbers in own.asking.items():
                self._asking.setdefault(feature, []).extend((tree, number) for number in numbers)
        self._others = [(tree, number) for tree, own in enumerate(splits) for number in own.others]
        place = {feature: number for number, feature in enumerate(self._asking)}
        size = self.starts[-1] + 2
        self._column = np.zeros(size, dtype=np.intp)
        self._threshold = np.full(size, np.inf)
        self._is_first = np.ones(size, dtype=np.bool_)
        for start, end, own in zip(self.starts, self.starts[1:], splits, strict=False):
            places = np.array([place[feature] for feature in own.asking] or [0], dtype=np.intp)
            self._column[start:end] = places[own.column]
            self._threshold[start:end] = own.threshold
            self._is_first[start:end] = own.is_first

    def follow(self, z: Mapping[str, Any]) -> tuple[Floats, list[tuple[int, int]]]:  # Any: values
        """Return which nodes a case goes to from their parents, 1 or 0, and where it was lost.

        It is lost at a split that asks for a feature which it lacks, or for a category that the
        split does not know: it goes to the most common child there.
        """
        lost: list[tuple[int, int]] = []
        values = np.zeros(len(self._asking) or 1)
        for column, (feature, splits) in enumerate(self._asking.items()):
            if feature in z:
                values[column] = z[feature]
            else:
                lost += splits
        goes = ((values[self._column] <= self._threshold) == self._is_first).astype(np.float64)
        goes[-2:] = 1.0
        for tree, number in lost:
            flat = self.flats[tree]
            self._turn(goes, (tree, number), flat.reading.common(flat, number))
        for tree, number in self._others:
            flat = self.flats[tree]
            try:
                turn = flat.nodes[number].branch_no(z)
            except KeyError:
                turn = flat.reading.common(flat, number)
                lost.append((tree, number))
            self._turn(goes, (tree, number), turn)
        return goes, lost

    def _turn(self, goes: Floats, split: tuple[int, int], turn: int) -> None:
        start = self.starts[split[0]]
        for number, kid in enumerate(self.flats[split[0]].kids[split[1]]):
            goes[start + kid] = float(number == turn)

    def rows(self, goes: Floats) -> Rows:
        """Return the game: each row's factors with and without each player."""
        if self._away is None:
            self._away = self._spread(self._shares)
            self._covers = product(self._away)
        return Rows(self._spread(goes), self._away, self.players, self.count)

    def _spread(self, by_node: Floats) -> Floats:
        made = by_node[self._first]
        flat = made.ravel()
        for places, nodes in self._again:
            flat[places] *= by_node[nodes]
        return made

    @property
    def covers(self) -> Floats:
        """The factors of each row without any player; after `rows`."""
        assert self._covers is not None
        return self._covers

    def seen(self, lost: Sequence[tuple[int, int]]) -> Sequence[Flat]:
        """Return the trees as a case sees them that was lost somewhere.

        What answers beside the leaves of an adaptive tree answers twice if the case was lost just
        above: River goes through such a node twice.
        """
        seen = list(self.flats)
        for tree in {tree for tree, _ in lost if self.flats[tree].has_asides}:
            flat = self.flats[tree]
            kids = [flat.kids[n][flat.reading.common(flat, n)] for t, n in lost if t == tree]
            seen[tree] = replace(flat, twice=frozenset(kids), columns={})
        return seen

    def values(self, label: Any, seen: Sequence[Flat]) -> Floats:  # Any: a label
        """Return what each leaf's row is worth; 0 for the rows of numbers that leaves add."""
        if label not in self._columns:
            made = self._columns[label] = np.zeros(self.row_starts[-1])
            for start, flat in zip(self.row_starts, self.flats, strict=False):
                own = made[start : start + len(flat.leaves)]
                own[:] = flat.column(label)
                flat.columns[label] = own
        values = self._columns[label]
        for start, flat, usual in zip(self.row_starts, seen, self.flats, strict=False):
            if flat is not usual:
                values = values.copy()
                values[start : start + len(flat.leaves)] = flat.column(label)
        return values

    def renew(self) -> None:
        """Read what was put off."""
        stale = [flat for flat in self.flats if flat.is_stale]
        for flat in stale:
            flat.weigh()
        if stale:
            self._columns.clear()
            self._away = None

    def reweigh(self) -> None:
        """Take note that weights have changed."""
        self._away = None

    def weighted(self, values: Floats, weights: Sequence[float]) -> Floats:
        """Return the values of the rows, each times the weight of its tree."""
        if len(weights) == 1:
            return values * weights[0]
        return values * np.repeat(np.array(weights, dtype=np.float64), self._sizes)

    def gated(self) -> list[tuple[int, int, int, int]]:
        """Return the rows of numbers that leaves add: row, tree, leaf and player."""
        return [
            (self.row_starts[tree] + len(self.flats[tree].leaves) + n, tree, leaf, player)
            for tree, paths in enumerate(self.paths)
            for n, (leaf, player) in enumerate(paths.gates)
        ]


def _starts(sizes: Sequence[int]) -> list[int]:
    """Return where parts of these sizes start, and where the last ends."""
    starts = [0]
    for size in sizes:
        starts.append(starts[-1] + size)
    return starts
