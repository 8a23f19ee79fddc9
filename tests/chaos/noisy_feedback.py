"""What feedback is worth when three in ten of it are noise: in memory, over many seeds."""

from __future__ import annotations

import random
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

from chaos.balance import BrokenPromiseError
from chaos.sheets import Reading, Sheet, SheetPlant
from chaos.shortcut import MODELS, SENSORS, SHORTCUT, Lengths, rows
from chaos.tables import Found, Table
from fold.corrected import Corrected
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import FEEDBACK, LABELS, PREDICTIONS, UPDATES
from tidemill.fold.books import Policy
from tidemill.kernel.records import Message
from tidemill.processors.feedback.cases import LogCases
from tidemill.processors.feedback.processor import Feedback
from tidemill.processors.feedback.trust import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chaos.figures import Figures

ASSET = "line/press/one"
KINDS = ("RIGHT", "WRONG", "CORRECTED", "IRRELEVANT", "MISSING", "WRONG_DIRECTION")
CLASSES = ("0", "1")
NOISE, ACTORS = 0.3, 10
MEAN_COST, WORST_COST, RIGHT_VETOES = 1.0, 2.0, 0.95  # points, points, share of the seeds
BATCH = 250
SELDOM = Policy(snapshot_every=2_500, anchor_every=2_500)
MINUTE_MS = 60_000


class Run(NamedTuple):
    """Accuracy after the break, and the sensors vetoed."""

    accuracy: float
    vetoed: frozenset[str]


class _Line:
    """One asset, its learner and the feedback processor, all in memory."""

    def __init__(self, model: str) -> None:
        target = {"name": "answer", "kind": "binary", "classes": list(CLASSES), "ttl": "10d"}
        options = {"target": {"label": target}, "feedback": {"veto_needs": "operator"}}
        sheet = Sheet(model, SENSORS, {"champion": MODELS[model]}, kind="binary", options=options)
        self.plant = SheetPlant([sheet], partitions=1)
        terms = self.plant.terms()
        self.model = model
        self.history = Corrected(terms, policy=SELDOM)
        cases = LogCases(self.history.log, terms.definition, terms.schemas)
        self._feedback = Feedback(0, terms.definition, cases, Limits())
        self._said = 0
        self._told = 0
        self.vetoed: set[str] = set()

    def predictions(self, first: int) -> list[dict[str, Any]]:  # Any: Avro records
        """Return the predictions from a row on."""
        decode = codec("Prediction").decode
        return [decode(m.value) for m in self.history.log.topics[PREDICTIONS][first:]]

    def work(
        self, answers: Sequence[tuple[dict[str, float], int]], first: int, *, has_labels: bool
    ) -> None:
        """Predict rows, and learn their labels if they come."""
        for start in range(0, len(answers), BATCH):
            part = answers[start : start + BATCH]
            events = [
                self.history.event(
                    self.plant.value(Reading(self.model, ASSET, x), first + start + number),
                    key=ASSET.encode(),
                )
                for number, (x, _) in enumerate(part)
            ]
            self.history.apply(events)
            if has_labels:
                said = self.predictions(first + start)
                pairs = zip(said, part, strict=True)
                self.history.apply([self._example(p, str(y)) for p, (_, y) in pairs])

    def _example(self, prediction: dict[str, Any], label: str) -> Message:  # Any: an Avro record
        names = ("model", "version", "lineage", "value", "probabilities", "quality")
        self._told += 1
        update = {
            "update_id": f"l{self._told}",
            "cause": {"topic": LABELS, "partition": 0, "offset": self._told, "index": 0},
            "asset": ASSET,
            "stream": self.model,
            "kind": "EXAMPLE",
            "event_id": prediction["event_id"],
            "event": prediction["source"],
            "features": prediction["features"],
            "label": label,
            "label_time": prediction["time"],
            "stored": {name: prediction[name] for name in names},
            "origin": "label",
            "time": prediction["time"],
        }
        return self.history.update(codec("Update").encode(update))

    def say(self, record: dict[str, Any]) -> None:  # Any: an Avro record
        """Have one feedback decided, and obey what it led to."""
        value = codec("Feedback").encode(record)
        at_ms = MINUTE_MS * self._said  # nobody is too fast
        message = Message(FEEDBACK, 0, self._said, ASSET.encode(), value, (), at_ms)
        self._said += 1
        handled = self._feedback.decide(message)
        if handled.key is not None:
            self._feedback.keep(handled)
        for emit in handled.emits:
            if emit.topic == UPDATES:
                update = codec("Update").decode(emit.value)
                self.vetoed |= {update["feature"]} if update["kind"] == "VETO" else set()
                self.history.apply([self.history.update(emit.value)])
        self.history.correct()


def run(model: str, lengths: Lengths, seed: int, noise: float) -> Run:
    """Return how good a model is after the break, with so much noise in its feedback."""
    answers = rows(lengths, seed)
    line = _Line(model)
    line.work(answers[: lengths.before], 0, has_labels=True)
    rng = random.Random(seed)
    known = line.predictions(lengths.before - 2 * lengths.feedbacks)
    for number in range(lengths.feedbacks):
        line.say(_said(number, rng.choice(known), noise, rng))
    line.work(answers[lengths.before : lengths.broken], lengths.before, has_labels=True)
    line.work(answers[lengths.broken :], lengths.broken, has_labels=False)
    pairs = zip(line.predictions(lengths.broken), answers[lengths.broken :], strict=True)
    right = sum(bool(p["outcome"] == str(y)) for p, (_, y) in pairs)
    return Run(right / lengths.after, frozenset(line.vetoed))


def _said(
    number: int,
    prediction: dict[str, Any],  # Any: an Avro record
    noise: float,
    rng: random.Random,
) -> dict[str, Any]:  # Any: as above
    """Return what somebody says: that the shortcut is one, or anything at all."""
    kind, feature = "IRRELEVANT", SHORTCUT
    if rng.random() < noise:
        kind, feature = rng.choice(KINDS), rng.choice(SENSORS)
    return {
        "feedback_id": f"f{number}",
        "kind": kind,
        "event_id": prediction["event_id"],
        "event": prediction["source"],
        "asset": ASSET,
        "stream": prediction["stream"],
        "feature": feature if kind in KINDS[3:] else None,
        "value": rng.choice(CLASSES) if kind == "CORRECTED" else None,
        "actor": f"operator-{rng.randrange(ACTORS)}",
        "role": "operator",
        "time": prediction["time"],
    }


def prove_noise(
    lengths: Lengths, seeds: Sequence[int], models: Sequence[str], say: Callable[[str], None]
) -> Found:
    """Compare feedback with and without noise, seed by seed.

    Raises:
        BrokenPromiseError: Noise costs too much, or vetoes the wrong sensor too often.
    """
    table = [_row(model, lengths, seeds, say) for model in models]
    figures: Figures = {
        "feedback": f"{lengths.feedbacks} by {ACTORS} operators on the stream of the shortcut; "
        f"{NOISE:.0%} of it uniform over kind ({', '.join(KINDS)}), sensor and value",
        "cost": "accuracy after the break with feedback free of noise, less that with noise",
    }
    head = ("model", "seeds", "mean cost, points", "worst, points", "right sensor alone vetoed")
    return Found(figures, [Table("What noise costs:", head, table)])


def _row(
    model: str, lengths: Lengths, seeds: Sequence[int], say: Callable[[str], None]
) -> list[str]:
    costs, right = [], 0
    for seed in seeds:
        clean, noisy = (run(model, lengths, seed, noise) for noise in (0.0, NOISE))
        costs.append(100 * (clean.accuracy - noisy.accuracy))
        right += noisy.vetoed == {SHORTCUT}
        say(f"{model}, seed {seed}: {clean.accuracy:.4f}, with noise {noisy.accuracy:.4f}")
    mean, worst = fmean(costs), max(costs)
    if mean > MEAN_COST or worst > WORST_COST or right < RIGHT_VETOES * len(seeds):
        msg = (
            f"{model}: noise must cost at most {MEAN_COST} points in the mean and {WORST_COST} at "
            f"worst, and veto {SHORTCUT} alone in {RIGHT_VETOES:.0%} of {len(seeds)} runs, was "
            f"{mean:.2f}, {worst:.2f}, {right}"
        )
        raise BrokenPromiseError(msg)
    return [model, str(len(seeds)), f"{mean:.2f}", f"{worst:.2f}", f"{right} of {len(seeds)}"]
