"""`tidemill keygen`: a signing key in a file."""

from pathlib import Path
from typing import Annotated

import typer

from tidemill.runtime.keys import KEY_BYTES, VARIABLE, write_key_file

KeyFile = Annotated[
    Path, typer.Argument(help="Where to write the key.", metavar="FILE", show_default=False)
]


def keygen(file: KeyFile) -> None:
    """Make a signing key: random bytes as hex, for its owner only. Nothing is overwritten."""
    write_key_file(file)
    typer.echo(f"{KEY_BYTES} random bytes in {file}, mode 0600; name it by {VARIABLE}", err=True)
