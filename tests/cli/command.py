"""Runs one command as the shell would, in this process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from typer.testing import CliRunner

from tidemill.cli.app import app
from tidemill.kernel.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

MISCONFIGURED = 78


@dataclass(frozen=True, slots=True)
class Ran:
    """What one command did: exit code, what it printed, and the problems of a `ConfigError`."""

    code: int
    out: str
    err: str
    problems: tuple[str, ...] = ()

    @property
    def said(self) -> str:
        """The problems as one text."""
        return "\n".join(self.problems)


def run(*arguments: object, env: Mapping[str, str | None] | None = None) -> Ran:
    """Run `tidemill` with `arguments`; a `ConfigError` becomes exit 78, anything else is raised.

    No variable of the tests' own environment names a broker, a Redis or a registry.
    """
    named = ("TIDEMILL_BOOTSTRAP", "TIDEMILL_REDIS_URL", "TIDEMILL_SCHEMA_REGISTRY_URL")
    clean: dict[str, str | None] = dict.fromkeys(named)
    result = CliRunner().invoke(app, [str(a) for a in arguments], env={**clean, **(env or {})})
    if isinstance(result.exception, ConfigError):
        return Ran(MISCONFIGURED, result.stdout, result.stderr, result.exception.problems)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)
