"""How feedback commands print for people."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.text import Text

from tidemill.runtime.feedback_words import COLOURS, receipt_line


@contextmanager
def progress(first: str) -> Iterator[Callable[[str], None]]:
    """Show on stderr, where that is a terminal, what is being done."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"))
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(first)
        yield lambda text: bar.update(task, description=text)


def escaped(text: str) -> str:
    r"""Return a text that says nothing to the terminal: no line but its own, no colour, no bell.

    >>> print(escaped("fine\n  APPLIED  \x1b[2J"))
    fine\n  APPLIED  \x1b[2J
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def print_line(line: str) -> None:
    """Print one line, whatever people wrote into it; statuses in colour on a terminal."""
    text = Text(escaped(line))
    for status, colour in COLOURS.items():
        text.highlight_regex(rf"\b{status}\b", colour)
    console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    # Written by us: rich would end the command where nobody reads on.
    with console.capture() as captured:
        console.print(text)
    sys.stdout.write(captured.get())


def print_receipt(receipt: Mapping[str, Any]) -> None:  # Any: Avro values
    """Print a receipt on one line, at once."""
    print_line(receipt_line(receipt))
    sys.stdout.flush()


@contextmanager
def ending_quietly() -> Iterator[None]:
    """End with 0 on Ctrl-C, and when nobody reads on."""
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
    except BrokenPipeError:
        # Python would say so once more when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
