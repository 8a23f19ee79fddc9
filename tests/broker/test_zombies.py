"""A worker that stands still while another takes its partitions; a worker asked to end."""

from __future__ import annotations

import os
import signal
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from chaos.balance import strike_balance
from chaos.data import power_rows
from chaos.feeding import Feed
from chaos.inputs import clean_events
from chaos.mesh import Mesh
from chaos.plant import PlantText
from chaos.waiting import await_value, is_less

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.broker, pytest.mark.timeout(1800)]

PARTITIONS = 4
ROWS = 3_000
TAKEN_OVER_WITHIN_S = 300.0
DRAIN_S = 600.0


def test_a_worker_that_stood_still_counts_nothing_twice_when_it_wakes(tmp_path: Path) -> None:
    """Rules 3 and 6: SIGSTOP amid transactions, longer than session and transaction last."""
    events = list(clean_events(islice(power_rows(), ROWS), PARTITIONS))
    third = len(events) // 3
    with Mesh(tmp_path, PlantText(partitions=PARTITIONS), ("--batch", "50")) as mesh:
        sleeper, other = mesh.start("a", "b")
        mesh.await_owners(2)
        feed = Feed(mesh.bootstrap)
        feed.write(events[:third])
        os.kill(sleeper.pid, signal.SIGSTOP)
        feed.write(events[third : 2 * third])
        await_value(
            lambda: other.assigned() == set(range(PARTITIONS)) or None,
            lambda: f"b owns everything, owned {other.assigned()}",
            TAKEN_OVER_WITHIN_S,
        )
        feed.finish()
        mesh.drain(DRAIN_S)
        os.kill(sleeper.pid, signal.SIGCONT)
        mesh.await_owners(2)
        feed = Feed(mesh.bootstrap)
        feed.write(events[2 * third :])
        feed.finish()
        mesh.drain(DRAIN_S)
        mesh.end()

        assert strike_balance(mesh).counts == (len(events), len(events), 0)
        code, document = mesh.audit("replay")
        assert (code, document["differences"]) == (0, 0), document


def test_rule_13_a_worker_asked_to_end_does_so_with_exit_code_0_in_the_midst_of_work(
    tmp_path: Path,
) -> None:
    events = list(clean_events(islice(power_rows(), ROWS), PARTITIONS))
    with Mesh(tmp_path, PlantText(partitions=PARTITIONS), ("--batch", "20")) as mesh:
        (worker,) = mesh.start("a")
        mesh.await_owners(1)
        feed = Feed(mesh.bootstrap)
        feed.write(events)
        feed.finish()
        # Where we are slow and the worker is quick, all is read by now: then it ends idle.
        await_value(lambda: is_less(mesh.lag(), ROWS), lambda: "work begins", DRAIN_S)
        worker.end()  # raises unless the exit code is 0, in time
        mesh.start("a")
        mesh.drain(DRAIN_S)
        mesh.end()
        assert strike_balance(mesh).counts == (len(events), len(events), 0)
