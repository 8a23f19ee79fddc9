"""Settings of servers that no machine, however slow, shall disturb."""

from __future__ import annotations

# A machine that stands still for seconds must not cost the broker its partitions: it is given up
# soon only where it has to be let in again after a kill.
STEADY = {"broker.session.timeout.ms": 300_000}

# A disk that takes seconds for what it was given must not hold a Redis up: what it wrote outlives
# `kill -9` all the same.
UNSYNCED = {"appendfsync": "no"}
