"""The comparison's own checks bite, and its clock reads what a process used."""

from __future__ import annotations

import math
import os
import sys
from typing import TYPE_CHECKING, ClassVar, cast

import pytest

from bench.engines import PEERS, Peer, Run
from bench.environments import read_version
from bench.learner import Learner, write_plant
from bench.measure import Usage, WorkerError, read_resident_mb, run_worker
from bench.peers.job import FEATURES, Job, Prediction, decode_prediction
from bench.report import Report, Sample, build_row, render_table
from bench.stream import ASSETS, build_readings, build_reference, encode_readings
from bench.verify import Verdict, check_copies, check_predictions
from tidemill.contracts.definition import parse_definition
from tidemill.contracts.events import EventReader
from tidemill.contracts.id_lock import LOCK_FILE, PLANT_IDS_START, lock_ids, read_lock
from tidemill.contracts.topics import EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from bench.broker import Broker

COUNT = 60
REFERENCE = build_reference(COUNT, 3)
DEADLINE_S = 300.0
BUSY = "import time\nwhile time.process_time() < 0.3: pass"


def predict_all() -> list[Prediction]:
    job = Job()
    return [decode_prediction(job.process(record.value)) for record in encode_readings(COUNT)]


def verdict_on(predictions: Sequence[Prediction]) -> Verdict:
    return check_predictions(predictions, COUNT, REFERENCE)


def test_the_job_alone_is_complete_in_order_and_equal_to_plain_river() -> None:
    verdict = verdict_on(predict_all())
    assert verdict == Verdict(COUNT, COUNT, COUNT, 0, 3, 0)
    assert verdict.is_right


def test_a_lost_prediction_is_found() -> None:
    assert not verdict_on(predict_all()[:-1]).is_complete


def test_a_doubled_prediction_is_found() -> None:
    predictions = predict_all()
    assert not verdict_on([*predictions, predictions[-1]]).is_complete


def test_a_doubled_prediction_does_not_make_up_for_a_lost_one() -> None:
    predictions = predict_all()
    assert not verdict_on([*predictions[1:], predictions[-1]]).is_complete


def test_predictions_of_one_asset_in_another_order_are_found() -> None:
    predictions = predict_all()
    predictions[5], predictions[5 + len(ASSETS)] = predictions[5 + len(ASSETS)], predictions[5]
    verdict = verdict_on(predictions)
    assert verdict.is_complete
    assert not verdict.is_right


def test_a_difference_in_the_last_bit_is_found() -> None:
    predictions = predict_all()
    second = predictions[len(ASSETS)]
    predictions[len(ASSETS)] = second._replace(value=math.nextafter(second.value, math.inf))
    assert verdict_on(predictions).different == 1


def test_a_missing_value_counts_as_different_from_river() -> None:
    assert verdict_on(predict_all()[1:]).different == 1


def test_a_copy_that_is_not_an_input_is_found() -> None:
    assert check_copies([b"a", b"b"], [b"a", b"b"], 2).is_complete
    assert not check_copies([b"a", b"x"], [b"a", b"b"], 2).is_complete


def test_a_small_input_is_the_beginning_of_a_large_one() -> None:
    assert encode_readings(COUNT)[:20] == encode_readings(20)


def test_the_processor_time_of_a_busy_worker_is_read(tmp_path: Path) -> None:
    usage = run_worker([sys.executable, "-c", BUSY], {}, tmp_path / "log", deadline_s=DEADLINE_S)
    assert 0.3 <= usage.processor_s <= usage.elapsed_s + 0.1


def test_waiting_is_not_processor_time(tmp_path: Path) -> None:
    idle = [sys.executable, "-c", "import threading; threading.Event().wait(0.5)"]
    usage = run_worker(idle, {}, tmp_path / "log", deadline_s=DEADLINE_S)
    # A slow machine needs more of both to start it.
    assert usage.elapsed_s - usage.processor_s >= 0.45


def test_the_memory_of_a_worker_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = bytearray(os.urandom(1 << 20)) * 400
    seen = tmp_path / "seen"
    wait = f"while not os.path.exists({str(seen)!r}): time.sleep(0.01)"
    small = [sys.executable, "-c", f"import os, time\n{wait}"]
    large = [sys.executable, "-c", f"import os, time\nheld = b'x' * (200 << 20)\n{wait}"]
    look, least = read_resident_mb, 1.0

    def looking(pid: int) -> float:
        found = look(pid)
        if found >= least:
            seen.touch()
        return found

    monkeypatch.setattr("bench.measure.read_resident_mb", looking)
    assert 1 <= run_worker(small, {}, tmp_path / "log", deadline_s=DEADLINE_S).resident_mb < 100
    seen.unlink()
    least = 200.0
    assert 200 <= run_worker(large, {}, tmp_path / "log", deadline_s=DEADLINE_S).resident_mb < 300
    assert len(held) == 400 << 20


def test_a_worker_that_fails_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    failing = [sys.executable, "-c", "raise SystemExit('no such topic')"]
    with pytest.raises(WorkerError, match=r"(?s)was 1.*no such topic"):
        run_worker(failing, {}, tmp_path / "log", deadline_s=DEADLINE_S)


def test_a_worker_that_does_not_end_is_killed(tmp_path: Path) -> None:
    endless = [sys.executable, "-c", "import threading; threading.Event().wait()"]
    with pytest.raises(WorkerError, match="must end within"):
        run_worker(endless, {}, tmp_path / "log", deadline_s=0.3)


def test_start_up_is_taken_off_by_the_difference_of_two_inputs() -> None:
    def sample(start_s: float) -> Sample:
        small, large = (
            Usage(start_s + n * 10e-6, start_s + n * 20e-6, 1.0) for n in (1_000, 11_000)
        )
        verdict = Verdict(1, 1, 1, 0, 0, 0)
        return Sample(small, large, (verdict, verdict))

    row = build_row(PEERS[0], [sample(start_s) for start_s in (1.0, 2.5, 1.2)], (1_000, 11_000))
    assert row.us_per_event == pytest.approx(10)
    assert row.events_per_s == pytest.approx(50_000)
    assert row.start_s == pytest.approx(1.2)


def test_one_wrong_run_is_shown_in_the_row_and_the_report(tmp_path: Path) -> None:
    right, wrong = Verdict(5, 5, 5, 0, 0, 0), Verdict(5, 4, 4, 0, 0, 0)
    usage = Usage(1.0, 1.0, 1.0)
    samples = [Sample(usage, usage, (right, wrong)), Sample(usage, usage, (right, right))]
    row = build_row(PEERS[0], samples, (1, 5))
    assert not row.is_right
    assert "4 outputs for 5 events" in render_table([row])
    Report("python -m bench", {"cores": "2"}, [row], []).write(tmp_path)
    assert "4 outputs for 5 events" in (tmp_path / "bench.md").read_text()


def test_topics_of_the_mesh_that_are_there_already_are_refused_and_kept(tmp_path: Path) -> None:
    class Occupied:
        bootstrap = "127.0.0.1:1"
        deleted: ClassVar[list[str]] = []

        def existing_topics(self, names: Iterable[str]) -> set[str]:
            return set(names) & {EVENTS}

        def delete_topics(self, names: Sequence[str]) -> None:
            self.deleted.extend(names)

    broker = Occupied()
    run = Run("tidemill.0.1", cast("Broker", broker), "in", [], REFERENCE, tmp_path)
    with pytest.raises(WorkerError, match=r"found \["):
        Learner().execute(run)
    assert not broker.deleted


def test_every_engine_is_pinned_to_the_same_river_and_avro() -> None:
    peers = [peer for peer in PEERS if isinstance(peer, Peer)]
    assert len(peers) == len(PEERS)
    for package in ("river", "fastavro", "numpy"):
        assert len({read_version(peer.environment, package) for peer in peers}) == 1


def test_the_plant_of_the_learner_reads_the_events_of_the_peers(tmp_path: Path) -> None:
    plant = write_plant(tmp_path / "plant")
    lock = read_lock((plant.parent / "avro" / LOCK_FILE).read_text())
    assert lock == lock_ids({}, lock.values(), PLANT_IDS_START)
    events = EventReader(parse_definition(plant.read_text()), lock)
    event = events.read(encode_readings(1)[0].value)
    assert event.asset == ASSETS[0]
    assert tuple(event.values[name] for name in FEATURES) == tuple(
        next(build_readings(1)).x.values()
    )
