"""The alerts processor as a process: the one place where its pure parts meet Faust and Kafka."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from tidemill.contracts.alert_metrics import CONDITIONS
from tidemill.contracts.topics import group_of
from tidemill.processors.alerts.limits import SECOND_MS, Limits
from tidemill.processors.alerts.processor import PROCESSOR, AlertsFactory
from tidemill.runtime.clients import KafkaClients
from tidemill.runtime.faust_app import Identity
from tidemill.runtime.faust_control import ControlApp
from tidemill.runtime.faust_driver import Connection
from tidemill.runtime.faust_logs import ControlLogs
from tidemill.runtime.faust_metrics import ControlMetrics
from tidemill.runtime.faust_observer import ControlObservers
from tidemill.runtime.faust_security import security_of
from tidemill.runtime.faust_service import BreathingLog, Stopping, serve_control
from tidemill.runtime.faust_ticking import Ticking
from tidemill.runtime.kafka_log import KafkaLog
from tidemill.runtime.logs import configure_logs, log_halt
from tidemill.runtime.plant_files import read_plant
from tidemill.runtime.probes import serve_probes
from tidemill.runtime.webhook import Webhook

if TYPE_CHECKING:
    from tidemill.contracts.definition import PlantDefinition
    from tidemill.processors.alerts.settings import Settings
    from tidemill.runtime.webhook_post import Answer


class Posts:
    """Tells metrics and logs what becomes of requests."""

    def __init__(self, metrics: ControlMetrics, logs: ControlLogs) -> None:
        self._metrics = metrics
        self._logs = logs

    def posted(self, answer: Answer, why: str) -> None:
        """Pass on."""
        self._metrics.posted(answer, why)
        self._logs.posted(answer, why)


def run(settings: Settings) -> None:
    """Run an alerts processor until it is asked to end.

    Raises:
        ConfigError: Definition, schemas or settings are wrong; every problem is listed.
        InvariantError: It halted: the cluster refuses it, or it found what must not be.
    """
    configure_logs()
    definition = read_plant(settings.definition).definition
    connection = Connection(settings.bootstrap, security_of(settings.extra))
    stopping = Stopping()
    log = KafkaLog(KafkaClients(settings.bootstrap, settings.extra))
    limits = Limits(heartbeat_ms=round(settings.heartbeat_s * SECOND_MS))
    factory = AlertsFactory(definition, limits)
    metrics = ControlMetrics(PROCESSOR, kept=CONDITIONS)
    logs = ControlLogs(PROCESSOR, settings.instance)
    observers = ControlObservers(metrics, logs)
    identity = Identity(
        group_of(definition.plant, PROCESSOR), settings.instance, definition.partitions
    )
    with ExitStack() as stack:
        stack.callback(log.close)
        address = stack.enter_context(
            serve_probes(metrics, host=settings.probe_host, port=settings.probe_port)
        )
        logs.started(plant=definition.plant, probes=address)
        if settings.webhook is not None:
            posts = Posts(metrics, logs)
            stack.enter_context(_webhook(settings, definition, posts, stopping))
        serve_control(
            lambda: ControlApp(
                factory,
                connection,
                identity,
                log=BreathingLog(log, stopping),
                observer=observers,
            ),
            stopping,
            observer=observers,
            until_idle_s=settings.until_idle_s,
            halted=log_halt,
            ticking=Ticking(settings.tick_s),
        )


def _webhook(
    settings: Settings, definition: PlantDefinition, posts: Posts, stopping: Stopping
) -> Webhook:
    assert settings.webhook is not None

    def failed(error: BaseException) -> None:
        log_halt(error)
        stopping()

    return Webhook(
        settings.webhook,
        KafkaClients(settings.bootstrap, settings.extra),
        group=group_of(definition.plant, f"{PROCESSOR}.webhook"),
        instance=settings.instance,
        observer=posts,
        failed=failed,
    )
