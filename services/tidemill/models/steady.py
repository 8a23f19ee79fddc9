"""A tree over nominal features that decides alike in every process."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from river.tree import HoeffdingTreeClassifier

if TYPE_CHECKING:
    from collections.abc import Mapping


class SteadyTreeClassifier(HoeffdingTreeClassifier):
    """River's tree, with categories and classes in order whenever it looks for a split.

    River tries categories in the order of a set, which differs from process to process and after a
    restore, and sums over classes in the order in which it met them, be it only in a prediction.
    Of splits that are equal but for rounding the first wins: without order, by chance.
    """

    def _attempt_to_split(self, leaf: Any, *where: Any, **more: Any) -> None:  # Any: River's
        nominal = [s for s in leaf.splitters.values() if hasattr(s, "_att_values")]
        for splitter in nominal:
            known = splitter._att_dist_per_class
            found = {label: known[label] for label in sorted(known) if known[label]}
            splitter._att_dist_per_class = defaultdict(dict, found)
            splitter._att_values = sorted(splitter._att_values)
        super()._attempt_to_split(leaf, *where, **more)
        for splitter in nominal:
            splitter._att_values = set(splitter._att_values)


STEADY: Mapping[Any, Any] = {HoeffdingTreeClassifier: SteadyTreeClassifier}  # Any: as above
