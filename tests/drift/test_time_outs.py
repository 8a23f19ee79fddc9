"""A question that nobody answers: what moved begins anew, what did not stays watched."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from drift.watched_plant import event, task, terms, told
from tidemill.processors.drift.plans import Kind

if TYPE_CHECKING:
    from tidemill.kernel.records import Message

# Long enough that each sensor has a reference of its own.
CALM = 3_000
TIMEOUT = 60


def rows(count: int, start: int, **shifts: float) -> list[Message]:
    """Return events of three sensors that have nothing in common, some shifted, in sd."""
    rng = random.Random(start)
    return [
        event(number, {name: rng.gauss(shifts.get(name, 0.0), 1.0) for name in NAMES})
        for number in range(start, start + count)
    ]


NAMES = ("vibration", "temperature", "flow")


def test_a_time_out_begins_the_moved_sensor_anew_and_leaves_the_others_watched() -> None:
    own = task(terms(run_length=10_000, question_timeout=f"{TIMEOUT}s"))
    own.process_batch(rows(CALM, 0))
    (watched,) = own.watching.watched.values()
    alone = watched.signals[Kind.FEATURE]
    assert all(alone.standing(n).is_watched for n in range(3))

    emits = own.process_batch(rows(TIMEOUT + 20, CALM, vibration=5.0))
    told_of = [(r["kind"], r["signal"], r["status"]) for r in told(emits)]
    assert ("MULTIVARIATE", "", "TIMED_OUT") in told_of
    assert ("FEATURE", "vibration", "CLOSED") in told_of
    standing = {
        name: alone.standing(number) for number, name in enumerate(watched.plan.names[Kind.FEATURE])
    }
    assert standing["vibration"].events < TIMEOUT
    assert standing["flow"].events == standing["temperature"].events == CALM + TIMEOUT + 20

    at_once = own.process_batch(rows(20, CALM + TIMEOUT + 20, vibration=5.0, flow=5.0))
    (opened,) = told(at_once)
    assert (opened["kind"], opened["signal"], opened["status"]) == ("FEATURE", "flow", "OPEN")


def test_an_episode_of_a_kept_sensor_goes_on() -> None:
    own = task(terms(run_length=10_000, question_timeout=f"{TIMEOUT}s"))
    own.process_batch(rows(CALM, 0))
    (watched,) = own.watching.watched.values()
    names = watched.plan.names[Kind.FEATURE]
    flow, vibration = (f"FEATURE|{names.index(name)}" for name in ("flow", "vibration"))
    own.process_batch(rows(TIMEOUT // 2, CALM, vibration=5.0))
    assert vibration in watched.episodes.standing
    watched.episodes.standing[f"{flow}|spread"] = dict(watched.episodes.standing[vibration])

    emits = own.process_batch(rows(TIMEOUT, CALM + TIMEOUT // 2, vibration=5.0))
    assert "TIMED_OUT" in {r["status"] for r in told(emits)}
    assert f"{flow}|spread" in watched.episodes.standing
    assert vibration not in watched.episodes.standing
