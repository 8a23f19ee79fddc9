"""The alerts processor: what people must hear of, as alarms that they acknowledge and shelve.

Reads: `model.drift`, `model.predictions`, `operator.receipts`, `operator.feedback`, dead letters,
`alerts.clock`.
Writes: `operator.alarms`, `alerts.states`, and by its clock `alerts.clock`; webhooks.
State: where the alarm of each condition stands, and when each asset was last heard of.
Delivery: at least once; where an alarm stands is remembered before it is told, and the same
position always tells the same bytes: `alarm_id` and `revision` name each change once.
"""
