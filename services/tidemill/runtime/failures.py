"""What a Kafka error means for the loop: nothing, wait, or halt."""

from __future__ import annotations

from enum import Enum, auto

from tidemill.kernel.errors import InvariantError
from tidemill.runtime.clients import KafkaError


class Remedy(Enum):
    """What to do about a failed call."""

    REPEAT = auto()
    ABORT = auto()
    REPLACE = auto()
    HALT = auto()


# The operator's to mend, whatever the client thinks of it: waiting would hide it for ever.
_REFUSALS = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError._AUTHENTICATION,
        KafkaError._SSL,
        KafkaError.UNSUPPORTED_SASL_MECHANISM,
    }
)

# The world's: the client goes on by itself.
_PASSING = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._TRANSPORT,
        KafkaError._TIMED_OUT,
        KafkaError._RESOLVE,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._DESTROY_BROKER,
        KafkaError._NODE_UPDATE,
        KafkaError._WAIT_COORD,
        KafkaError._MAX_POLL_EXCEEDED,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.KAFKA_STORAGE_ERROR,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.LEADER_NOT_AVAILABLE,
    }
)


def is_refusal(error: KafkaError) -> bool:
    """Return whether the cluster refuses this client: rights, credentials, certificates."""
    return error.code() in _REFUSALS


def remedy(error: KafkaError) -> Remedy:
    """Return what to do about a failed transactional call (rules 8 and 9)."""
    if is_refusal(error):
        return Remedy.HALT
    if error.fatal():
        return Remedy.REPLACE
    if error.txn_requires_abort():
        return Remedy.ABORT
    if error.retriable() or error.code() in _PASSING:
        return Remedy.REPEAT
    return Remedy.ABORT


def check_message_error(error: KafkaError) -> bool:
    """Return whether an error in the place of a message is an end of partition.

    Raises:
        InvariantError: Neither that nor something that passes (rule 14).
    """
    if error.code() == KafkaError._PARTITION_EOF:
        return True
    check_callback_error(error)
    return False


def check_callback_error(error: KafkaError) -> None:
    """Let pass what passes by itself.

    Raises:
        InvariantError: A refusal, a fatal state, or anything not known to pass (rule 14).
    """
    if error.code() in _PASSING or (error.retriable() and not error.fatal()):
        return
    if is_refusal(error):
        msg = f"the cluster must accept this worker, it refused: {error.name()}: {error.str()}"
        raise InvariantError(msg)
    msg = f"Kafka must give records or errors that pass, gave {error.name()}: {error.str()}"
    raise InvariantError(msg)
