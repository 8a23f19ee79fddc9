"""An event as the fold sees it, and who may look on while it is predicted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from tidemill.contracts.topics import EVENTS

if TYPE_CHECKING:
    from tidemill.contracts.events import Event
    from tidemill.fold.gate import Checked
    from tidemill.fold.plans import StreamPlan
    from tidemill.fold.tracked import AssetModels
    from tidemill.kernel.records import Message
    from tidemill.models.outputs import Label


class Seen(NamedTuple):
    """An event that was read, the label in it, and where the ledger will say that it was."""

    plan: StreamPlan
    event: Event
    label: Label | None
    message: Message
    sequence: int

    @property
    def event_id(self) -> str:
        """What the prediction on the event is called."""
        own, message = self.event.event_id, self.message
        return f"{EVENTS}-{message.partition}-{message.offset}" if own is None else own


class Witness(Protocol):
    """Is shown predictions."""

    def __call__(
        self,
        seen: Seen,
        asset: AssetModels,
        x: dict[str, Any],  # Any: numbers and strings
        *,
        judged: Checked,
        outcome: str | None,
    ) -> None:
        """Look at the prediction on an event as `asset` makes it of `x`; change nothing."""
