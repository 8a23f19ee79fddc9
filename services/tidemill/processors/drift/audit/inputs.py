"""Which input is another than it was: narrowed by the chains of assets, and a bit flipped back."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from tidemill.contracts.topics import UPDATES
from tidemill.fold.audit.findings import Finding, Kind, Place
from tidemill.fold.audit.flips import flipped_input
from tidemill.models.state import ModelKey
from tidemill.processors.drift.plans import plans_of
from tidemill.processors.drift.reading import Reader
from tidemill.processors.drift.watching import NAME

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidemill.fold.audit.applied import Applied
    from tidemill.fold.ledger import Entry
    from tidemill.fold.terms import Terms
    from tidemill.kernel.records import Message

MUST = "the values applied must have the digest that the entry carries"


def altered_inputs(
    entry: Entry, applied: Applied, before: Mapping[ModelKey, bytes], terms: Terms | None
) -> list[Finding]:
    """Return the findings for the inputs of an entry whose digest does not agree.

    Args:
        entry: The entry, unaltered.
        applied: Its inputs, all there, of which one at least is altered.
        before: Lineages of assets before the entry, as far as known.
        terms: Those in force; None where they are not known.
    """
    everything = [message for run in applied.runs for message in run]
    suspects = everything
    if terms is not None:
        cleared = _cleared(entry, everything, before, terms)
        suspects = [m for m in everything if m.position not in cleared] or everything
    flip = flipped_input([run for run in applied.runs if run], entry.inputs, suspects)
    if flip is not None:
        found = f"it is altered: {flip}"
        return [Finding(Kind.INPUT_ALTERED, Place.of(flip.message), entry.sequence, MUST, found)]
    place, *also = Place.spanning(suspects)
    count = len(suspects)
    found = "it is altered" if count == 1 else f"one of these {count} is altered"
    return [Finding(Kind.INPUT_ALTERED, place, entry.sequence, MUST, found, tuple(also))]


def _cleared(
    entry: Entry,
    messages: Sequence[Message],
    before: Mapping[ModelKey, bytes],
    terms: Terms,
) -> set[object]:
    """Return the positions of records whose bytes are in a chain that agrees."""
    reader = Reader(terms.definition, terms.schemas, plans_of(terms.definition))
    chains: dict[ModelKey, list[Message]] = {}
    for message in messages:
        found = reader.read(message, 0)
        if found is None:
            continue
        key = ModelKey(found[0], found[1], NAME)
        if message.topic != UPDATES or key in before or key in chains:
            chains.setdefault(key, []).append(message)
    cleared: set[object] = set()
    for changed in entry.models:
        key = ModelKey(changed.stream, changed.asset, changed.model)
        lineage = before.get(key, b"")
        for message in chains.get(key, ()):
            lineage = hashlib.sha256(lineage + (message.value or b"")).digest()
        if lineage == changed.lineage:
            cleared.update(message.position for message in chains.get(key, ()))
    return cleared
