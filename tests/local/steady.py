"""Settings of brokers that no test kills."""

from __future__ import annotations

# A machine that stands still for seconds must not cost the broker its partitions: it is given up
# soon only where it has to be let in again after a kill.
STEADY = {"broker.session.timeout.ms": 300_000}
