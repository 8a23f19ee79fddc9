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
        KafkaError.UNSUPPORTED_SASL_MECHANISM,
    }
)

# Refusals if they last: a broker that goes down breaks handshakes off, which looks the same.
_DOUBTFUL = frozenset({KafkaError._AUTHENTICATION, KafkaError._SSL})

# Another producer has our transactional id, or the broker timed our transaction out.
FENCED = frozenset(
    {KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED}
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
        KafkaError.CONCURRENT_TRANSACTIONS,
        KafkaError.FETCH_SESSION_ID_NOT_FOUND,
        KafkaError.INVALID_FETCH_SESSION_EPOCH,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        KafkaError.THROTTLING_QUOTA_EXCEEDED,
        KafkaError.UNSTABLE_OFFSET_COMMIT,
    }
)


def is_refusal(error: KafkaError) -> bool:
    """Return whether the cluster refuses this client: rights, credentials."""
    return error.code() in _REFUSALS


def is_doubtful(error: KafkaError) -> bool:
    """Return whether it may be a refusal, or a broker on its way down: time tells."""
    return error.code() in _DOUBTFUL


def refused(error: KafkaError) -> InvariantError:
    """Return what to halt on when the cluster refuses this client."""
    msg = f"the cluster must accept this worker, it refused: {error.name()}: {error.str()}"
    return InvariantError(msg)


def remedy(error: KafkaError) -> Remedy:
    """Return what to do about a failed transactional call (rules 8 and 9)."""
    if is_refusal(error):
        return Remedy.HALT
    if error.fatal():
        return Remedy.REPLACE
    if error.txn_requires_abort():
        return Remedy.ABORT
    if error.retriable() or error.code() in _PASSING or is_doubtful(error):
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
    """Let pass what passes by itself, and what `tidemill.runtime.outage.Doubts` watches.

    Raises:
        InvariantError: A refusal, a fatal state, or anything not known to pass (rule 14).
    """
    if error.code() in _PASSING or (error.retriable() and not error.fatal()):
        return
    if is_doubtful(error) and not error.fatal():
        return
    if is_refusal(error):
        raise refused(error)
    msg = f"Kafka must give records or errors that pass, gave {error.name()}: {error.str()}"
    raise InvariantError(msg)
