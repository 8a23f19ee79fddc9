"""Waiting until the broker answers, not merely until something listens."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tidemill.local.diagnosis import broker_ended, broker_silent, port_taken
from tidemill.local.ports import is_answered

if TYPE_CHECKING:
    from tidemill.local.instance import Home, Instance
    from tidemill.local.process import Process

ASK_S = 1.0
LISTEN_POLL_S = 0.05


def await_broker(instance: Instance, process: Process, home: Home, patience_s: float) -> None:
    """Wait until the broker serves metadata of its own cluster.

    Raises:
        ConfigError: It ended, another answers at its address, or it took too long.
    """
    deadline = time.monotonic() + patience_s
    client: AdminClient | None = None
    while time.monotonic() < deadline:
        if not process.is_alive():
            raise broker_ended(instance, home)
        if client is None:
            if not is_answered(instance.port):  # nobody listens yet: spare the client its back-off
                time.sleep(LISTEN_POLL_S)
                continue
            client = AdminClient({"bootstrap.servers": instance.bootstrap, "log_level": 0})
        cluster = _ask(client)
        if cluster == instance.cluster_id:
            return
        if cluster is not None:
            raise port_taken(instance.port)
    raise broker_silent(home, patience_s)


def _ask(client: AdminClient) -> str | None:
    """Return the id of the cluster that answers, None while none does."""
    try:
        metadata = client.list_topics(timeout=ASK_S)
    except KafkaException:
        return None
    return str(metadata.cluster_id) if metadata.brokers else None
