"""A producer's first call: it waits for the world, and halts on what waiting does not mend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.runtime.clients import KafkaError, KafkaException, kafka_error
from tidemill.runtime.failures import FENCED, Remedy, refused, remedy

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidemill.runtime.clients import TransactionalProducer

# Between two tries.
PAUSE_S = 0.5

# The configuration and the cluster do not fit one another: the next try ends the same way.
_UNFIT = frozenset(
    {
        KafkaError.INVALID_TRANSACTION_TIMEOUT,
        KafkaError.UNSUPPORTED_VERSION,
        KafkaError._UNSUPPORTED_FEATURE,
    }
)


def is_initialised(
    producer: TransactionalProducer, timeout_s: float, breathe: Callable[[str], None]
) -> bool:
    """Initialise a producer, waiting as long as it takes; return False if it takes another one.

    Raises:
        InvariantError: No producer can be initialised as this one is configured.
    """
    while True:
        try:
            producer.init_transactions(timeout_s)
        except KafkaException as error:
            found = kafka_error(error)
            if _is_hopeless(found):
                raise refused(found) from error
            breathe(str(found.name()))
            producer.poll(PAUSE_S)
            if remedy(found) is not Remedy.REPEAT:
                return False
        else:
            return True


def _is_hopeless(error: KafkaError) -> bool:
    is_broken = error.fatal() and error.code() not in FENCED
    return is_broken or error.code() in _UNFIT or remedy(error) is Remedy.HALT
