"""The labeller: joins late labels to what was predicted.

Reads `model.predictions`, `plant.labels`. Writes `model.updates` (examples, in the partition of the
prediction) and the dead letters of labels. State: what waits, in Redis; rebuilt from the topics
where Redis forgets. Delivery: each revision of a label of an event once.
"""
