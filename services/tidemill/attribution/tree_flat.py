"""One tree laid out flat: its nodes in order, what they weigh, and the players on each path."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tidemill.attribution.tree_splits import splits_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidemill.attribution.tree_game import Floats, Indices
    from tidemill.attribution.tree_readings import Reading
    from tidemill.attribution.tree_splits import Splits

# In the place of a node: a factor that is 1 always, and one that is 1 only with its player.
ALWAYS, JOINED = -2, -1

# In the place of a player: the slot is empty.
NOBODY = -1


class Paths(NamedTuple):
    """The rows of a tree: one for each leaf, and one for each number that a leaf adds.

    Attributes:
        first: Shape (slots, rows); the child that the way to the leaf goes on to at the first
            split of the slot's player, or `ALWAYS`, or `JOINED`.
        players: The same shape; who stands in the slot, or `NOBODY`.
        again: Shape (further splits, 4): how many of its player's splits come before on the way,
            slot, row, and the child that the way goes on to.
        gates: After the rows of the leaves: leaf and player of each further row.
    """

    first: Indices
    players: Indices
    again: Indices
    gates: tuple[tuple[int, int], ...]


@dataclass(slots=True)
class Flat:
    """A tree's nodes, each before those below it, children in order.

    Attributes:
        kids: The numbers of each node's children.
        above: The number of each node's parent; -1 for the root.
        leaves: The numbers of the nodes where cases stop.
        below: Which leaves are below a node, or it itself.
        asides: What answers beside the leaves below a node, see `Reading.aside`.
        has_asides: Whether there are any.
        weights: What each node weighs; a branch as much as the leaves below it.
        shares: A node's part of its parent's weight; 1 for the root.
        twice: Nodes whose aside answers twice, see `Stack.seen`.
        columns: What the leaves answer, by what was asked for.
        paths: What `find_paths` made.
        asked: What `find_splits` made.
        is_stale: Whether the tree has learned without being read.
    """

    tree: Any  # Any: River's tree
    reading: Reading
    nodes: list[Any] = field(default_factory=list)  # Any: River's nodes
    kids: list[tuple[int, ...]] = field(default_factory=list)
    above: list[int] = field(default_factory=list)
    leaves: list[int] = field(default_factory=list)
    below: list[range] = field(default_factory=list)
    asides: list[Any] = field(default_factory=list)  # Any: as above
    has_asides: bool = False
    weights: list[float] = field(default_factory=list)
    shares: Floats = field(default_factory=lambda: np.ones(0))
    twice: frozenset[int] = frozenset()
    columns: dict[Any, Floats] = field(default_factory=dict)  # Any: labels
    paths: Paths | None = None
    asked: Splits | None = None
    is_stale: bool = False

    @classmethod
    def of(cls, tree: Any, reading: Reading) -> Flat:  # Any: as above
        """Return a tree laid out; without nodes where it has no root yet."""
        flat = cls(tree, reading)
        if tree_root(tree) is not None:
            flat._lay(tree_root(tree), -1)
        flat.has_asides = any(aside is not None for aside in flat.asides)
        flat.weights = [0.0] * len(flat.nodes)
        flat.shares = np.ones(len(flat.nodes))
        flat.weigh()
        return flat

    def weigh(self) -> None:
        """Weigh all nodes, children before their parents; forget what was put off."""
        for number in range(len(self.nodes) - 1, -1, -1):
            self._weigh(number)
        self.columns.clear()
        self.is_stale = False

    def _lay(self, node: Any, above: int) -> int:  # Any: as above
        number, first = len(self.nodes), len(self.leaves)
        children = self.reading.children(node)
        self.nodes.append(node)
        self.above.append(above)
        self.asides.append(self.reading.aside(node))
        self.kids.append(())
        self.below.append(range(0))
        if not children:
            self.leaves.append(number)
        self.kids[number] = tuple([self._lay(child, number) for child in children])
        self.below[number] = range(first, len(self.leaves))
        return number

    def _weigh(self, number: int) -> None:
        """Weigh a node whose children are weighed; what weighs nothing is shared out evenly.

        The sum is River's, which compares such weights where a feature is missing.
        """
        kids = self.kids[number]
        if not kids:
            self.weights[number] = self.reading.weight(self.nodes[number])
            return
        weight = self.weights[number] = sum([self.weights[kid] for kid in kids])
        for kid in kids:
            self.shares[kid] = self.weights[kid] / weight if weight > 0.0 else 1.0 / len(kids)

    def refresh(self, z: Mapping[str, Any]) -> range | None:  # Any: numbers and texts
        """Weigh anew the nodes on a case's way; return as `Reading.learned`."""
        if not self.nodes or tree_root(self.tree) is not self.nodes[0]:
            return None
        number, changed = 0, range(0)
        while kids := self.kids[number]:
            node, aside = self.nodes[number], self.asides[number]
            if len(node.children) != len(kids) or self.reading.aside(node) is not aside:
                return None
            if aside is not None and not changed:
                changed = self.below[number]
            turn = self.turn(number, z)
            number = kids[turn]
            if node.children[turn] is not self.nodes[number]:
                return None
        changed = changed or self.below[number]
        while number >= 0:
            self._weigh(number)
            number = self.above[number]
        return changed

    def turn(self, number: int, z: Mapping[str, Any]) -> int:  # Any: as above
        """Return which child of a node a case goes to."""
        try:
            turn: int = self.nodes[number].branch_no(z)
        except KeyError:
            return self.reading.common(self, number)
        return turn

    def way(self, leaf: int) -> list[int]:
        """Return the numbers of the nodes from the root to a leaf."""
        number = self.leaves[leaf]
        way = []
        while number >= 0:
            way.append(number)
            number = self.above[number]
        return way[::-1]

    def beside(self, leaf: int) -> list[Any]:  # Any: River's leaves
        """Return what answers beside a leaf, in River's order."""
        if not self.has_asides:
            return []
        way = [number for number in self.way(leaf) if self.asides[number] is not None]
        return [self.asides[number] for number in way for _ in range(1 + (number in self.twice))]

    def speakers(self, leaf: int) -> list[Any]:  # Any: as above
        """Return the nodes whose answers are mixed into one where a case stops at a leaf."""
        return [*self.beside(leaf), self.nodes[self.leaves[leaf]]]

    def find_paths(self, player_of: Mapping[str, int], gates: Sequence[int]) -> Paths:
        """Return the rows of the tree, found once.

        Args:
            player_of: The player of each feature that a split asks for.
            gates: The players whose numbers leaves may add.
        """
        if self.paths is None:
            rows = self._slots(player_of)
            pairs = [(leaf, player) for leaf in range(len(rows)) for player in gates]
            rows += [_joined(rows[leaf], player) for leaf, player in pairs]
            self.paths = _paths(rows, pairs)
        return self.paths

    def column(self, label: Any) -> Floats:  # Any: a label
        """Return what the leaves answer, found once."""
        if label not in self.columns:
            answers = self.reading.answers(self, label, range(len(self.leaves)))
            self.columns[label] = np.array(answers, dtype=np.float64)
        return self.columns[label]

    def answer(self, leaves: range) -> None:
        """Ask some leaves anew."""
        for label, column in self.columns.items():
            column[leaves.start : leaves.stop] = self.reading.answers(self, label, leaves)

    def find_splits(self) -> Splits:
        """Return what the splits of the tree ask for, found once."""
        if self.asked is None:
            self.asked = splits_of(self)
        return self.asked

    def _slots(self, player_of: Mapping[str, int]) -> list[dict[int, tuple[int, ...]]]:
        """Return, for each leaf by player, the nodes that its splits on the way lead on to."""
        rows: list[dict[int, tuple[int, ...]]] = []
        ways: list[dict[int, tuple[int, ...]]] = [{}] * len(self.nodes)
        for number, kids in enumerate(self.kids):
            if not kids:
                rows.append(ways[number])
                continue
            player = player_of[self.nodes[number].feature]
            before = ways[number].get(player, ())
            for kid in kids:
                ways[kid] = {**ways[number], player: (*before, kid)}
        return rows


def _paths(rows: Sequence[Mapping[int, tuple[int, ...]]], pairs: list[tuple[int, int]]) -> Paths:
    depth = max((len(row) for row in rows), default=0)
    first, players = [], []
    again: list[tuple[int, int, int, int]] = []
    for row, entries in enumerate(rows):
        rest = depth - len(entries)
        first.append([nodes[0] for nodes in entries.values()] + [ALWAYS] * rest)
        players.append([*entries, *[NOBODY] * rest])
        for slot, nodes in enumerate(entries.values()):
            if len(nodes) > 1:
                again += [(n, slot, row, node) for n, node in enumerate(nodes[1:])]
    return Paths(
        _upright(first, depth),
        _upright(players, depth),
        np.array(again, dtype=np.intp).reshape(len(again), 4),
        tuple(pairs),
    )


def _upright(rows: Sequence[Sequence[int]], depth: int) -> Indices:
    """Return rows as columns."""
    return np.array(rows, dtype=np.intp).reshape(len(rows), depth).T


def _joined(slots: Mapping[int, tuple[int, ...]], player: int) -> dict[int, tuple[int, ...]]:
    return {**slots, player: (*slots.get(player, ()), JOINED)}


def tree_root(tree: Any) -> Any:  # Any: River's tree and its root
    """Return the root; half-space trees are roots."""
    return getattr(tree, "_root", tree)
