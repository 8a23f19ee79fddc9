"""Predictions: those that wait for a label, as they wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tidemill.contracts.codec import codec
from tidemill.contracts.heads import first_texts
from tidemill.kernel.errors import InvalidRecordError, InvariantError
from tidemill.processors.labeller.examples import keep

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidemill.contracts.pending import Kept
    from tidemill.kernel.records import Message
    from tidemill.processors.labeller.streams import LabelStream

DUPLICATE = "DUPLICATE"


class ReadPrediction(NamedTuple):
    """A prediction: what is kept of it, if anything.

    Attributes:
        is_bare: Whether it was made before predictions carried what models were asked with.
        is_again: Whether the event had been predicted before: its label is the first one's.
    """

    kept: Kept | None = None
    is_bare: bool = False
    is_again: bool = False


NOT_OURS = ReadPrediction()


class PredictionReader:
    """Reads predictions of one plant.

    Args:
        streams: Those whose labels come apart from their events, by name.
    """

    def __init__(self, streams: Mapping[str, LabelStream]) -> None:
        self._streams = {name.encode(): stream for name, stream in streams.items()}

    @staticmethod
    def following(message: Message) -> int:
        """Return the offset behind the event of a prediction, of whatever stream."""
        return int(codec("Prediction").decode(message.value)["source"]["offset"]) + 1

    def read(self, message: Message) -> ReadPrediction:
        """Return what there is to keep of a prediction.

        Raises:
            InvariantError: It is none; only our own learners write that topic.
        """
        heads = first_texts(message.value, 3)
        stream = self._streams.get(heads[2]) if len(heads) == 3 else None
        if stream is None and len(heads) == 3:
            return NOT_OURS
        try:
            record = codec("Prediction").decode(message.value)
        except InvalidRecordError as error:
            msg = (
                f"{message.position}: must be a prediction that this release reads, {error}; "
                "run the learner's release, nothing of this poll was committed"
            )
            raise InvariantError(msg) from error
        if stream is None:
            return NOT_OURS
        if DUPLICATE in record["quality"]:
            return ReadPrediction(is_again=True)
        if record["features"] is None:
            return ReadPrediction(is_bare=True)
        return ReadPrediction(keep(record, stream, message))
