"""The feedback processor: what people say of answers, held against them and turned into updates.

Reads: `operator.feedback`; where a feedback names an event, `model.predictions` and
`sensor.events`; where it answers to an episode of drift, `model.drift`.
Writes: `model.updates`, `operator.receipts`, `operator.feedback.dlq`, `feedback.decisions`.
State: what was decided of each feedback; everything else follows from that.
Delivery: at least once; a decision is remembered before it takes effect and the same position
always causes the same bytes, so that what it causes takes effect once.
"""
