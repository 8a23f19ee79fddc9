"""Global views as text: which sensors carry a model's answers, and what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.runtime.answer_words import aligned, bar, largest_of, moment, number, signed

if TYPE_CHECKING:
    from tidemill.contracts.answer import Answer, Record

# A mean with less than this part of the mean size has no direction.
ONE_WAY = 0.2
NONE_YET = "  none yet: the first comes with a hundred explanations"


def view_lines(answer: Answer) -> list[str]:
    """Return the views of the asset and of its stream."""
    asset, stream = answer.prediction["asset"], answer.prediction["stream"]
    lines = []
    for name, view in ((asset, answer.of_asset), (f"all of {stream} here", answer.of_stream)):
        lines.append(f"What the model goes by, {name}:")
        lines += [NONE_YET] if view is None else _view(view)
    return lines


def _view(view: Record) -> list[str]:
    ranking = view["ranking"]
    largest = largest_of(weight["mean_absolute"] for weight in ranking)
    rows = [
        [
            f"{place}.",
            weight["feature"],
            bar(weight["mean_absolute"], largest).strip(),
            number(weight["mean_absolute"]),
            _direction(weight),
        ]
        for place, weight in enumerate(ranking, 1)
    ]
    about = (
        f"  {view['explanations']:,} explanations up to version {view['version']:,}, "
        f"{moment(view['time'])}; mean sizes in {view['output_space']}"
    )
    return [about, *aligned(rows), *_changes(view)]


def _direction(weight: Record) -> str:
    mean, size = weight["mean"], weight["mean_absolute"]
    if size == 0.0:
        return "does nothing"
    if abs(mean) < ONE_WAY * size:
        return f"both ways ({signed(mean)})"
    return f"mostly {'raises' if mean > 0 else 'lowers'} ({signed(mean)})"


def _changes(view: Record) -> list[str]:
    """Return what is another than in the record before."""
    before = view["before_version"]
    if before is None:
        return ["  the first record of its kind"]
    ranking = view["ranking"]
    known = [weight for weight in ranking if weight["before"] is not None]
    old = [w["feature"] for w in sorted(known, key=lambda weight: -weight["before"])]
    moved = []
    for place, weight in enumerate(ranking, 1):
        name, now = weight["feature"], number(weight["mean_absolute"])
        if name not in old:
            moved.append(f"{name} is new at place {place} ({now})")
        elif old.index(name) + 1 != place:
            was = number(weight["before"])
            moved.append(f"{name} from place {old.index(name) + 1} to {place} ({was} to {now})")
    changes = "; ".join(moved) or "no sensor changed its place"
    return [f"  since version {before:,}: {changes}"]
