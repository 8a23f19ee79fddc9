"""All commands, registered."""

from __future__ import annotations

import typer

from tidemill.cli.alerts import app as alerts
from tidemill.cli.assets import app as assets
from tidemill.cli.audit import app as audit
from tidemill.cli.check import check
from tidemill.cli.demo import demo
from tidemill.cli.dlq import app as dlq
from tidemill.cli.down import down
from tidemill.cli.env import env
from tidemill.cli.explain import explain
from tidemill.cli.feedback import app as feedback
from tidemill.cli.init import init
from tidemill.cli.keygen import keygen
from tidemill.cli.produce import produce
from tidemill.cli.run import run
from tidemill.cli.schemas import app as schemas
from tidemill.cli.skip import skip
from tidemill.cli.status import status
from tidemill.cli.tail import tail
from tidemill.cli.topics import topics
from tidemill.cli.up import up

app = typer.Typer(
    name="tidemill",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A mesh of stream processors for plants: predict and learn on every event, exactly once.",
)
COMMANDS = (
    demo, up, down, status, env, init, check, topics, produce, run, tail, explain, skip, keygen,
)  # fmt: skip
for command in COMMANDS:
    app.command()(command)
app.add_typer(schemas, name="schemas")
app.add_typer(feedback, name="feedback")
app.add_typer(alerts, name="alerts")
app.add_typer(assets, name="assets")
app.add_typer(dlq, name="dlq")
app.add_typer(audit, name="audit")
