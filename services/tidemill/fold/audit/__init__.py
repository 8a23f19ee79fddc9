"""The audit: holds topics against the ledger, and folds a span of the past again.

Nothing here decides what a record does to a model; so it is no part of the code digest.
"""

from tidemill.fold.audit.findings import Finding, Findings, Kind, Place
from tidemill.fold.audit.replay import Span, replay
from tidemill.fold.audit.verify import verify

__all__ = ["Finding", "Findings", "Kind", "Place", "Span", "replay", "verify"]
