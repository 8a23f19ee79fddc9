"""What a group has committed, asked of a coordinator that may still be reading its groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiokafka.errors import (
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    NotCoordinatorError,
    for_code,
)
from aiokafka.protocol.commit import OffsetFetchRequest

if TYPE_CHECKING:
    from faust.types import TP

_ELSEWHERE = (CoordinatorNotAvailableError, NotCoordinatorError)


async def committed_of(coordinator: Any, tp: TP) -> int | None:  # Any: aiokafka's
    """Return what the group has committed of a partition; None where it has not.

    aiokafka's own question looks for errors beside each partition. A coordinator that has just
    come up says so beside the answer, and names no partition: that would be taken for nothing
    committed.

    Raises:
        KafkaError: There is no coordinator that answers now, or it refuses.
    """
    await coordinator.ensure_coordinator_known()
    question = OffsetFetchRequest(coordinator.group_id, [(tp.topic, [tp.partition])])
    answer = await coordinator._send_req(question)
    found = [(offset, code) for _, parts in answer.topics for _, offset, _, code in parts]
    for code in (getattr(answer, "error_code", 0), *(code for _, code in found)):
        if code != 0:
            error = for_code(code)
            if issubclass(error, _ELSEWHERE):
                coordinator.coordinator_dead()
            raise error
    if not found:
        raise CoordinatorLoadInProgressError
    offset: int = found[0][0]
    return offset if offset >= 0 else None
