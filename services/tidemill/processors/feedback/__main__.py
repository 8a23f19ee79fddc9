"""The feedback processor as a process: the one place where its pure parts meet Faust and Kafka."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.contracts.topics import group_of
from tidemill.fold.plans import plan_problems
from tidemill.kernel.errors import ConfigError
from tidemill.processors.feedback.cases import LogCases
from tidemill.processors.feedback.processor import PROCESSOR, FeedbackFactory
from tidemill.processors.feedback.trust import Limits
from tidemill.runtime.clients import KafkaClients
from tidemill.runtime.faust_app import Identity
from tidemill.runtime.faust_control import ControlApp
from tidemill.runtime.faust_driver import Connection
from tidemill.runtime.faust_logs import ControlLogs
from tidemill.runtime.faust_metrics import ControlMetrics
from tidemill.runtime.faust_observer import ControlObservers
from tidemill.runtime.faust_security import security_of
from tidemill.runtime.faust_service import BreathingLog, Stopping, serve_control
from tidemill.runtime.kafka_log import KafkaLog
from tidemill.runtime.logs import configure_logs, log_halt
from tidemill.runtime.plant_files import read_plant
from tidemill.runtime.probes import serve_probes

if TYPE_CHECKING:
    from tidemill.processors.feedback.settings import Settings


def run(settings: Settings) -> None:
    """Run a feedback processor until it is asked to end.

    Raises:
        ConfigError: Definition, schemas or settings are wrong; every problem is listed.
        InvariantError: It halted: the cluster refuses it, or most feedback is unreadable.
    """
    configure_logs()
    plant = read_plant(settings.definition)
    problems = plan_problems(plant.definition)
    if problems:
        raise ConfigError(problems)
    connection = Connection(settings.bootstrap, security_of(settings.extra))
    stopping = Stopping()
    log = KafkaLog(KafkaClients(settings.bootstrap, settings.extra))
    breathing = BreathingLog(log, stopping)
    cases = LogCases(breathing, plant.definition, plant.writer_schemas)
    factory = FeedbackFactory(plant.definition, cases, Limits(per_minute=settings.per_minute))
    metrics = ControlMetrics(PROCESSOR)
    logs = ControlLogs(PROCESSOR, settings.instance)
    observers = ControlObservers(metrics, logs)
    identity = Identity(
        group_of(plant.definition.plant, PROCESSOR), settings.instance, plant.definition.partitions
    )
    try:
        with serve_probes(metrics, host=settings.probe_host, port=settings.probe_port) as address:
            logs.started(plant=plant.definition.plant, probes=address)
            serve_control(
                lambda: ControlApp(
                    factory, connection, identity, log=breathing, observer=observers
                ),
                stopping,
                observer=observers,
                until_idle_s=settings.until_idle_s,
                halted=log_halt,
            )
    finally:
        log.close()
