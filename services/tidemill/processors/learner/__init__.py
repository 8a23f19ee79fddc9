"""The learner: predicts on every event, learns from every label the moment it comes.

Reads: `sensor.events`, `model.updates`.
Writes: `model.predictions`, `model.outcomes`, `operator.receipts`, `model.ledger`,
    `learner.snapshots`, `model.anchors`, dead letters.
State: one set of models per stream and asset, in the task of the asset's partition.
Delivery: outputs, state, ledger and offsets share one transaction; each event counts once.
"""
