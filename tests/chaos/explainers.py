"""The explainers of a mesh, as processes beside its learners."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from chaos.waiting import await_value
from chaos.workers import WorkerEndedError, WorkerProcess

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from chaos.mesh import Mesh

HALTS_WITHIN_S = 300.0


class Explainers:
    """Explainers of one mesh, by instance name; all end with the block.

    Args:
        folder: For their logs.
        flags: Further flags of `tidemill run explainer`.
    """

    def __init__(self, mesh: Mesh, folder: Path, flags: Sequence[str] = ()) -> None:
        self.workers: dict[str, WorkerProcess] = {}
        self._mesh = mesh
        self._folder = folder
        self._flags = list(flags)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers.values():
            worker.destroy()

    def start(self, *names: str) -> None:
        """Start explainers of these instance names."""
        for name in names:
            if name not in self.workers:
                command = self._mesh.tidemill(
                    "run", "explainer", "--instance", name, *self._mesh.signed, *self._flags
                )
                self.workers[name] = WorkerProcess(name, command, self._folder / f"{name}.log")
            self.workers[name].start()

    def up(self) -> list[WorkerProcess]:
        """Return the explainers that are up."""
        return [worker for worker in self.workers.values() if worker.is_up]

    def check(self) -> None:
        """Hold that every explainer that should live does."""
        for worker in self.workers.values():
            worker.check()

    def end(self) -> None:
        """End all of them in good order."""
        for worker in self.up():
            worker.end()

    def await_halt(self, name: str) -> str:
        """Wait until an explainer ends by itself; return the reason it gives."""
        worker = self.workers[name]

        def reason() -> str | None:
            try:
                worker.check()
            except WorkerEndedError:
                return next((str(line["reason"]) for line in worker.told("halted")), worker.said())
            return None

        return await_value(reason, lambda: f"a halt of {name}: {worker.said()}", HALTS_WITHIN_S)
