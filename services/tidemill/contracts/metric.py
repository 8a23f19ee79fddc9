"""What a metric is: its name, kind, unit and closed label sets."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What Prometheus makes of the numbers."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Label:
    """One label: all its values, or, where they follow from the deployment, what they are."""

    name: str
    values: tuple[str, ...] = ()
    about: str = ""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric as it is exposed; `buckets` are a histogram's upper bounds."""

    name: str
    kind: Kind
    about: str
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()
