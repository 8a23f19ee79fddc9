"""The labeller as a process: the one place where its pure parts meet Kafka and Redis."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from tidemill.contracts.topics import group_of
from tidemill.kernel.errors import ConfigError
from tidemill.processors.labeller.processor import LabellerFactory
from tidemill.processors.labeller.streams import label_streams
from tidemill.processors.labeller.task import PROCESSOR
from tidemill.runtime.clients import KafkaClients
from tidemill.runtime.logs import LoggingObserver, Observers, configure_logs, log_halt
from tidemill.runtime.metrics import WorkerMetrics
from tidemill.runtime.pending_redis import RedisPending
from tidemill.runtime.plant_files import read_plant
from tidemill.runtime.probes import serve_probes
from tidemill.runtime.service import serve
from tidemill.runtime.standing_by import stand_by
from tidemill.runtime.worker import WorkerSettings
from tidemill.runtime.written_ends import WrittenEnds

if TYPE_CHECKING:
    from tidemill.contracts.definition import PlantDefinition
    from tidemill.processors.labeller.settings import Settings

# A worker that starts while Redis is started anew waits for it.
START_PATIENCE_S = 30.0


def run(settings: Settings) -> None:
    """Run a labeller until it is asked to end; idle where no label comes later than its event.

    Raises:
        ConfigError: Definition, schemas or settings are wrong, or Redis is; all is listed.
        InvariantError: The labeller halted.
    """
    configure_logs()
    plant = read_plant(settings.definition)
    logs = LoggingObserver(PROCESSOR, settings.instance)
    if not label_streams(plant.definition):
        logs.needless("no stream of the definition has a target label")
        stand_by(
            WorkerMetrics(PROCESSOR),
            host=settings.probe_host,
            port=settings.probe_port,
            until_idle_s=settings.until_idle_s,
        )
        return
    clients = KafkaClients(settings.bootstrap, settings.extra)
    with (
        closing(WrittenEnds(clients)) as ends,
        closing(_store(settings, plant.definition, ends)) as store,
    ):
        store.check(START_PATIENCE_S, tell=logs.away)
        factory = LabellerFactory(
            plant.definition, store, ends, from_end=settings.from_end, room=settings.room
        )
        metrics = WorkerMetrics(PROCESSOR)
        with serve_probes(metrics, host=settings.probe_host, port=settings.probe_port) as address:
            logs.started(plant=plant.definition.plant, probes=address)
            serve(
                factory,
                clients,
                WorkerSettings(
                    group=group_of(plant.definition.plant, factory.name),
                    instance=settings.instance,
                    partitions=plant.definition.partitions,
                    batch=settings.batch,
                    wait_s=settings.wait_ms / 1000,
                ),
                observer=Observers(metrics, logs),
                until_idle_s=settings.until_idle_s,
                halted=log_halt,
            )


def _store(settings: Settings, definition: PlantDefinition, ends: WrittenEnds) -> RedisPending:
    """Return where cases wait.

    Raises:
        ConfigError: Nobody says where Redis is, or what they say is no URL.
    """
    if settings.redis_url is None:
        msg = (
            "Redis must be named by --redis or TIDEMILL_REDIS_URL, or run in --dir, found none; "
            "start one: tidemill up"
        )
        raise ConfigError([msg])
    streams = {name: each.ttl_us for name, each in sorted(label_streams(definition).items())}
    plant = definition.plant, ends.cluster
    return RedisPending(settings.redis_url, plant, definition.partitions, streams)
