"""The demo's scenarios: each a plant definition of its own, a simulator and what it plants."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tidemill.demo.questions import Loose
from tidemill.demo.shortcut import Shortcut
from tidemill.demo.simulators import condition, inspection, load, pumps, soft_sensor, wells
from tidemill.kernel.errors import ConfigError
from tidemill.runtime.plant_files import read_plant

if TYPE_CHECKING:
    from tidemill.demo.happenings import Simulate
    from tidemill.runtime.plant_files import Plant

FOLDER = Path(__file__).parent / "scenarios"
DEFAULT = "pumps"


@dataclass(frozen=True, slots=True)
class Planted:
    """A change or fault that the simulator plants: in which asset, and what it is."""

    asset: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One scenario. Its definition and records are a folder of package data of the same name.

    Attributes:
        answer: What is predicted, with its unit.
        step_s: Event time between two readings; None: as fast as they are sent.
        fault: None where the simulator plants none.
        shortcut: A sensor that people know better than to trust; None where there is none.
        loose: An asset beside those of `simulate`, one of whose sensors comes loose; None: none.
    """

    name: str
    about: str
    answer: str
    simulate: Simulate
    drift: Planted
    fault: Planted | None = None
    shortcut: Shortcut | None = None
    loose: Loose | None = None
    step_s: float | None = None

    @property
    def folder(self) -> Path:
        """Where `plant.yaml` and the plant's own records are."""
        return FOLDER / self.name

    @property
    def apart(self) -> frozenset[str]:
        """Assets whose errors say nothing of a broken shortcut."""
        loose = () if self.loose is None else (self.loose.asset,)
        return frozenset({self.drift.asset, *loose})

    def read(self) -> Plant:
        """Return the plant as its files say."""
        return read_plant(self.folder / "plant.yaml")

    def step_us(self, rate: float) -> int:
        """Return event time between two readings sent at `rate` per second."""
        return int(1e6 / rate) if self.step_s is None else int(1e6 * self.step_s)


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            name="pumps",
            about="bearing temperature of six pumps; a display repeats it, until it misleads",
            answer="Bearing temperature: mean absolute error, degC",
            simulate=pumps.simulate,
            drift=Planted(pumps.DRIFTING, "begins to drift"),
            shortcut=Shortcut(
                pumps.MISTRUSTED, pumps.SHORTCUT, pumps.OPERATORS, "all displays show degF"
            ),
            loose=Loose(
                wells.ASSET,
                "eva",
                wells.simulate,
                past=wells.PAST,
                present=wells.PRESENT,
                begins=wells.LOOSE_FROM,
                ends=wells.LOOSE_TO,
                what=f"has a loose {wells.SENSOR} sensor",
            ),
        ),
        Scenario(
            name="soft-sensor",
            about="viscosity of four reactors; the laboratory's label comes hours later",
            answer="Viscosity: mean absolute error, mPa.s",
            simulate=soft_sensor.simulate,
            drift=Planted(soft_sensor.DRIFTING, "gets a batch of weaker catalyst"),
            fault=Planted(soft_sensor.FAULTY, "has a stuck pressure transmitter"),
            step_s=30.0,
        ),
        Scenario(
            name="inspection",
            about="moulded parts from three presses: good, rework or, seldom, scrap",
            answer="Verdict: log loss, nats",
            simulate=inspection.simulate,
            drift=Planted(inspection.DRIFTING, "has a leaking valve: more scrap"),
            fault=Planted(inspection.FAULTY, "has a pressure transducer that reads 0 bar"),
            step_s=10.0,
        ),
        Scenario(
            name="condition",
            about="six fans without any label; the score says how unlike its past one is",
            answer="Condition: anomaly score from 0 to 1",
            simulate=condition.simulate,
            drift=Planted(condition.DRIFTING, "has a bearing that wears out"),
            fault=Planted(condition.FAULTY, "has a loose accelerometer"),
            step_s=10.0,
        ),
        Scenario(
            name="load",
            about="load of four feeders one hour ahead; the label comes by itself",
            answer="Load in one hour: mean absolute error, kW",
            simulate=load.simulate,
            drift=Planted(load.DRIFTING, "carries one furnace more"),
            fault=Planted(load.FAULTY, "has a meter that sends nothing"),
            step_s=75.0,
        ),
    )
}


def scenario_named(name: str) -> Scenario:
    """Return the scenario of that name.

    Raises:
        ConfigError: There is none.
    """
    found = SCENARIOS.get(name)
    if found is None:
        msg = f"--scenario: must be one of {', '.join(SCENARIOS)}, was {name!r}"
        raise ConfigError([msg])
    return found
