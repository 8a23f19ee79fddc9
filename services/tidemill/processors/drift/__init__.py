"""Drift: says when features, predictions, errors or explanations are no longer as they were.

Reads: `sensor.events`, `model.predictions`, `model.outcomes`, `model.explanations`,
    `model.updates` (answers to its questions).
Writes: `model.drift`, `model.updates` (holds and their end), `drift.ledger`, `drift.snapshots`.
State: what is watched of each asset of a stream, in the task of the asset's partition.
Delivery: records, state, ledger and offsets share one transaction; each record counts once.
"""
