"""The Faust app of a processor of the control plane: one agent, one table, nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import faust

from tidemill.kernel.records import Message
from tidemill.runtime.faust_driver import SESSION_TIMEOUT_MS, Connection, Transport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tidemill.runtime.faust_batches import Batches

COMMIT_EVERY_S = 1.0
MOST_AT_ONCE = 100
MOST_OF_BATCHES = 2_000
_RAW: dict[str, Any] = {  # Any: Faust's words for bytes
    "key_type": bytes,
    "value_type": bytes,
    "key_serializer": "raw",
    "value_serializer": "raw",
}


class Identity(NamedTuple):
    """Which worker of which group an app is."""

    group: str
    instance: str
    partitions: int


def build_app(
    connection: Connection, identity: Identity, batches: Batches
) -> Any:  # Any: Faust's types are partial
    """Return an app that declares no topic, serves no page and writes no file."""
    app = faust.App(
        identity.group,
        broker="aiokafka://" + str(connection.keywords["bootstrap_servers"]).split(",")[0],
        broker_client_id=identity.instance,
        broker_commit_interval=COMMIT_EVERY_S,
        broker_max_poll_records=MOST_OF_BATCHES if batches.topics else MOST_AT_ONCE,
        broker_session_timeout=SESSION_TIMEOUT_MS / 1000,
        consumer_group_instance_id=identity.instance,
        processing_guarantee="at_least_once",
        producer_threaded=False,
        store="memory://",
        stream_buffer_maxsize=MOST_AT_ONCE,
        stream_wait_empty=False,
        table_standby_replicas=0,
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=identity.partitions,
        web_enabled=False,
        worker_redirect_stdouts=False,
    )
    app.transport = Transport.of(app, connection, batches)
    app.producer_transport = Transport.of(app, connection, batches)
    return app


def add_table(app: Any, topic: str, partitions: int) -> Any:  # Any: as above
    """Return a table of an app that is kept in a topic."""
    changelog = app.topic(topic, partitions=partitions, compacting=True, **_RAW)
    name = topic.partition(".")[2]
    return app.Table(
        name, key_type=bytes, value_type=bytes, partitions=partitions, changelog_topic=changelog
    )


def add_agent(
    app: Any, topic: str, follow: Callable[[Any], Awaitable[None]], *, name: str
) -> None:  # Any: as above
    """Have the records of a topic followed, one after the other."""
    app.agent(app.topic(topic, **_RAW), name=name, concurrency=1)(follow)


def to_message(found: Any) -> Message:  # Any: Faust's message
    """Return what the kernel sees of a message."""
    headers = found.headers or ()
    pairs = headers.items() if hasattr(headers, "items") else headers
    return Message(
        found.topic,
        found.partition,
        found.offset,
        found.key,
        found.value,
        tuple((name, value) for name, value in pairs),
        round((found.timestamp or 0.0) * 1000),
    )
