"""Each scenario's definition holds, and its simulator is what it says."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from statistics import fmean
from typing import TYPE_CHECKING

import pytest

from cli.command import run
from demo.play import READINGS, happenings, readings, timeline
from tidemill.contracts.events import EventReader
from tidemill.contracts.prediction import Quality
from tidemill.demo.encoding import Encoder
from tidemill.demo.happenings import DAY_US, HOUR_US, LabResult, Reading
from tidemill.demo.mesh import LEARNERS
from tidemill.demo.scenario import DEFAULT, FOLDER, SCENARIOS, scenario_named
from tidemill.demo.simulators import condition, inspection, load, soft_sensor
from tidemill.fold.gate import Gate
from tidemill.fold.plans import plan_problems
from tidemill.kernel.errors import ConfigError, DeadLetterReason, InvalidRecordError

if TYPE_CHECKING:
    from collections.abc import Sequence

DRIFT_AT = timeline(SCENARIOS[DEFAULT]).drift_at


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_files_of_a_scenario_hold(name: str) -> None:
    folder = SCENARIOS[name].folder
    assert run("schemas", "check", "-f", folder / "plant.yaml").code == 0
    (stream,) = SCENARIOS[name].read().definition.streams
    assert stream.name == readings(name, 1)[0].stream
    assert (folder / "README.md").read_text("utf-8").startswith(f"# {name}\n")


def test_every_folder_is_a_scenario() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(SCENARIOS)


def test_an_unknown_scenario_is_named_with_those_that_are_there() -> None:
    with pytest.raises(ConfigError, match=r"inspection.*was 'steel'"):
        scenario_named("steel")


@pytest.mark.parametrize("name", SCENARIOS)
def test_equal_seeds_give_equal_happenings_and_others_give_others(name: str) -> None:
    def text(seed: int) -> str:
        return repr(list(happenings(name, 2_000, seed=seed)))

    assert text(3) == text(3)
    assert text(3) != text(4)


def test_the_default_scenario_sends_what_the_demo_always_sent() -> None:
    scenario = SCENARIOS["pumps"]
    encoder = Encoder(scenario.read())
    digest = hashlib.sha256()
    times = timeline(scenario, 1_000)
    simulator = scenario.simulate(7, times)
    for reading in (next(simulator) for _ in range(3_000)):
        assert isinstance(reading, Reading)
        value = encoder.encode(reading)
        digest.update(reading.event_id.encode() + reading.asset.encode() + value)
        digest.update(repr(reading.truth).encode())

    expected = "924f4b7f9cad3646239bbf1ab9f748d121981d6433d6c984e10854853f613b9c"
    assert (DEFAULT, digest.hexdigest()) == ("pumps", expected)


@pytest.mark.parametrize("name", SCENARIOS)
def test_readings_are_events_of_the_plant_but_for_those_that_are_broken(name: str) -> None:
    plant = SCENARIOS[name].read()
    reader = EventReader(plant.definition, plant.writer_schemas)
    encoder = Encoder(plant)
    broken = 0
    for reading in readings(name, 3_000):
        value = encoder.encode(reading)
        if reading.is_broken:
            broken += 1
            with pytest.raises(InvalidRecordError) as raised:
                reader.read(value)
            assert raised.value.reason == DeadLetterReason.UNDECODABLE
            continue
        event = reader.read(value)
        found = (event.stream.name, event.event_id, event.asset)
        assert found == (reading.stream, reading.event_id, reading.asset)
        assert 0 <= reading.time_us - event.time_us < 1_000_000
    assert 0 < broken < 30


@pytest.mark.parametrize("name", SCENARIOS)
def test_ids_are_unique_and_event_time_never_goes_back(name: str) -> None:
    happened = list(happenings(name))
    ids = [each.event_id for each in happened if isinstance(each, Reading)]
    times = [each.time_us for each in happened]

    assert len(set(ids)) == len(ids)
    assert times == sorted(times)


@pytest.mark.parametrize("name", SCENARIOS)
def test_some_sensors_are_missing_not_finite_or_out_of_range_but_few(name: str) -> None:
    gate = Gate(SCENARIOS[name].read().definition.streams[0].features)
    flags: Counter[Quality] = Counter()
    sound = [each for each in readings(name) if not each.is_broken]
    for reading in sound:
        flags.update(gate.check(reading.record).quality)

    for flag in (Quality.MISSING, Quality.NOT_FINITE, Quality.OUT_OF_RANGE):
        assert 0 < flags[flag] < 0.07 * len(sound)


@pytest.mark.parametrize("name", SCENARIOS)
def test_both_learners_have_assets(name: str) -> None:
    definition = SCENARIOS[name].read().definition
    assets = {reading.asset for reading in readings(name, 200)}
    share = definition.partitions // len(LEARNERS)

    owners = {murmur2(asset.encode()) % definition.partitions // share for asset in assets}
    assert owners == set(range(len(LEARNERS)))


def murmur2(key: bytes) -> int:
    """Return the hash by which Kafka's own producer chooses partitions.

    Source: `Utils.murmur2` of Apache Kafka, made positive as its `Utils.toPositive` does.
    """
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = 0x9747B28C ^ len(key)
    whole = len(key) // 4 * 4
    for at in range(0, whole, 4):
        k = int.from_bytes(key[at : at + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    if rest := key[whole:]:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return (h ^ h >> 15) & 0x7FFFFFFF


def values(
    seen: Sequence[Reading], field: str, asset: str, *, faults: bool = False
) -> list[tuple[int, float]]:
    """Return number and value of a field of one asset's readings; without NaN, missing, broken."""
    found = []
    for reading in seen:
        value = reading.record[field]
        is_number = isinstance(value, float) and math.isfinite(value)
        if reading.asset == asset and is_number and (faults or not reading.is_broken):
            assert isinstance(value, float)
            found.append((int(reading.event_id.partition("-")[2]), value))
    return found


def test_the_laboratory_is_hours_late_and_now_and_then_too_late() -> None:
    sampled: dict[str, int] = {}
    delays = []
    for each in happenings("soft-sensor"):
        if isinstance(each, LabResult):
            delays.append((each.time_us - sampled.pop(each.event_id)) / HOUR_US)
        elif each.is_sampled:
            sampled[each.event_id] = each.time_us

    late = [delay for delay in delays if delay > 24]
    assert len(delays) > 800
    assert 0.005 < len(late) / len(delays) < 0.05
    assert all(2 <= delay <= 4 for delay in delays if delay <= 24)


def test_weaker_catalyst_makes_the_product_more_viscous_after_the_drift_alone() -> None:
    found = defaultdict(list)
    asset_of: dict[str, str] = {}
    for each in happenings("soft-sensor"):
        if isinstance(each, LabResult):
            is_after = int(each.event_id[2:]) >= DRIFT_AT
            found[asset_of[each.event_id], is_after].append(each.value)
        else:
            asset_of[each.event_id] = each.asset

    ratios = {
        asset: fmean(map(float, found[asset, True])) / fmean(map(float, found[asset, False]))
        for asset in soft_sensor.ASSETS
    }
    assert 1.25 < ratios.pop(soft_sensor.DRIFTING) < 1.45
    assert all(0.9 < ratio < 1.1 for ratio in ratios.values())


def test_the_pressure_transmitter_is_stuck_in_its_window_alone() -> None:
    times = timeline(SCENARIOS["soft-sensor"])
    read = values(readings("soft-sensor"), "pressure", soft_sensor.FAULTY)

    stuck = {value for n, value in read if times.is_faulty(n)}
    free = [value for n, value in read if not times.is_faulty(n)]
    assert len(stuck) == 1
    assert len(set(free)) == len(free)


def test_scrap_is_rare_until_a_valve_leaks() -> None:
    parts = [part for part in readings("inspection") if not part.is_broken]
    before: Counter[object] = Counter()
    after: Counter[object] = Counter()
    for part in parts:
        if part.asset == inspection.DRIFTING:
            (after if int(part.event_id[2:]) >= DRIFT_AT else before)[part.truth] += 1

    assert set(before) == {"good", "rework", "scrap"}
    assert 0.01 < before["scrap"] / before.total() < 0.05
    assert after["scrap"] / after.total() > 0.1
    assert all(part.record["verdict"] == part.truth for part in parts)


def test_the_pressure_transducer_reads_nothing_in_its_window_alone() -> None:
    times = timeline(SCENARIOS["inspection"])
    for n, value in values(readings("inspection"), "pressure", inspection.FAULTY):
        assert (value == 0.0) == times.is_faulty(n)


def test_a_worn_bearing_shows_in_the_envelope_and_only_the_truth_says_so() -> None:
    seen = [reading for reading in readings("condition") if not reading.is_broken]
    times = timeline(SCENARIOS["condition"])
    for reading in seen:
        n = int(reading.event_id[2:])
        is_worn = reading.asset == condition.DRIFTING and times.is_drifting(n)
        is_loose = reading.asset == condition.FAULTY and times.is_faulty(n)
        assert reading.truth is (is_worn or is_loose)
        assert "truth" not in reading.record

    envelope = values(seen, "envelope", condition.DRIFTING)[2:]
    before = max(value for n, value in envelope if not times.is_drifting(n))
    late = [value for n, value in envelope if n > DRIFT_AT + condition.WORN_AFTER]
    assert min(late) > 2 * before
    crest = values(seen, "crest", condition.FAULTY)[2:]
    loose = [value for n, value in crest if times.is_faulty(n)]
    assert min(loose) > max(value for n, value in crest if not times.is_faulty(n))


def test_the_ends_of_the_spans_come_first_and_nothing_lies_beyond_them() -> None:
    seen = [each for each in readings("condition") if not each.is_broken]
    for asset in condition.ASSETS:
        velocity = [value for _, value in values(seen, "envelope", asset)]
        assert velocity[:2] == [0.0, 1.0]
        assert 0.0 <= min(velocity) <= max(velocity) <= 1.0


def test_a_furnace_adds_to_the_load_of_its_feeder_alone() -> None:
    planned = {int(e.event_id[2:]): e.record["planned_output"] for e in readings("load")}
    for asset in load.ASSETS:
        by_plan = defaultdict(list)
        for n, value in values(readings("load"), "load", asset):
            if 0 < value < 5_000:
                by_plan[n >= DRIFT_AT, planned[n]].append(value)
        means = {key: fmean(found) for key, found in by_plan.items()}
        rise = {after: means[after, 26.0] - means[after, 8.0] for after in (False, True)}
        assert (rise[True] > 1.5 * rise[False]) is (asset == load.DRIFTING)


def test_a_meter_sends_nothing_in_its_window_and_the_others_go_on() -> None:
    times = timeline(SCENARIOS["load"])
    silent = Counter(
        reading.asset for reading in readings("load") if times.is_faulty(int(reading.event_id[2:]))
    )
    assert set(silent) == set(load.ASSETS) - {load.FAULTY}


def test_the_plan_for_the_next_hour_is_what_is_planned_then() -> None:
    seen = [each for each in readings("load", 2_000) if each.asset == load.ASSETS[0]]
    at = {each.time_us: each.record["planned_output"] for each in seen}
    ahead = [
        (each.record["planned_in_1h"], at[each.time_us + HOUR_US])
        for each in seen
        if each.time_us + HOUR_US in at
    ]
    assert len(ahead) > 400
    assert all(promised == planned for promised, planned in ahead)


@pytest.mark.parametrize(
    ("name", "field"),
    [("load", "outdoor_temp"), ("condition", "speed"), ("inspection", "humidity")],
)
def test_days_return(name: str, field: str) -> None:
    by_quarter = defaultdict(list)
    for reading in readings(name, 3 * READINGS):
        value = reading.record[field]
        if isinstance(value, float) and -40 < value < 100 and not reading.is_broken:
            by_quarter[reading.time_us % DAY_US * 4 // DAY_US].append(value)

    means = [fmean(by_quarter[quarter]) for quarter in range(4)]
    assert means[2] == max(means)
    assert means[0] == min(means)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_definition_that_cannot_run_says_why(name: str) -> None:
    for problem in plan_problems(SCENARIOS[name].read().definition):
        assert problem.startswith("streams.")
