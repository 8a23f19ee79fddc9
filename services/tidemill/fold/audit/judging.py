"""One entry folded again, held byte for byte against what stands in the topics."""

from __future__ import annotations

from difflib import SequenceMatcher
from itertools import zip_longest
from typing import TYPE_CHECKING

from tidemill.contracts.codec import codec
from tidemill.contracts.stream import ASSET_TYPE
from tidemill.contracts.topics import EVENTS, LEDGER, PREDICTIONS, UPDATES
from tidemill.fold.arithmetic import arithmetic_digest, code_digest
from tidemill.fold.audit.findings import Finding, Kind, Place
from tidemill.fold.audit.lineages import said
from tidemill.fold.audit.outputs import dead_source, prediction_source
from tidemill.fold.entry_marks import MARKED
from tidemill.fold.ledger import Digest
from tidemill.kernel.deadletters import SUFFIX
from tidemill.kernel.errors import InvalidRecordError
from tidemill.kernel.records import Message, Position

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from tidemill.fold.audit.exam import Examined
    from tidemill.fold.ledger import Entry
    from tidemill.fold.replica import Step
    from tidemill.fold.tracked import Tracked
    from tidemill.kernel.records import Emit
    from tidemill.models.state import ModelKey

_BYTES = "the record must be what the fold of the same inputs gives, byte for byte"


def is_ours(entry: Entry) -> bool:
    """Return whether an entry was computed as this machine and release compute."""
    return entry.arithmetic == arithmetic_digest() and entry.code == code_digest()


def given_away(
    examined: Examined, step: Step, changed: Mapping[ModelKey, Tracked]
) -> set[Position]:
    """Return inputs that the re-fold shows to be altered; only where outputs are as emitted.

    The same model, by its lineage, that now answers an event otherwise was shown another event.
    That holds up to the first such event of an asset: those after it are judged by another recent
    past.
    """
    folded = {source: emit for emit in step.emits if (source := _answers(emit)) is not None}
    stored = {
        (_input_of(topic), each.source): each.message
        for topic, some in examined.answers.by_topic.items()
        if topic not in MARKED
        for each in some
    }
    accused = set()
    disturbed: set[tuple[str, str]] = set()
    types = {(m.stream, m.asset) for m in examined.entry.models if m.asset == ASSET_TYPE}
    for message in step.inputs:
        again = folded.get((message.topic, message.offset))
        before = stored.get((message.topic, message.offset))
        if again is None and before is not None and step.is_partial:
            continue
        if _differs(again, before, disturbed):
            accused.add(message.position)
            disturbed |= {about for each in (again, before) if (about := _about(each)) is not None}
            disturbed |= {(stream, ASSET_TYPE) for stream, _ in disturbed} & types
    return accused | _newcomers(examined, step, changed)


def _about(answer: Emit | Message | None) -> tuple[str, str] | None:
    """Return stream and asset of a prediction."""
    if answer is None or answer.topic != PREDICTIONS:
        return None
    prediction = codec("Prediction").decode(answer.value)
    return prediction["stream"], prediction["asset"]


def _differs(
    again: Emit | None, before: Message | None, disturbed: Collection[tuple[str, str]]
) -> bool:
    """Return whether two answers to one record show that it was another record.

    Answers about a disturbed asset do not: its recent past is another one; nor do those about an
    asset that may start as its disturbed type.
    """
    if again is None or before is None:
        return again is not None or before is not None
    if again.topic != before.topic:
        return True
    if again.value == before.value:
        return False
    if again.topic != PREDICTIONS:
        return True
    one, other = codec("Prediction").decode(again.value), codec("Prediction").decode(before.value)
    about = _about(before)
    if about in disturbed or (about is not None and (about[0], ASSET_TYPE) in disturbed):
        return False
    return about != _about(again) or said(one) == said(other)


def _newcomers(
    examined: Examined, step: Step, changed: Mapping[ModelKey, Tracked]
) -> set[Position]:
    """Return updates that changed a model which, the ledger says, did not change."""
    expected = {(m.stream, m.asset) for m in examined.entry.models}
    surplus = {(key.stream, key.asset) for key in changed} - expected
    by_asset: dict[tuple[str, str], list[Position]] = {}
    for message in step.inputs:
        if message.topic != UPDATES:
            continue
        try:
            update = codec("Update").decode(message.value)
        except InvalidRecordError:
            continue
        by_asset.setdefault((update["stream"], update["asset"]), []).append(message.position)
    return {some[0] for asset in surplus if len(some := by_asset.get(asset, [])) == 1}


def _answers(emit: Emit) -> tuple[str, int] | None:
    """Return the record that an output answers, if it says one."""
    if emit.topic in MARKED:
        return None
    message = Message(emit.topic, emit.partition, -1, emit.key, emit.value, emit.headers)
    source = prediction_source if emit.topic == PREDICTIONS else dead_source
    offset = source(message)
    return None if offset is None else (_input_of(emit.topic), offset)


def _input_of(topic: str) -> str:
    return EVENTS if topic == PREDICTIONS else topic.removesuffix(SUFFIX)


def emitted_again(examined: Examined, step: Step) -> bool:
    """Return whether the re-fold gave all that was emitted, by the entry's digest."""
    digest = Digest()
    digest.add_emits(step.emits)
    return not step.is_partial and digest.result() == examined.entry.emitted


def compare(examined: Examined, step: Step) -> list[Finding]:
    """Return findings for stored outputs that are not what the fold gives.

    Of a partial re-fold, only what it gave is compared.
    """
    by_topic: dict[str, list[Emit]] = {topic: [] for topic in examined.answers.by_topic}
    for emit in step.emits:
        by_topic.setdefault(emit.topic, []).append(emit)
    findings = []
    for topic, emits in by_topic.items():
        stored = [each.message for each in examined.answers.by_topic.get(topic, ())]
        if step.is_partial and topic in MARKED:
            values = {emit.value for emit in emits}
            stored = [message for message in stored if message.value in values]
        elif step.is_partial:
            wanted = {_answers(emit) for emit in emits}
            some = examined.answers.by_topic.get(topic, ())
            stored = [e.message for e in some if (_input_of(topic), e.source) in wanted]
        findings += _compare_topic(examined.entry, topic, emits, stored)
    return findings


def _compare_topic(
    entry: Entry, topic: str, emits: list[Emit], stored: list[Message]
) -> list[Finding]:
    if len(emits) == len(stored):
        pairs = zip(emits, stored, strict=True)
        return [f for emit, message in pairs if (f := _compare_one(entry, emit, message))]
    findings = []
    matcher = SequenceMatcher(
        None, [e.value for e in emits], [m.value for m in stored], autojunk=False
    )
    for tag, a, a_end, b, b_end in matcher.get_opcodes():
        if tag == "equal":
            continue
        for emit, message in zip_longest(emits[a:a_end], stored[b:b_end]):
            findings.append(_unequal(entry, topic, emit, message))
    return [finding for finding in findings if finding is not None]


def _unequal(
    entry: Entry, topic: str, emit: Emit | None, message: Message | None
) -> Finding | None:
    if emit is not None and message is not None:
        return _compare_one(entry, emit, message)
    if message is not None:
        found = "the fold gives no such record"
        return Finding(Kind.OUTPUT_FOREIGN, Place.of(message), entry.sequence, _BYTES, found)
    source = None if emit is None else _answers(emit)
    found = "there is none" if source is None else f"there is none for {source[0]}@{source[1]}"
    place = Place(topic, entry.partition, None, None)
    return Finding(Kind.OUTPUT_MISSING, place, entry.sequence, _BYTES, found)


def _compare_one(entry: Entry, emit: Emit, message: Message) -> Finding | None:
    found = _first_difference(emit.value or b"", message.value or b"")
    if not found and (emit.value is None) != (message.value is None):
        found = "one of the two has no value"
    if not found and emit.key != message.key:
        found = f"its key is {message.key!r}, not {emit.key!r}"
    if not found and not set(emit.headers) <= set(message.headers):
        missing = [name for name, _ in set(emit.headers) - set(message.headers)]
        found = f"its headers {', '.join(sorted(missing))} are missing or others"
    if not found:
        return None
    return Finding(Kind.OUTPUT_ALTERED, Place.of(message), entry.sequence, _BYTES, found)


def _first_difference(folded: bytes, stored: bytes) -> str:
    if folded == stored:
        return ""
    at = next((n for n, (a, b) in enumerate(zip(folded, stored, strict=False)) if a != b), None)
    if at is None:
        return f"it has {len(stored)} bytes, not {len(folded)}"
    return f"byte {at} is {stored[at]:#04x}, not {folded[at]:#04x}"


def disagreement(examined: Examined, step: Step, states: Mapping[ModelKey, Place]) -> Finding:
    """Return why a fold of unaltered inputs leads elsewhere than the ledger says.

    Args:
        examined: The entry.
        step: The entry folded again.
        states: Where the states came from that the replay began with.
    """
    entry = examined.entry
    place = Place(LEDGER, entry.partition, examined.placed.offset, examined.placed.offset)
    found = "; ".join(step.differences) or "outputs differ"
    if entry.arithmetic != arithmetic_digest():
        must = "the entry was computed with other arithmetic; this machine's must give the same"
        return Finding(Kind.OTHER_ARITHMETIC, place, entry.sequence, must, found)
    if entry.code != code_digest():
        must = "the entry was computed by other code; this release's must give the same"
        return Finding(Kind.OTHER_CODE, place, entry.sequence, must, found)
    for key, where in states.items():
        if any(f"model {key.encode().decode()} " in text for text in step.differences):
            must = f"a fold from this state must lead to ledger entry {entry.sequence}"
            return Finding(Kind.SNAPSHOT_CONTRADICTS, where, entry.sequence, must, found)
    must = "the fold of unaltered inputs must lead to what the ledger says"
    return Finding(Kind.FOLD_DIFFERS, place, entry.sequence, must, found)
