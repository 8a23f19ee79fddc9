"""The drift processor as a process: the one place where its pure parts meet Kafka."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.contracts.topics import group_of
from tidemill.fold.books import Policy
from tidemill.fold.snapshots import SigningKey
from tidemill.fold.terms import Terms
from tidemill.processors.drift.processor import DriftFactory
from tidemill.runtime.clients import KafkaClients
from tidemill.runtime.logs import LoggingObserver, Observers, configure_logs, log_halt
from tidemill.runtime.metrics import WorkerMetrics
from tidemill.runtime.plant_files import read_plant
from tidemill.runtime.probes import serve_probes
from tidemill.runtime.schema_source import schemas_of
from tidemill.runtime.service import serve
from tidemill.runtime.worker import WorkerSettings

if TYPE_CHECKING:
    from tidemill.processors.drift.settings import Settings


def run(settings: Settings) -> None:
    """Run a drift processor until it is asked to end.

    Raises:
        ConfigError: Definition, schemas or settings are wrong; every problem is listed.
        InvariantError: The drift processor halted.
    """
    configure_logs()
    plant = read_plant(settings.definition)
    known, schemas = schemas_of(plant, settings.definition, settings.registry_url)
    factory = DriftFactory(
        Terms(plant.definition, known),
        SigningKey(settings.signing_key),
        Policy(snapshot_every=settings.snapshot_every),
        from_end=settings.from_end,
    )
    metrics = WorkerMetrics(factory.name)
    with serve_probes(metrics, host=settings.probe_host, port=settings.probe_port) as address:
        logs = LoggingObserver(factory.name, settings.instance)
        logs.started(plant=plant.definition.plant, probes=address)
        serve(
            factory,
            KafkaClients(settings.bootstrap, settings.extra),
            WorkerSettings(
                group=group_of(plant.definition.plant, factory.name),
                instance=settings.instance,
                partitions=plant.definition.partitions,
                batch=settings.batch,
                wait_s=settings.wait_ms / 1000,
                schemas=schemas,
            ),
            observer=Observers(metrics, logs),
            until_idle_s=settings.until_idle_s,
            halted=log_halt,
        )
