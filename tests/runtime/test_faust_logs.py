"""What a worker of the control plane tells: logs, metrics, health."""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING

import pytest

from feedback.stage import Stage, feedback
from tidemill.kernel.deciding import Handled
from tidemill.runtime.faust_logs import LIBRARIES, ControlLogs
from tidemill.runtime.faust_metrics import ControlMetrics
from tidemill.runtime.logs import configure_logs

if TYPE_CHECKING:
    from collections.abc import Iterator


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
def library_logs() -> Iterator[None]:
    """Leave the logs of libraries as they were."""
    before = {name: logging.getLogger(name).handlers for name in LIBRARIES}
    yield
    for name, handlers in before.items():
        logging.getLogger(name).handlers = handlers
        logging.getLogger(name).propagate = True


@pytest.fixture
def out(clock: Clock) -> io.StringIO:
    stream = io.StringIO()
    configure_logs(stream)
    return stream


def lines(out: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_library_that_complains_all_the_time_is_passed_on_now_and_then(
    clock: Clock, out: io.StringIO
) -> None:
    ControlLogs("feedback", "w0", clock=clock)
    for _ in range(50):
        logging.getLogger("aiokafka").warning("unable to connect")
    clock.now += 11.0
    logging.getLogger("aiokafka").warning("still unable")
    logging.getLogger("faust.app").info("worker ready")

    assert [(line["says"], line["unsaid"]) for line in lines(out)] == [
        ("unable to connect", 0),
        ("still unable", 49),
    ]


def test_a_quarantine_is_told_again_where_it_may_not_have_been_and_dead_letters_now_and_then(
    clock: Clock, out: io.StringIO
) -> None:
    logs = ControlLogs("feedback", "w0", clock=clock)
    stage = Stage()
    message = stage.message(feedback("f1", "RIGHT"))
    alarmed = Handled((), b"0|f1", alarm="too many")
    broken = message._replace(value=b"x")
    logs.handled(message, alarmed, 1)
    logs.handled(message, alarmed._replace(is_repeated=True), 1)
    for _ in range(3):
        logs.handled(broken, stage.processor.decide(broken), 1)

    assert [(line["event"], line.get("why"), line.get("count")) for line in lines(out)] == [
        ("quarantined", "too many", None),
        ("quarantined", "too many", None),
        ("dead letters", None, 1),
    ]


def test_metrics_count_what_was_written_once(clock: Clock) -> None:
    metrics = ControlMetrics("feedback", clock=clock)
    stage = Stage()
    message = stage.message(feedback("f1", "CORRECTED", value="jam"))
    handled = stage.processor.decide(message)
    stage.processor.keep(handled)
    broken = stage.message(feedback("f2", "RIGHT"))._replace(value=b"x")
    metrics.handled(message, handled, 1)
    metrics.handled(message, stage.processor.decide(message), 1)
    metrics.handled(broken, stage.processor.decide(broken), 1)
    shown = metrics.exposition().decode()

    for line in (
        'tidemill_feedback_receipts_total{status="ACCEPTED"} 1.0',
        'tidemill_feedback_updates_total{kind="EXAMPLE"} 1.0',
        "tidemill_feedback_repeated_total 1.0",
        "tidemill_feedback_quarantines_total 0.0",
        'tidemill_records_total{topic="operator.feedback"} 3.0',
        'tidemill_dead_letters_total{reason="undecodable",topic="operator.feedback"} 1.0',
    ):
        assert line in shown


def test_it_is_ready_once_every_partition_is_restored(clock: Clock) -> None:
    metrics = ControlMetrics("feedback", clock=clock)
    assert metrics.not_ready() == "no partition is assigned"

    metrics.assigned([0, 1])
    metrics.restored(0, 3, 0.1)
    assert metrics.not_ready() == "partitions [1] are being restored"
    metrics.restored(1, 0, 0.1)
    assert metrics.not_ready() == ""

    metrics.turned(clock.now)
    clock.now += 40.0
    assert metrics.loop_age_s() == 40.0
