"""A partition whose labels and feedback are corrected, by the learner itself."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from fold.history import KEY, History
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS, FEEDBACK, LEDGER, OUTCOMES, RECEIPTS, UPDATES
from tidemill.fold.audit.starting import drained
from tidemill.fold.books import Policy
from tidemill.fold.idle import IdleModels, Room
from tidemill.fold.ledger import Entry
from tidemill.processors.learner.correcting import Allowance
from tidemill.processors.learner.processor import Learner, LearnerFactory
from tidemill.testing.plants import FEATURES, event_value, sample_terms, update_value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tidemill.fold.terms import Terms
    from tidemill.kernel.records import Message

ASSET, OTHER = "north/1", "south/1"
TREE = ({"tree.HoeffdingTreeRegressor": {"leaf_prediction": "mean", "grace_period": 20}},)
FOREST = ({"forest.ARFRegressor": {"n_models": 3, "grace_period": 20}},)
POLICY = Policy(snapshot_every=12, anchor_every=10, define_every=50)
GENEROUS = Allowance()


def terms_of(champion: Sequence[Any], **more: Any) -> Terms:
    """Return the sample plant's terms on one partition."""
    return sample_terms(champion, partitions=2, **more)


class Ticking:
    """A clock that moves, by a millisecond perhaps, whenever somebody looks."""

    def __init__(self, step_s: float = 0.001) -> None:
        self.now = 0.0
        self._step_s = step_s

    def __call__(self) -> float:
        self.now += self._step_s
        return self.now


class Corrected(History):
    """Lets a learner apply events, labels and feedback, and correct itself."""

    def __init__(
        self,
        terms: Terms,
        *,
        policy: Policy = POLICY,
        allowance: Allowance = GENEROUS,
        clock: Callable[[], float] | None = None,
        seed: int = 1,
        live_models: int | None = None,
    ) -> None:
        self.live_models = live_models
        self.allowance = allowance
        self.clock = Ticking() if clock is None else clock
        self.rng = random.Random(seed)
        self.number = 0
        self.terms = terms
        super().__init__(terms, policy=policy)

    def open(self, terms: Terms, *, from_end: bool = False, redefines: bool = False) -> Learner:
        """Start a learner, as a worker does after each assignment."""
        for topic in (OUTCOMES, RECEIPTS):
            self.log.topics.setdefault(topic, [])
            self.log.ends.setdefault(topic, 0)
        factory = LearnerFactory(
            terms,
            KEY,
            self._policy,
            from_end=from_end,
            redefines=redefines,
            idle=lambda _: IdleModels(room=Room(self.live_models)),
            clock=self.clock,
            allowance=self.allowance,
        )
        committed = self.positions if self.log.topics[LEDGER] else {}
        opened = drained(factory.open(0, {t: committed.get(t) for t in self.positions}, self.log))
        assert isinstance(opened.task, Learner)
        self.positions = dict(opened.positions)
        self._write(opened.first_emits)
        self.learner = opened.task
        self.terms = terms
        return self.learner

    def x(self) -> dict[str, float]:
        """Return the features of a case that nobody saw before."""
        return {
            "vibration": self.rng.uniform(0, 10),
            "temperature": self.rng.gauss(20, 4),
            "flow": self.rng.random(),
        }

    def events(self, count: int, *, asset: str = ASSET, labelled: bool = True) -> list[Message]:
        """Write events, not yet applied."""
        found = []
        for _ in range(count):
            x = self.x()
            self.number += 1
            y = 2 * x["vibration"] + (1 if x["flow"] > 0.5 else -1) + self.rng.gauss(0, 0.1)
            value = event_value(asset, self.number, x, y if labelled else None)
            found.append(self.event(value, key=asset.encode()))
        return found

    def example(self, feedback: str | None = None, *, asset: str = ASSET, **fields: Any) -> Message:
        """Write an example: a late label, or a correction by feedback."""
        self.number += 1
        label = fields.pop("label", self.rng.gauss(50, 20))
        fields.setdefault("event_id", f"l{self.number}")
        return self.update(self._value(feedback, label, asset=asset, **fields))

    def revision(self, of: str, label: float, revision: int = 1, **fields: Any) -> Message:
        """Write another label of an event."""
        return self.example(event_id=of, label=label, revision=revision, replaced=0.5, **fields)

    def say(self, kind: str, feedback: str, *, asset: str = ASSET, **fields: Any) -> Message:
        """Write what a feedback asks for."""
        self.number += 1
        label = fields.pop("label", None)
        return self.update(self._value(feedback, label, asset=asset, kind=kind, **fields))

    def _value(
        self, feedback: str | None, label: float | str | None, *, asset: str, **fields: Any
    ) -> bytes:
        x: Mapping[str, float] = fields.pop("x", None) or self.x()
        if feedback is None:
            return update_value(asset, self.number, x, label, **fields)
        value = update_value(asset, self.number, x, label, **{"origin": feedback, **fields})
        update = codec("Update").decode(value)
        update["cause"] |= {"topic": FEEDBACK, "partition": 0}
        return codec("Update").encode(update)

    def apply(self, *batches: Sequence[Message]) -> None:
        """Apply batches as one transaction."""
        self.commit([batch for batch in batches if batch])

    def correct(self, *, slices: int | None = None, budget_s: float = 0.02) -> bool:
        """Work until nothing waits, or for so many slices; return whether anything was swapped."""
        swapped = False
        while self.learner.is_busy and slices != 0:
            slices = None if slices is None else slices - 1
            if self.learner.work(budget_s):
                self._write(self.learner.take_over(self.positions))
                swapped = True
        return swapped

    def entries(self) -> list[Entry]:
        """Return the ledger."""
        return [Entry.decode(message.value) for message in self.log.topics[LEDGER]]

    def actions(self, kind: str) -> list[Mapping[str, str]]:
        """Return the details of all actions of a kind."""
        return [a.detail for entry in self.entries() for a in entry.actions if a.kind == kind]

    def receipts(self) -> list[dict[str, Any]]:
        """Return all receipts."""
        return [codec("Receipt").decode(m.value) for m in self.log.topics[RECEIPTS]]

    def predictions(self) -> list[dict[str, Any]]:
        """Return all predictions."""
        return [codec("Prediction").decode(m.value) for m in self.log.topics["model.predictions"]]


__all__ = ["ASSET", "EVENTS", "FEATURES", "OTHER", "UPDATES", "Corrected"]
