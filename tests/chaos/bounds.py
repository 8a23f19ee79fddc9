"""Bounds: memory and snapshots over a long input, the re-fold beside a thousand quiet assets."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import chain, islice, repeat
from typing import TYPE_CHECKING

from chaos.balance import BrokenPromiseError, strike_balance
from chaos.data import POWER, origin, power_rows
from chaos.feeding import Feed
from chaos.figures import mebibytes
from chaos.inputs import Seats, clean_events
from chaos.mesh import Mesh
from chaos.plant import CLASSIFIER, MODELS, PlantText
from chaos.reading import Arrivals, Tail
from chaos.watching import Level, Sample, Saved
from tidemill.contracts.topics import PREDICTIONS, SNAPSHOTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from chaos.data import Row
    from chaos.figures import Figures

DRAIN_S = 7_200.0
TIMES = 10

MEMORY_SHARE, MEMORY_SLACK = 0.05, 4 << 20
SAVED_SHARE, SAVED_SLACK = 0.02, 0

# The tree alone learns without end; with depth and leaves bounded its state is, too.
BOUNDED = {
    **MODELS,
    POWER: {
        "champion": [{CLASSIFIER: {"max_depth": 6}}],
        "challengers": MODELS[POWER]["challengers"],
    },
}
