"""The variables Tidemill knows; any other TIDEMILL_ variable is a mistake."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.kernel.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "TIDEMILL_"
WEBHOOK_VARIABLE = "TIDEMILL_ALERTS_WEBHOOK"

VARIABLES: Mapping[str, str] = {
    WEBHOOK_VARIABLE: "where the alerts processor posts alarms, https://host/path",
    "TIDEMILL_BOOTSTRAP": "brokers, host:port,...",
    "TIDEMILL_CACHE": "where the embedded Kafka's files are kept",
    "TIDEMILL_DATA": "where tests find the shared data sets",
    "TIDEMILL_REDIS_URL": "Redis, redis://user:password@host:port/0",
    "TIDEMILL_SCHEMA_REGISTRY_URL": "a Confluent-compatible schema registry",
    "TIDEMILL_SIGNING_KEY_FILE": "key that snapshots are signed with, 32 bytes as hex",
}


def check_environment(environ: Mapping[str, str]) -> None:
    """Refuse unknown variables: a typo must not go unseen.

    Raises:
        ConfigError: Lists every unknown variable.
    """
    known = ", ".join(sorted(VARIABLES))
    problems = [
        f"{name}: must be one of {known}"
        for name in sorted(environ)
        if name.startswith(PREFIX) and name not in VARIABLES
    ]
    if problems:
        raise ConfigError(problems)
