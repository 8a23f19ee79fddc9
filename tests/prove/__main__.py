"""Run the proofs: `python -m prove`, with `tests` on the path; a page for each that held."""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from chaos.balance import BrokenPromiseError
from chaos.feeding import FeedError
from chaos.reading import ReadError
from chaos.tables import Found
from chaos.waiting import LateError
from chaos.workers import WorkerEndedError
from prove.proof import Context, Proof
from prove.proofs import PROOFS
from prove.report import ROOT, circumstances, page
from tidemill.kernel.errors import ConfigError

FAILURES = (BrokenPromiseError, FeedError, LateError, ReadError, WorkerEndedError)


def read_arguments() -> argparse.Namespace:
    """Return the command line, checked."""
    parser = argparse.ArgumentParser(prog="python -m prove", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of: {', '.join(PROOFS)} (default: all)")
    parser.add_argument("--seed", type=int, default=1, help="of everything that is drawn")
    parser.add_argument("--quick", action="store_true", help="small sizes, to try the harness")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "proofs", help="for the pages")
    parser.add_argument("--keep", type=Path, help="keep broker, plant and logs in this folder")
    arguments = parser.parse_args()
    arguments.names = arguments.names or list(PROOFS)
    unknown = [name for name in arguments.names if name not in PROOFS]
    if unknown:
        parser.error(f"a proof must be one of {', '.join(PROOFS)}, was {unknown}")
    return arguments


def say(text: str) -> None:
    """Tell the operator how far things are."""
    sys.stderr.write(f"{text}\n")


def prove(proof: Proof, folder: Path, arguments: argparse.Namespace) -> bool:
    """Run one proof; write its page if it held, say why if not."""
    say(f"{proof.name}: begins")
    begun = time.monotonic()
    context = Context(folder / proof.name, arguments.seed, arguments.quick, say)
    context.folder.mkdir(parents=True)
    try:
        found = proof.run(context)
    except FAILURES as error:
        say(f"{proof.name}: DOES NOT HOLD: {type(error).__name__}: {error}")
        return False
    command = shlex.join(["python", "-m", "prove", *sys.argv[1:]])
    if not isinstance(found, Found):
        found = Found(found)
    text = page(proof, found, circumstances(command), time.monotonic() - begun)
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / f"{proof.name}.md"
    path.write_text(text, "utf-8")
    say(f"{proof.name}: holds, see {path}")
    return True


def main() -> int:
    """Run the proofs that were asked for; 1 if one of them does not hold."""
    arguments = read_arguments()
    proofs = [PROOFS[name] for name in arguments.names]
    with ExitStack() as stack:
        folder = arguments.keep or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="tidemill-prove-"))
        )
        held = [prove(proof, folder, arguments) for proof in proofs]
    return int(not all(held))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ConfigError as error:
        say(str(error))
        sys.exit(78)
