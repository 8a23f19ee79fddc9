"""What was decided of one feedback, as it is remembered."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from tidemill.kernel.errors import InvariantError

if TYPE_CHECKING:
    from tidemill.processors.feedback.saying import Said

FORMAT = 1

# Why a feedback waits for a domain expert.
VETO = "veto"
DISAGREEMENT = "disagreement"
QUARANTINE = "quarantine"


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision, and all that later ones ask of it.

    Attributes:
        offset: Of the feedback; its partition is the table's.
        time_ms: When the feedback came; see `Said`.
        time_us: When it was said, by its sender.
        digest: Of its bytes: another feedback of the same id is told from it.
        event: Offset of the sensor event it is about.
        answer: What it says the right answer is: a number, or the key of a class.
        tolerance: Answers that are numbers and differ by no more are the same.
        status: The last receipt it was given here; ACCEPTED where the learner gives the last.
        held: Why it waits for a domain expert; empty where it does not.
        sent: Kinds of the updates it caused.
        vetoed: The sensor whose veto it completed.
        undone: Feedback whose updates it takes back.
        voters: Of a veto, the votes it rests on: each feedback and whose it is.
        others: Of a veto, how many other votes there were on explanations of the asset.
        counts: Whether it is a vote that counts: the first of a person on an event.
        quarantines: Whose word is held from it on: it was one contradiction too many.
        emits: Topic, key and value of all it caused, in order.
    """

    offset: int
    time_ms: int
    digest: str
    feedback_id: str
    kind: str
    asset: str
    actor: str
    role: str
    status: str
    time_us: int = 0
    stream: str | None = None
    event: int | None = None
    event_id: str | None = None
    feature: str | None = None
    target_id: str | None = None
    value: float | bool | str | None = None
    until_us: int | None = None
    scope: str | None = None
    selection: float | None = None
    answer: float | str | None = None
    tolerance: float = 0.0
    held: str = ""
    sent: tuple[str, ...] = ()
    vetoed: str | None = None
    undone: tuple[str, ...] = ()
    voters: tuple[tuple[str, str], ...] = ()
    others: int = 0
    counts: bool = False
    quarantines: tuple[str, ...] = ()
    emits: tuple[tuple[str, bytes, bytes], ...] = ()

    def encode(self) -> bytes:
        """Return the decision as bytes."""
        fields = asdict(self)
        fields["emits"] = [[topic, *map(_text, parts)] for topic, *parts in self.emits]
        return json.dumps({"format": FORMAT, **fields}, separators=(",", ":")).encode()


def decode_decision(value: bytes) -> Decision:
    """Return the decision that was encoded.

    Raises:
        InvariantError: The bytes are none of this version's.
    """
    try:
        fields = json.loads(value)
        found = fields.pop("format")
        if found != FORMAT:
            msg = f"format must be {FORMAT}, was {found!r}"
            raise ValueError(msg)
        emits = tuple((topic, *map(base64.b64decode, texts)) for topic, *texts in fields["emits"])
        lists = {name: tuple(fields[name]) for name in ("sent", "undone", "quarantines")}
        voters = tuple((name, actor) for name, actor in fields["voters"])
        return Decision(**{**fields, **lists, "voters": voters, "emits": emits})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"a decision that is remembered must be readable, found {error}"
        raise InvariantError(msg) from error


def _text(part: bytes) -> str:
    return base64.b64encode(part).decode()


def key_of(partition: int, feedback_id: str) -> bytes:
    """Return under which key a decision is remembered: the table holds several partitions."""
    return f"{partition}|{feedback_id}".encode()


def decision_of(said: Said, digest: str, status: str, **known: object) -> Decision:
    """Return a decision of a feedback; `known` are further attributes."""
    fields: dict[str, object] = {
        "stream": said.stream,
        "event": None if said.event is None else said.event.offset,
        "event_id": said.event_id,
        "feature": said.feature,
        "target_id": said.target_id,
        "time_us": said.time_us,
        "value": said.value,
        "until_us": said.until_us,
        "scope": said.scope,
        "selection": said.selection,
        **known,
    }
    return Decision(
        said.position.offset,
        said.time_ms,
        digest,
        said.feedback_id,
        said.kind,
        said.asset,
        said.actor,
        said.role,
        status,
        **fields,  # type: ignore[arg-type]  # attributes by name
    )
