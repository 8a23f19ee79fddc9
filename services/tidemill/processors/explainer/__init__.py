"""The explainer: says of every prediction what each sensor added to it, and checks it thereby.

Reads: `model.ledger` and, where the ledger says so, `sensor.events` and `model.updates`.
Writes: `model.explanations`, `model.importances`, `explainer.snapshots`.
State: a replica of the learner's models, and a running view of what their explanations say.
Delivery: explanations, state and offsets share one transaction; each prediction is explained once.
"""
