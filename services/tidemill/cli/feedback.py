"""`tidemill feedback`: what people say of predictions, explanations and drifts."""

import typer

from tidemill.cli.feedback_list import list_, watch
from tidemill.cli.feedback_queue import queue
from tidemill.cli.feedback_send import retract, send

app = typer.Typer(
    help="What people say of the models, and what became of it.", no_args_is_help=True
)
app.command("send")(send)
app.command("watch")(watch)
app.command("list")(list_)
app.command("queue")(queue)
app.command("retract")(retract)
