"""Which events a model was given labels of, and what the last one said: one event, one label."""

from __future__ import annotations

import struct
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

# Events that are remembered, those last labelled: about 20 bytes each of a snapshot.
MOST_LABELLED = 512
_ROW = struct.Struct(">QQii")


class Source(NamedTuple):
    """The feedback that a label comes from.

    Attributes:
        partition: Of the feedback.
        offset: Of the feedback.
        model: Which model it was for; None means all.
    """

    feedback: str
    partition: int
    offset: int
    model: str | None


class Word(NamedTuple):
    """What was said of one event.

    Attributes:
        revision: Of the last outcome that told of it; -1 before the first.
        said: Digest of the label that is learned; 0 where none is.
        level: The highest revision of the plant's own label; -1 where it has none.
        by: Whose feedback the label is; None where it is the plant's.
    """

    revision: int = -1
    said: int = 0
    level: int = -1
    by: Source | None = None


NOTHING_SAID = Word()


class Labels:
    """What was said of the events that were labelled last; bounded."""

    __slots__ = ("_words",)

    def __init__(self) -> None:
        self._words: dict[int, Word] = {}

    def get(self, event_id: str) -> Word | None:
        """Return what was said of an event; None where that is not known (any more)."""
        return self._words.get(digest_of(event_id))

    def put(self, event_id: str, word: Word) -> None:
        """Remember what was said of an event; the one that was labelled longest ago is let go."""
        name, words = digest_of(event_id), self._words
        words.pop(name, None)
        words[name] = word
        if len(words) > MOST_LABELLED:
            del words[next(iter(words))]

    def beside(self, other: Labels | None) -> Iterator[tuple[Word, Word]]:
        """Yield what was said of each event here, and there."""
        theirs = {} if other is None else other._words
        for name, word in self._words.items():
            yield word, theirs.get(name, NOTHING_SAID)

    def learned_as(self, other: Labels | None) -> Labels:
        """Return the same events and outcomes with the labels that another one has learned."""
        found = Labels()
        rows = zip(self._words, self.beside(other), strict=True)
        found._words = {n: mine._replace(said=is_.said, by=is_.by) for n, (mine, is_) in rows}
        return found

    def dump(self) -> tuple[Any, ...]:  # Any: plain values
        """Return plain values that `load` makes the same of."""
        words = self._words.items()
        rows = b"".join(_ROW.pack(n, w.said, w.revision, w.level) for n, w in words)
        return rows, tuple((name, *word.by) for name, word in words if word.by is not None)

    @classmethod
    def load(cls, dumped: tuple[Any, ...]) -> Labels:  # Any: as above
        """Return what was dumped."""
        rows, sources = dumped
        by = {name: Source(*source) for name, *source in sources}
        found = cls()
        for name, said, revision, level in _ROW.iter_unpack(rows):
            found._words[name] = Word(revision, said, level, by.get(name))
        return found


def digest_of(key: float | str) -> int:
    """Return a number that an event's name, or a label as predictions name it, is known by."""
    return int.from_bytes(blake2b(repr(key).encode(), digest_size=8).digest())
