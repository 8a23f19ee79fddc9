"""All commands, registered."""

from __future__ import annotations

import typer

from tidemill.cli.check import check
from tidemill.cli.down import down
from tidemill.cli.env import env
from tidemill.cli.init import init
from tidemill.cli.produce import produce
from tidemill.cli.run import run
from tidemill.cli.schemas import app as schemas
from tidemill.cli.status import status
from tidemill.cli.up import up

app = typer.Typer(
    name="tidemill",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A mesh of stream processors for plants: predict and learn on every event, exactly once.",
)
for command in (up, down, status, env, init, check, produce, run):
    app.command()(command)
app.add_typer(schemas, name="schemas")
