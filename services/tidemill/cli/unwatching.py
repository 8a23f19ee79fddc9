"""What `tidemill assets retire` does to the drift processor: it watches the asset no more."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tidemill.contracts.topics import (
    DRIFT_LEDGER,
    DRIFT_SNAPSHOTS,
    EVENTS,
    EXPLANATIONS,
    OUTCOMES,
    PREDICTIONS,
    UPDATES,
    group_of,
)
from tidemill.runtime.kafka_log import KafkaLog
from tidemill.runtime.sole_member import SoleMember

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidemill.contracts.definition import PlantDefinition
    from tidemill.fold.retiring import Leaving
    from tidemill.fold.snapshots import SigningKey
    from tidemill.runtime.clients import KafkaClients

INPUTS = (EVENTS, PREDICTIONS, OUTCOMES, EXPLANATIONS, UPDATES)
TOPICS = (*INPUTS, DRIFT_LEDGER, DRIFT_SNAPSHOTS)

Watched = dict[str, Any]  # Any: JSON


def group(plant: PlantDefinition) -> str:
    """Return the group of the drift processors."""
    return group_of(plant.plant, "drift")


def unwatch(
    clients: KafkaClients,
    plant: PlantDefinition,
    counts: Mapping[str, int],
    *,
    whom: tuple[Leaving, SigningKey],
    partitions: Sequence[int],
    name: str,
    is_done: bool,
) -> dict[int, Watched]:
    """Let go of what is watched of an asset, or find out what that would do, by partition.

    Raises:
        ConfigError: Somebody else is in the group.
    """
    if any(counts.get(topic, 0) != plant.partitions for topic in TOPICS):
        return {}
    member = SoleMember(
        clients,
        INPUTS,
        group=group(plant),
        name=name,
        partitions=plant.partitions,
        clock=time.monotonic,
    )
    found: dict[int, Watched] = {}
    try:
        if is_done:
            member.join()
        for partition in partitions:
            each = _on(clients, member, plant, (partition, *whom), is_done=is_done)
            if each is not None:
                found[partition] = each
    finally:
        member.close()
    return found


def _on(
    clients: KafkaClients,
    member: SoleMember,
    plant: PlantDefinition,
    what: tuple[int, Leaving, SigningKey],
    *,
    is_done: bool,
) -> Watched | None:
    from tidemill.fold.terms import Terms  # noqa: PLC0415 - it imports River, which takes a second
    from tidemill.processors.drift.retiring import prepare, retire  # noqa: PLC0415 - as above

    partition, leaving, signing = what
    committed, log = member.committed(partition), KafkaLog(clients)
    try:
        unwatched = member.drive(
            lambda: prepare(
                log,
                partition,
                committed,
                asset=leaving.asset,
                stream=leaving.stream,
                terms=Terms(plant, {}),
                signing=signing,
            )
        )
    finally:
        log.close()
    if unwatched is None:
        return None
    if is_done:
        emits, positions = retire(unwatched, leaving.actor, signing)
        member.commit(emits, {(topic, partition): at for topic, at in positions.items()})
    streams = [key.stream for key in unwatched.keys]
    return {"entry": unwatched.entry, "streams": streams}
