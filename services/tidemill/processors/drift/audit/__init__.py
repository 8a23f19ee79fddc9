"""The audit of the drift ledger: the topics held against it, and its past folded again.

Nothing here decides what a record leads to; so it is no part of the code digest.
"""

from tidemill.processors.drift.audit.replay import Asked, replay
from tidemill.processors.drift.audit.start import DRIFTS
from tidemill.processors.drift.audit.verify import verify

__all__ = ["DRIFTS", "Asked", "replay", "verify"]
