"""The command `tidemill`."""

from __future__ import annotations

import sys

from tidemill.kernel.errors import ConfigError, InvariantError

HALTED = 70
MISCONFIGURED = 78


def main() -> None:
    """Run the command line; every failure has its exit code.

    0 done, 1 found a difference or a failed check, 2 usage, 70 halted on an invariant,
    78 configuration.
    """
    from tidemill.cli.app import app  # noqa: PLC0415 - the commands are many, errors come first

    try:
        app()
    except ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)  # noqa: T201 - a command's answer
        sys.exit(MISCONFIGURED)
    except InvariantError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command's answer
        sys.exit(HALTED)
