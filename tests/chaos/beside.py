"""Processors beside the learners of a mesh, as processes: any of them, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from chaos.workers import WorkerProcess

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from chaos.mesh import Mesh


class Beside:
    """Workers of one processor, by instance name; all end with the block.

    Args:
        processor: As `tidemill run` names it.
        folder: For their logs.
        flags: Further flags of `tidemill run`.
    """

    def __init__(self, processor: str, mesh: Mesh, folder: Path, flags: Sequence[str] = ()) -> None:
        self.workers: dict[str, WorkerProcess] = {}
        self._processor = processor
        self._mesh = mesh
        self._folder = folder
        self._flags = list(flags)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers.values():
            worker.destroy()

    def start(self, *names: str) -> None:
        """Start workers of these instance names."""
        for name in names:
            if name not in self.workers:
                command = self._mesh.tidemill(
                    "run", self._processor, "--instance", name, *self._mesh.signed, *self._flags
                )
                self.workers[name] = WorkerProcess(name, command, self._folder / f"{name}.log")
            self.workers[name].start()

    def up(self) -> list[WorkerProcess]:
        """Return those that are up."""
        return [worker for worker in self.workers.values() if worker.is_up]

    def check(self) -> None:
        """Hold that every one that should live does."""
        for worker in self.workers.values():
            worker.check()

    def end(self) -> None:
        """End all of them in good order."""
        for worker in self.up():
            worker.end()
