"""What plain River makes of labels in the order that the ledger recorded, revisions in place."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log
from typing import TYPE_CHECKING, Any, NamedTuple

from river import linear_model, preprocessing, tree

from chaos.balance import BrokenPromiseError
from chaos.plain_river import Said, bits, said_in
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS, UPDATES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from chaos.reading import Record

Avro = dict[str, Any]  # Any: the values of a record
X = dict[str, float]
CLASSES = ("0", "1")
SMALLEST = 1e-15

POWER, LOOP = "power", "loop"
PIPELINES: Mapping[str, Sequence[Callable[[], Any]]] = {  # Any: River carries no types
    POWER: (
        lambda: preprocessing.StandardScaler() | linear_model.LogisticRegression(),
        tree.HoeffdingTreeClassifier,
    ),
    LOOP: (
        lambda: preprocessing.StandardScaler() | linear_model.LinearRegression(),
        tree.HoeffdingTreeRegressor,
    ),
}
NAMES = {POWER: ("power/champion", "power/tree"), LOOP: ("loop/champion", "loop/tree")}


class Lesson(NamedTuple):
    """What was learned of one event, and which update said so."""

    event_id: str
    x: X
    label: Any  # Any: a number, or the key of a class
    offset: int
    revision: int


@dataclass(slots=True)
class _Model:
    """One model; what it was told, and the corrections that it has not learned yet."""

    pipeline: Any  # Any: as above
    told: list[Lesson] = field(default_factory=list)
    waiting: list[Lesson] = field(default_factory=list)

    def is_superseded(self, lesson: Lesson) -> bool:
        """Return whether a later revision is known: labellers may overtake one another."""
        return any(
            each.event_id == lesson.event_id and each.revision > lesson.revision
            for each in (*self.told, *self.waiting)
        )

    def lessons(self) -> list[Lesson]:
        """Return what is in force, the highest revision where the first label stood."""
        found: dict[str, Lesson] = {}
        for each in sorted(self.told, key=lambda lesson: lesson.offset):
            first = found.setdefault(each.event_id, each)
            if each.revision > first.revision:
                found[each.event_id] = each._replace(offset=first.offset)
        return list(found.values())


class Judged(NamedTuple):
    """A label beside what was stored of its event, and what the model says when it comes."""

    label: Any  # Any: as in Lesson
    stored: Any  # Any: a number, or probabilities
    again: Any  # Any: as stored


class LabelOracle:
    """Folds one partition in recorded order: events ask, updates teach, swaps teach anew.

    Attributes:
        judged: By stream and asset, every labelled event, the label in force last.
        compared: Answers held against stored predictions.
    """

    def __init__(self, events: Sequence[Avro], predictions: Sequence[Avro]) -> None:
        self.judged: dict[tuple[str, str], dict[str, Judged]] = {}
        self.compared = 0
        self._events = {each["offset"]: each for each in events}
        self._predictions = {each["source"]["offset"]: each for each in predictions}
        self._x: dict[str, X] = {}
        self._stored: dict[str, Avro] = {}
        self._models: dict[tuple[str, str], list[_Model]] = {}

    def follow(self, entries: Sequence[Avro], updates: Mapping[int, Avro]) -> None:
        """Apply what the ledger's entries name, in order.

        Raises:
            BrokenPromiseError: A stored prediction is not what plain River says there.
        """
        for entry in entries:
            for run in entry["runs"]:
                for offset in range(run["first"], run["last"] + 1):
                    if run["topic"] == EVENTS and offset in self._events:
                        self._ask(self._events[offset])
                    elif run["topic"] == UPDATES and offset in updates:
                        self._teach(updates[offset], offset)
            for action in entry["actions"]:
                if action["kind"] in {"swap", "compensate"}:
                    self._correct(action)

    def _of(self, stream: str, asset: str) -> list[_Model]:
        key = (stream, asset)
        if key not in self._models:
            self._models[key] = [_Model(build()) for build in PIPELINES[stream]]
        return self._models[key]

    def _ask(self, event: Avro) -> None:
        stream = event["stream"]
        prediction = self._predictions[event["offset"]]
        answers = [ask(stream, model.pipeline, event["x"]) for model in self._models_of(event)]
        found = said_in(prediction)
        if found != answers:
            msg = f"{prediction['source']}: must be as plain River has it, {answers}, was {found}"
            raise BrokenPromiseError(msg)
        self.compared += len(answers)
        self._x[event["id"]] = event["x"]
        self._stored[event["id"]] = prediction

    def _models_of(self, event: Avro) -> list[_Model]:
        return self._of(event["stream"], event["asset"])

    def _teach(self, update: Avro, offset: int) -> None:
        event_id, stream = update["event_id"], update["stream"]
        lesson = Lesson(event_id, self._x[event_id], update["label"], offset, update["revision"])
        models = self._of(stream, update["asset"])
        if models[0].is_superseded(lesson):
            return
        self._judge(update, models[0])
        for model in models:
            if update["revision"] and update["replaced"] is not None:
                model.waiting.append(lesson)
            else:
                model.told.append(lesson)
                learn(stream, model.pipeline, lesson)

    def _judge(self, update: Avro, champion: _Model) -> None:
        stream, event_id = update["stream"], update["event_id"]
        prediction = self._stored[event_id]
        of_asset = self.judged.setdefault((stream, update["asset"]), {})
        stored: Any = prediction["probabilities"] if stream == POWER else prediction["value"]
        again: Any  # Any: as stored
        if stream == POWER:
            scores = champion.pipeline.predict_proba_one(self._x[event_id])
            again = {CLASSES[c]: p for c, p in scores.items()}
        else:
            again = champion.pipeline.predict_one(self._x[event_id])
        of_asset[event_id] = Judged(update["label"], stored, again)

    def _correct(self, action: Avro) -> None:
        """Teach one model anew with the corrections that an action names, or as they come."""
        stream, asset, name = _names(action["detail"]["model"])
        model = self._of(stream, asset)[NAMES[stream].index(name)]
        offsets = {int(each) for each in action["detail"]["updates"].split(",")}
        covered = [each for each in model.waiting if each.offset in offsets]
        model.waiting = [each for each in model.waiting if each.offset not in offsets]
        model.told += covered
        if action["kind"] == "compensate":
            for lesson in covered:
                learn(stream, model.pipeline, lesson)
            return
        model.pipeline = PIPELINES[stream][NAMES[stream].index(name)]()
        for lesson in model.lessons():
            learn(stream, model.pipeline, lesson)


def _names(key: str) -> tuple[str, str, str]:
    stream, _, rest = key.partition("|")
    asset, _, name = rest.rpartition("|")
    return stream, asset, name


def ask(stream: str, pipeline: Any, x: X) -> Said:  # Any: as above
    """Return what a pipeline says, in bits."""
    if stream == LOOP:
        return Said(bits(pipeline.predict_one(x)), None)
    scores = pipeline.predict_proba_one(x)
    if not scores:
        return Said(None, None)
    return Said(None, tuple(sorted((CLASSES[c], bits(p)) for c, p in scores.items())))


def learn(stream: str, pipeline: Any, lesson: Lesson) -> None:  # Any: as above
    """Teach a pipeline one lesson."""
    pipeline.learn_one(lesson.x, lesson.label == CLASSES[1] if stream == POWER else lesson.label)


def error_of(stream: str, label: Any, said: Any) -> float | None:  # Any: as in Judged
    """Return absolute error or log loss; None where nothing was said."""
    if stream == LOOP:
        return float(abs(label - said))
    if not said:
        return None
    return -log(min(max(said.get(label, 0.0), SMALLEST), 1.0))


def mean_errors(
    stream: str, judged: Mapping[str, Judged], *, again: bool = False
) -> tuple[int, float]:
    """Return count and mean of the errors of stored predictions, or of those asked again."""
    found = [
        error
        for each in judged.values()
        if (error := error_of(stream, each.label, each.again if again else each.stored)) is not None
    ]
    return len(found), sum(found) / len(found)


def decoded(records: Sequence[Record], name: str) -> Iterator[tuple[int, Avro]]:
    """Yield offset and content of records of ours."""
    decode = codec(name).decode
    for record in records:
        yield record.offset, decode(record.value)
