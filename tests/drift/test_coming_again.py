"""Events that come again or far too late say nothing of signals."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from drift.test_questions import CHANGE_AT, shifted, statuses
from drift.watched_plant import event, events, task
from tidemill.testing.laws import check_processor
from tidemill.testing.plants import STEP_US, sample_terms

if TYPE_CHECKING:
    from tidemill.fold.terms import Terms
    from tidemill.kernel.records import Message
    from tidemill.processors.drift.task import DriftTask

LATE_S = 20 * STEP_US / 1e6


def lenient() -> Terms:
    """Return terms by which an event may come so late, and no later."""
    drift = {"run_length": 100, "hold_at_most": 1.0}
    return sample_terms(stream={"drift": drift, "lateness": f"{LATE_S:g}s"})


def doubled(records: list[Message]) -> list[Message]:
    """Return events of which every third is sent again, some events later."""
    rng = random.Random(4)
    found: list[tuple[float, Message]] = []
    for n, record in enumerate(records):
        found.append((n, record))
        if n % 3 == 0:
            found.append((n + rng.choice([0.5, 4.5, 30.5]), record))
    return [m._replace(offset=n) for n, (_, m) in enumerate(sorted(found, key=lambda e: e[0]))]


def known(own: DriftTask) -> tuple[bytes, int, int]:
    """Return what is known of the asset's signals, and how many events that took."""
    (watched,) = own.watching.watched.values()
    features = next(iter(watched.signals.values()))
    return features.state(), watched.allowance.events, watched.allowance.held


def test_events_that_come_again_change_nothing() -> None:
    records = events(CHANGE_AT) + shifted(40)
    once, again = task(), task()
    first = once.process_batch(records)
    second = again.process_batch(doubled(records))
    assert known(again) == known(once)
    assert statuses(second) == statuses(first) == ["OPEN"]


def test_only_so_many_ids_are_remembered() -> None:
    own = task(sample_terms(stream={"duplicates_within": 5}))
    own.process_batch(events(30))
    (watched,) = own.watching.watched.values()
    assert len(watched.ids) == 5
    own.process_batch([event(29, {"vibration": 1.0, "temperature": 2.0, "flow": 3.0})])
    assert watched.allowance.events == 30
    own.process_batch([event(3, {"vibration": 1.0, "temperature": 2.0, "flow": 3.0})])
    assert watched.allowance.events == 31


def test_what_is_later_than_the_stream_allows_is_passed_over() -> None:
    records = events(100)
    x: dict[str, float | None] = {"vibration": 99.0, "temperature": 40.0, "flow": 2.0}
    late = [event(-n, x)._replace(offset=100 + n) for n in range(50)]
    calm, own = task(lenient()), task(lenient())
    calm.process_batch(records)
    own.process_batch(records + late)
    assert known(own) == known(calm)
    just = event(99 - int(LATE_S) + 1, x)._replace(offset=200)
    other = just._replace(value=event(-1, x).value)
    assert own.process_batch([other]) == []
    own.process_batch([_named(just)])
    assert known(own)[1] == known(calm)[1] + 1


def _named(message: Message) -> Message:
    """Return an event under an id of its own: that of the asset's event 99 is taken."""
    value = (message.value or b"").replace(b"e", b"n", 1)
    return message._replace(value=value)


def test_events_that_come_again_or_late_keep_the_laws() -> None:
    records = doubled(events(90) + events(60, start=90, seed=2, shift=6.0))
    late = records[100:130]
    random.Random(1).shuffle(late)
    records = [
        *records[:100],
        *(m._replace(offset=100 + n) for n, m in enumerate(late)),
        *records[130:],
    ]
    check_processor(task, records, max_state_bytes=200_000, repeat=1)
    check_processor(lambda: task(lenient()), records, max_state_bytes=200_000, repeat=1)
