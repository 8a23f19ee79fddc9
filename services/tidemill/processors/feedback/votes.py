"""IRRELEVANT, MISSING and WRONG_DIRECTION: votes on explanations, and what vetoes a sensor."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tidemill.contracts.stream import StreamDefinition  # noqa: TC001 - a type at run time too
from tidemill.models.vetoing import concerned
from tidemill.processors.feedback.cases import RefusalError
from tidemill.processors.feedback.context import case_of, held_until
from tidemill.processors.feedback.decision import QUARANTINE, VETO
from tidemill.processors.feedback.saying import EXPERT, EXPLANATION
from tidemill.processors.feedback.trust import IRRELEVANT, against, is_complete, votes_on
from tidemill.processors.feedback.writing import (
    ACCEPTED,
    COUNTED,
    HELD,
    Ruling,
    about,
    update_of,
)

if TYPE_CHECKING:
    from tidemill.processors.feedback.cases import Case
    from tidemill.processors.feedback.context import Context
    from tidemill.processors.feedback.decision import Decision
    from tidemill.processors.feedback.saying import Said
    from tidemill.processors.feedback.writing import Record


def on_vote(context: Context, said: Said) -> Ruling:
    """Return what becomes of a vote.

    Raises:
        RefusalError: It cannot be taken.
    """
    case, stream = case_of(context, said, "explanation")
    names = [feature.name for feature in stream.features]
    if said.feature not in names:
        raise RefusalError(f"feature must be one of {', '.join(names)}, was {said.feature!r}")
    is_first = not _has_voted(context, said, case)
    known = {
        "stream": stream.name,
        "event": case.event,
        "event_id": case.prediction["event_id"],
        "counts": is_first,
    }
    held = held_until(context, said)
    if held is not None:
        return Ruling(HELD, held, known={**known, "held": QUARANTINE}, case=case)
    in_force = context.book.vetoes(said.asset, stream.name).get(said.feature)
    if said.kind == IRRELEVANT and in_force is not None:
        update = _again(context, said, (case, stream, said.feature), in_force)
        reason = (
            f"the veto of {said.feature} was sent before and is sent again; the receipts of "
            f"{in_force.feedback_id} say what became of it"
        )
        return Ruling(COUNTED, reason, updates=(update,), known=known, case=case)
    if not is_first:
        reason = "one vote of a person on an event counts, this is another"
        return Ruling(COUNTED, reason, known=known, case=case)
    if said.kind != IRRELEVANT:
        reason = "noted for domain experts; by itself it changes no model"
        return Ruling(COUNTED, reason, known=known, case=case)
    ruling = _against(context, said, case, stream)
    return Ruling(
        ruling.status, ruling.reason, ruling.updates, known={**known, **ruling.known}, case=case
    )


def _has_voted(context: Context, said: Said, case: Case) -> bool:
    return any(
        decision.counts and decision.actor == said.actor
        for decision in context.book.of_event(case.event)
        if decision.kind in EXPLANATION and not context.book.is_retracted(decision)
    )


class Poll:
    """The votes on one sensor as they stand.

    Args:
        since: Offset of what last settled the matter: votes before it count no more.
    """

    def __init__(self, context: Context, said: Said, stream: str, feature: str) -> None:
        since = _rejected_at(context, said, stream, feature)
        self.all = votes_on(context.book, said, stream, context.limits)
        self.mine = against(self.all, feature, since)


def _rejected_at(context: Context, said: Said, stream: str, feature: str) -> int:
    """Return the offset at which an expert last decided against a veto; -1 if none did."""
    ends = [-1]
    for decision in context.book.of_asset(said.asset, stream):
        if decision.held == VETO and decision.feature == feature:
            settled = context.book.settlement(decision.feedback_id)
            if settled is not None and settled.kind == "REJECT":
                ends.append(settled.offset)
    return max(ends)


def _against(context: Context, said: Said, case: Case, stream: StreamDefinition) -> Ruling:
    """Return what one more vote against a sensor does."""
    assert said.feature is not None
    poll = Poll(context, said, stream.name, said.feature)
    limits, others = context.limits, len(poll.all) - len(poll.mine)
    voters = (*((v.feedback_id, v.actor) for v in poll.mine), (said.feedback_id, said.actor))
    by_actor = Counter(actor for _, actor in voters)
    if not is_complete(by_actor, others, limits):
        reason = (
            f"{len(voters)} votes of {len(by_actor)} people against {said.feature}, of "
            f"{len(voters) + others} on explanations of {said.asset}; a veto takes "
            f"{limits.votes} of {limits.voters} people and {limits.share:.0%}"
        )
        return Ruling(COUNTED, reason)
    rests = {"voters": voters, "others": others}
    check_leaves_a_sensor(context, said, stream, said.feature)
    has_expert = EXPERT in {said.role, *(vote.role for vote in poll.mine)}
    if stream.feedback.veto_needs == EXPERT and not has_expert:
        waiting = _waiting(context, said, stream.name)
        if waiting is not None:
            reason = f"a domain expert is asked already, by {waiting.feedback_id}"
            return Ruling(COUNTED, reason)
        reason = f"the votes would veto {said.feature}; a domain expert is to APPROVE or REJECT"
        return Ruling(HELD, reason, known={**rests, "held": VETO})
    update = veto_of(context, said, (case, stream, said.feature))
    known = {**rests, "sent": ("VETO",), "vetoed": said.feature}
    return Ruling(ACCEPTED, updates=(update,), known=known)


def _waiting(context: Context, said: Said, stream: str) -> Decision | None:
    for decision in context.book.of_asset(said.asset, stream):
        is_it = decision.held == VETO and decision.feature == said.feature
        if is_it and context.book.is_waiting(decision):
            return decision
    return None


def check_leaves_a_sensor(
    context: Context, said: Said, stream: StreamDefinition, feature: str
) -> None:
    """Hold that a veto leaves models something to answer by.

    Raises:
        RefusalError: Nothing would be left.
    """
    vetoed = context.book.vetoes(said.asset, stream.name)
    gone = {name for each in (*vetoed, feature) for name in concerned(stream.features, each)}
    if all(each.name in gone for each in stream.features):
        raise RefusalError(
            f"a veto must leave stream {stream.name} at least one other sensor, {feature} is the "
            f"last after {', '.join(sorted(vetoed))}; RETRACT one of them first"
        )


def _again(
    context: Context, said: Said, vetoed: tuple[Case, StreamDefinition, str], before: Decision
) -> Record:
    """Return a veto once more, for models that did not take it or are others now."""
    return {**veto_of(context, said, vetoed), "origin": before.feedback_id}


def veto_of(
    context: Context, said: Said, vetoed: tuple[Case | None, StreamDefinition, str]
) -> Record:
    """Return what models are told of a veto; the case, if it is known, shows what it changes."""
    case, stream, feature = vetoed
    if case is None:
        return update_of(said, "VETO", stream.name, feature=feature)
    try:
        features = context.cases.features(case, stream)
    except RefusalError:
        features = None  # the veto needs no case, only its receipt shows one
    return update_of(said, "VETO", stream.name, **about(case), features=features, feature=feature)
