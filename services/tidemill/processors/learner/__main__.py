"""The learner as a process: the one place where its pure parts meet Kafka."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.contracts.topics import group_of
from tidemill.fold.books import Policy
from tidemill.fold.idle import IdleModels, Room
from tidemill.fold.plans import plan_problems
from tidemill.fold.snapshots import SigningKey
from tidemill.fold.terms import Terms
from tidemill.kernel.errors import ConfigError
from tidemill.processors.learner.processor import LearnerFactory
from tidemill.runtime.clients import KafkaClients
from tidemill.runtime.idle_states import IdleStates, check_folder
from tidemill.runtime.labour import seconds
from tidemill.runtime.logs import LoggingObserver, Observers, configure_logs, log_halt
from tidemill.runtime.metrics import WorkerMetrics
from tidemill.runtime.plant_files import read_plant
from tidemill.runtime.probes import serve_probes
from tidemill.runtime.schema_source import schemas_of
from tidemill.runtime.service import serve
from tidemill.runtime.worker import WorkerSettings

if TYPE_CHECKING:
    from tidemill.processors.learner.settings import Settings


def run(settings: Settings) -> None:
    """Run a learner until it is asked to end.

    Raises:
        ConfigError: Definition, schemas or settings are wrong; every problem is listed.
        InvariantError: The learner halted.
    """
    configure_logs()
    plant = read_plant(settings.definition)
    problems = plan_problems(plant.definition)
    if problems:
        raise ConfigError(problems)
    check_folder(settings.idle_folder)
    room = Room(settings.live_models)
    known, schemas = schemas_of(plant, settings.definition, settings.registry_url)
    factory = LearnerFactory(
        Terms(plant.definition, known),
        SigningKey(settings.signing_key),
        Policy(snapshot_every=settings.snapshot_every, anchor_every=settings.anchor_every),
        from_end=settings.from_end,
        redefines=settings.redefines,
        idle=lambda _: IdleModels(IdleStates(settings.idle_folder), room),
        clock=seconds,
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
