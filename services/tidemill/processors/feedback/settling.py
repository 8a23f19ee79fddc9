"""APPROVE, REJECT and RETRACT: what people say of feedback."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from tidemill.contracts.topics import EVENTS
from tidemill.kernel.records import Position
from tidemill.processors.feedback.answers import lesson_of
from tidemill.processors.feedback.cases import RefusalError
from tidemill.processors.feedback.context import check_expert, check_free, stream_of
from tidemill.processors.feedback.decision import VETO
from tidemill.processors.feedback.saying import (
    DRIFTS,
    EXPERT,
    EXPLANATION,
    INFERENCE,
    MODEL,
    SETTLING,
)
from tidemill.processors.feedback.steering import steering_updates
from tidemill.processors.feedback.trust import IRRELEVANT, against, is_complete, votes_of
from tidemill.processors.feedback.undoing import standing, undoing
from tidemill.processors.feedback.votes import check_leaves_a_sensor, veto_of
from tidemill.processors.feedback.writing import (
    ACCEPTED,
    COUNTED,
    REFUSED,
    RETRACTED,
    Ruling,
    receipt_of,
)

if TYPE_CHECKING:
    from tidemill.processors.feedback.cases import Case
    from tidemill.processors.feedback.context import Context
    from tidemill.processors.feedback.decision import Decision
    from tidemill.processors.feedback.saying import Said
    from tidemill.processors.feedback.writing import Record


def target_of(context: Context, said: Said) -> Decision:
    """Return the feedback that a feedback is about.

    Raises:
        RefusalError: There is none that is remembered, or it is about another asset.
    """
    if said.target_id is None:
        raise RefusalError(f"{said.kind} must name a feedback by target_id, it was null")
    target = context.book.get(said.target_id)
    if target is None:
        raise RefusalError(
            f"target_id must be a feedback on this partition, {said.target_id!r} is none"
        )
    if target.asset != said.asset:
        raise RefusalError(
            f"asset must be that of the feedback, {target.asset!r}, was {said.asset!r}"
        )
    if target.status == REFUSED:
        raise RefusalError(
            f"{target.feedback_id} was refused: there is nothing to {said.kind.lower()}"
        )
    stream_of(context, said, target.stream)
    return target


def on_settling(context: Context, said: Said) -> Ruling:
    """Return what becomes of an APPROVE or REJECT.

    Raises:
        RefusalError: It cannot be taken.
    """
    target = target_of(context, said)
    check_expert(said)
    check_free(context, said)
    if not context.book.is_waiting(target):
        raise RefusalError(f"{target.feedback_id} must wait for a domain expert, it does not")
    known = {"stream": target.stream}
    partition = said.position.partition
    if said.kind == "REJECT":
        reason = f"rejected by {said.actor} ({said.feedback_id})"
        other = receipt_of(target, partition, REFUSED, reason)
        return Ruling(COUNTED, known=known, others=(other,))
    updates = _approved(context, said, target)
    reason = f"approved by {said.actor} ({said.feedback_id})"
    if updates:
        reason += f"; what models made of it, the receipt of {said.feedback_id} says"
    elif target.kind in EXPLANATION:
        reason += "; the next vote may complete a veto with it"
    other = receipt_of(target, partition, COUNTED, reason)
    sent = tuple(str(update["kind"]) for update in updates)
    vetoed = target.feature if target.held == VETO else None
    return Ruling(
        ACCEPTED if updates else COUNTED,
        updates=updates,
        others=(other,),
        known={
            **known,
            "sent": sent,
            "vetoed": vetoed,
            "voters": target.voters,
            "others": target.others,
        },
    )


def _approved(context: Context, said: Said, target: Decision) -> tuple[Record, ...]:
    """Return what models are told once a held feedback is let through."""
    recalled = recall(said, target)
    if target.held == VETO:
        assert target.feature is not None
        if target.feature in context.book.vetoes(target.asset, target.stream):
            raise RefusalError(
                f"models must not have been told of a veto of {target.feature} before, they were; "
                "one more vote tells them again"
            )
        stream = context.streams[str(target.stream)]
        check_leaves_a_sensor(context, said, stream, target.feature)
        return (veto_of(context, recalled, (_case(context, recalled), stream, target.feature)),)
    if target.kind in INFERENCE:
        lesson = lesson_of(context, recalled)
        return () if lesson is None else (lesson,)
    if target.kind in MODEL:
        return steering_updates(context, recalled)[0]
    return ()  # a vote: it counts from now on


def _case(context: Context, held: Said) -> Case | None:
    """Return the case of a vote that was held; None where it is not retained any more."""
    try:
        return context.cases.find(held)
    except RefusalError:
        return None


def recall(said: Said, target: Decision) -> Said:
    """Return a feedback as it was sent, as far as judging it again asks."""
    return replace(
        said,
        feedback_id=target.feedback_id,
        kind=target.kind,
        actor=target.actor,
        role=target.role,
        time_us=target.time_us,
        stream=target.stream,
        event_id=target.event_id,
        event=None
        if target.event is None
        else Position(EVENTS, said.position.partition, target.event),
        feature=target.feature,
        value=target.value,
        until_us=target.until_us,
        scope=target.scope,
        selection=target.selection,
        target_id=None,
    )


def on_retraction(context: Context, said: Said) -> Ruling:
    """Return what becomes of a RETRACT.

    Raises:
        RefusalError: It cannot be taken.
    """
    target = target_of(context, said)
    if said.actor != target.actor and said.role != EXPERT:
        raise RefusalError(
            f"a RETRACT must be {target.actor}'s own or a {EXPERT}'s, was {said.actor}'s"
        )
    if said.actor != target.actor:
        check_free(context, said)
    if target.kind in SETTLING and not target.sent:
        raise RefusalError(
            f"{target.kind} settled {target.target_id}: there is nothing to take back"
        )
    if target.kind in DRIFTS:
        raise RefusalError("an answer to a drift is not taken back: the models have gone by it")
    if target.kind == "RETRACT":
        raise RefusalError("a RETRACT is not taken back: send anew what it took back")
    if context.book.is_retracted(target):
        raise RefusalError(f"{target.feedback_id} was taken back already")
    undone = _undone(context, target)
    updates = tuple(undoing(said, each) for each in undone)
    reason = f"taken back by {said.actor} ({said.feedback_id})"
    others = [receipt_of(target, said.position.partition, RETRACTED, reason)]
    known = {
        "stream": target.stream,
        "undone": tuple(each.feedback_id for each in undone),
        "sent": ("RETRACT",) * len(undone),
    }
    if not updates:
        return Ruling(COUNTED, "it had changed no model", known=known, others=others)
    if target.kind not in EXPLANATION:
        others = []  # whether it was taken back or made good, the learner's receipt says
    if target.kind == "APPROVE":
        others += _unapproved(context, said, target)
    others += _restored(context, said, target)
    return Ruling(ACCEPTED, updates=updates, known=known, others=others)


def _unapproved(context: Context, said: Said, approval: Decision) -> list[Record]:
    """Return the receipt of what had been held and whose approval is taken back."""
    held = context.book.get(str(approval.target_id))
    if held is None:
        return []
    reason = (
        f"its approval was taken back ({said.feedback_id}); it waits no more: to be judged again "
        "it must be sent anew"
    )
    return [receipt_of(held, said.position.partition, REFUSED, reason)]


def _restored(context: Context, said: Said, target: Decision) -> list[Record]:
    """Return receipts of what a domain expert's answer had overruled and that counts again."""
    found = [context.book.get(name) for name in target.undone]
    reason = f"counts again: {target.feedback_id} was taken back ({said.feedback_id})"
    return [
        receipt_of(each, said.position.partition, COUNTED, reason)
        for each in found
        if each is not None
    ]


def _undone(context: Context, target: Decision) -> list[Decision]:
    """Return the decisions whose updates must be taken back with a feedback."""
    book = context.book
    if target.kind in EXPLANATION:
        return _vetoes_lost(context, target)
    return standing(book, target)


def _vetoes_lost(context: Context, target: Decision) -> list[Decision]:
    """Return the vetoes that fall without a vote.

    They stand if the rest of those that they rest on would do, or that and what was voted since.
    """
    book, limits = context.book, context.limits
    veto = book.vetoes(target.asset, target.stream).get(target.feature or "")
    if veto is None or target.kind != IRRELEVANT:
        return []
    rest = Counter(
        actor
        for name, actor in veto.voters
        if name != target.feedback_id and book.retraction(name) is None
    )
    since = [
        vote
        for vote in votes_of(book, target.asset, target.stream)
        if vote.offset > veto.offset and vote.feedback_id != target.feedback_id
    ]
    mine = against(since, str(target.feature))
    more = rest + Counter(vote.actor for vote in mine)
    others = veto.others + len(since) - len(mine)
    stands = is_complete(rest, veto.others, limits) or is_complete(more, others, limits)
    return [] if stands else [veto]
