"""Units that a sensor may have been read in, and the way from one to another."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple


class Unit(NamedTuple):
    """A unit of a dimension: value * factor + offset is the value in the dimension's first one."""

    dimension: str
    factor: Fraction
    offset: Fraction


# Source: BIPM, The International System of Units, 9th edition (2019), tables 2, 4 and 8; NIST
# Special Publication 811 (2008), appendix B.8, for inch, foot, pound, psi and degree Fahrenheit.
_FACTORS: dict[str, dict[str, str]] = {
    "length": {"m": "1", "km": "1000", "cm": "1/100", "mm": "1/1000", "um": "1/1000000"}
    | {"in": "254/10000", "ft": "3048/10000"},
    "speed": {"m/s": "1", "mm/s": "1/1000", "km/h": "10/36", "in/s": "254/10000"},
    "acceleration": {"m/s2": "1", "mm/s2": "1/1000", "g": "980665/100000"},
    "pressure": {"Pa": "1", "hPa": "100", "kPa": "1000", "MPa": "1000000", "mbar": "100"}
    | {"bar": "100000", "psi": "44482216152605/6451600000"},
    "mass": {"kg": "1", "t": "1000", "lb": "45359237/100000000"},
    "volume flow": {"m3/s": "1", "m3/h": "1/3600", "l/s": "1/1000", "l/min": "1/60000"},
    "frequency": {"Hz": "1", "kHz": "1000", "rpm": "1/60"},
    "voltage": {"V": "1", "mV": "1/1000", "kV": "1000"},
    "current": {"A": "1", "mA": "1/1000", "kA": "1000"},
    "power": {"W": "1", "kW": "1000", "MW": "1000000"},
    "energy": {"J": "1", "kJ": "1000", "MJ": "1000000", "Wh": "3600", "kWh": "3600000"},
    "torque": {"Nm": "1", "kNm": "1000"},
    "viscosity": {"Pa.s": "1", "mPa.s": "1/1000", "cP": "1/1000"},
    "time": {"s": "1", "ms": "1/1000", "us": "1/1000000", "min": "60", "h": "3600"},
    "share": {"1": "1", "%": "1/100", "ppm": "1/1000000"},
}
UNITS: dict[str, Unit] = {
    name: Unit(dimension, Fraction(factor), Fraction(0))
    for dimension, factors in _FACTORS.items()
    for name, factor in factors.items()
} | {
    "K": Unit("temperature", Fraction(1), Fraction(0)),
    "degC": Unit("temperature", Fraction(1), Fraction(27315, 100)),
    "degF": Unit("temperature", Fraction(5, 9), Fraction(45967, 180)),
}


def unit_problem(source: str, target: str) -> str | None:
    """Return why a value cannot go from one unit to the other, or None."""
    for name in (source, target):
        if name not in UNITS:
            return f"must be one of {', '.join(sorted(UNITS))}, was {name}; otherwise use scale"
    if UNITS[source].dimension != UNITS[target].dimension:
        kinds = f"{source} is {UNITS[source].dimension}, {target} is {UNITS[target].dimension}"
        return f"must name two units of one dimension, {kinds}"
    return None


def way(source: str, target: str) -> tuple[Fraction, Fraction]:
    """Return factor and offset from one unit to another of its dimension, exactly.

    >>> way("degF", "degC") == (Fraction(5, 9), Fraction(-160, 9))
    True
    """
    begin, end = UNITS[source], UNITS[target]
    return begin.factor / end.factor, (begin.offset - end.offset) / end.factor
