"""The broker's configuration: one node, loopback only, small and quick to start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.local.ports import HOST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidemill.local.instance import Home, Instance

MESSAGE_MAX_BYTES = 10 << 20
FEW_PARTITIONS = 4

FIXED = {
    "process.roles": "broker,controller",
    "node.id": 1,
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "auto.create.topics.enable": "false",
    # One broker holds every copy.
    "default.replication.factor": 1,
    "offsets.topic.replication.factor": 1,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    # Few partitions to create and load: start and fail-over are quick.
    "offsets.topic.num.partitions": FEW_PARTITIONS,
    "transaction.state.log.num.partitions": FEW_PARTITIONS,
    "share.coordinator.state.topic.num.partitions": FEW_PARTITIONS,
    # Offsets are read again after a kill, and what was read of them may be told before all is: with
    # short segments (100 MiB by default) the past is compacted away, and that takes no time.
    "offsets.topic.segment.bytes": 1 << 20,
    # Groups and transactions of workers that died are free again within seconds.
    "group.initial.rebalance.delay.ms": 0,
    "group.min.session.timeout.ms": 1_000,
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1_000,
    # After a kill the broker is let in again when its former self has timed out (9 s by default).
    "broker.session.timeout.ms": 3_000,
    "broker.heartbeat.interval.ms": 500,
    # Snapshots of models are larger than the default of 1 MiB.
    "message.max.bytes": MESSAGE_MAX_BYTES,
    "replica.fetch.max.bytes": MESSAGE_MAX_BYTES,
    # Compaction, with a map that fits a small heap (128 MiB by default).
    "log.cleaner.enable": "true",
    "log.cleaner.dedupe.buffer.size": 16 << 20,
    "num.network.threads": 2,
    "num.io.threads": 4,
    "background.threads": 2,
    "num.recovery.threads.per.data.dir": 2,
}


def server_properties(home: Home, instance: Instance, extra: Mapping[str, str | int]) -> str:
    """Return the text of `server.properties`; `extra` has the last word."""
    client = f"PLAINTEXT://{HOST}:{instance.port}"
    own = {
        "listeners": f"{client},CONTROLLER://{HOST}:{instance.controller_port}",
        "advertised.listeners": client,
        "controller.quorum.voters": f"1@{HOST}:{instance.controller_port}",
        "log.dirs": str(home.data),
    }
    return "".join(f"{key}={value}\n" for key, value in (FIXED | own | dict(extra)).items())
